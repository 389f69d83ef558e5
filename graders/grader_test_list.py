"""The list `tests` of `grader.yaml`, and what only shows when all of them are seen together."""

from __future__ import annotations

import math

from graders.grader_keys import ALL_KEYS, NOT_DEFAULTS, OTHER_WORDS
from graders.grader_test import GraderTest, RunBounds, Surroundings, read_test
from graders.languages import Language
from graders.yaml_section import Section
from graders.yaml_source import Node
from sandbox.transcript import MAX_TESTS


def read_tests(
    section: Section, language: Language, by_program: str, bounds: RunBounds, *, may_be_empty: bool
) -> tuple[GraderTest, ...]:
    around = Surroundings(
        python=language.name == "python",
        by_program=by_program,
        bounds=bounds,
        defaults=_defaults(section),
    )
    nodes = section.nodes("tests", "tests")
    if not nodes and not (may_be_empty and not section.has("tests")):
        section.note("tests", "grader.yaml has no tests", "Give it a list of at least one.")
    if len(nodes) > MAX_TESTS:
        section.note("tests", f"there are {len(nodes)} tests, at most {MAX_TESTS} are allowed")
    tests = tuple(
        read_test(Section(node, section.source, "a test"), number, around)
        for number, node in enumerate(nodes[:MAX_TESTS], start=1)
    )
    _check_together(section, tests)
    return tests


def _check_together(section: Section, tests: tuple[GraderTest, ...]) -> None:
    first_line: dict[str, int] = {}
    for test in tests:
        if test.test_id in first_line:
            section.source.note(
                test.line,
                f"another test is called {test.test_id!r}, in line {first_line[test.test_id]}",
                "Results are counted by `id`: give each test its own.",
            )
        first_line.setdefault(test.test_id, test.line)
    if tests and math.fsum(test.points for test in tests) <= 0:
        section.note("tests", "all tests together are worth 0 points")


def _defaults(section: Section) -> dict[str, Node]:
    if not section.has("defaults"):
        return {}
    defaults = Section(section.entries["defaults"], section.source, "the defaults")
    known = [key for key in ALL_KEYS if key not in NOT_DEFAULTS]
    defaults.refuse_unknown(known, OTHER_WORDS)
    return {key: node for key, node in defaults.entries.items() if key in known}


def check_times(
    section: Section, tests: tuple[GraderTest, ...], language: Language, limits: Section
) -> None:
    total_s = limits.number("total_s", above=0, most=3600) or language.limits.wall_s
    for test in tests:
        if test.bounds.time_s > total_s:
            section.source.note(
                test.line,
                f"the test may take {test.bounds.time_s:g} s, and the whole grading {total_s:g} s",
                "Raise `total_s` in the limits at the top.",
            )
