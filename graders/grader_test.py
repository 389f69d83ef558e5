"""One item of `tests` in `grader.yaml`: its name, its worth, its limits.

`GraderTest.work` is what `graders.library.declared` reads inside the sandbox; None for tests that
a program decides (tiers 1 and 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from graders.grader_keys import (
    ALL_KEYS,
    CALL_KEYS,
    COMMON_KEYS,
    LIMIT_KEYS,
    OTHER_WORDS,
    PROGRAM_KEYS,
)
from graders.grader_work import read_call, read_program
from graders.library.values import show
from graders.yaml_section import Section
from graders.yaml_source import Mapping, Node
from sandbox.run import KIB, MIB
from sandbox.transcript import MAX_POINTS, MAX_TITLE, TEST_ID

MAX_FEEDBACK = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBounds:
    """Of one execution of the learner's program."""

    time_s: float
    cpu_s: float
    output_bytes: int
    memory_bytes: int | None = None
    """None where only the whole sandbox is bounded."""

    def as_json(self) -> dict[str, Any]:
        memory = {} if self.memory_bytes is None else {"memory_bytes": self.memory_bytes}
        return {
            "wall_s": self.time_s,
            "cpu_s": self.cpu_s,
            "output_bytes": self.output_bytes,
            **memory,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class GraderTest:
    test_id: str
    title: str
    points: float
    hidden: bool
    allow_empty: bool
    show_expected: bool
    feedback: str
    bounds: RunBounds
    line: int
    work: dict[str, Any] | None

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.test_id,
            "title": self.title,
            "points": self.points,
            "hidden": self.hidden,
            "show_expected": self.show_expected,
            "feedback": self.feedback,
            "limits": self.bounds.as_json(),
            **(self.work or {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a test must know of the rest of the file."""

    python: bool
    by_program: str
    """Why tests may not say what they run (a `grade.py` does); empty when they must."""
    bounds: RunBounds
    defaults: dict[str, Node]


def read_test(section: Section, number: int, around: Surroundings) -> GraderTest:
    section.refuse_unknown(ALL_KEYS, OTHER_WORDS)
    own = set(section.entries)
    _apply_defaults(section, around)
    hidden = section.flag("hidden", False)
    work = None
    if around.by_program:
        _refuse_work(section, own, around)
    elif section.has("call"):
        work = read_call(section, own, python=around.python)
    else:
        work = read_program(section, own)
    return GraderTest(
        test_id=_test_id(section, number),
        title=section.text("title", most=MAX_TITLE) or _title(work, number, hidden),
        points=_or(section.number("points", most=MAX_POINTS), 1.0),
        hidden=hidden,
        allow_empty=section.flag("allow_empty", False),
        show_expected=section.flag("show_expected", True),
        feedback=section.text("feedback", most=MAX_FEEDBACK) or "",
        bounds=_bounds(section, around.bounds),
        line=section.line,
        work=work,
    )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _apply_defaults(section: Section, around: Surroundings) -> None:
    """What the kind of the test does not know, the defaults do not give it."""
    defaults = around.defaults
    calls = "call" in section.entries or "call" in defaults
    known = (*COMMON_KEYS, *(CALL_KEYS if calls else PROGRAM_KEYS))
    for key, node in defaults.items():
        if key not in known and not around.by_program:
            continue
        own = section.entries.get(key)
        if own is None:
            section.entries[key] = node
        elif key in ("limits", "files") and isinstance(own, Mapping) and isinstance(node, Mapping):
            section.entries[key] = Mapping(
                line=own.line, entries=node.entries | own.entries, keys=node.keys | own.keys
            )


def _test_id(section: Section, number: int) -> str:
    test_id = section.text("id")
    if test_id is None:
        return f"t{number}"
    if not TEST_ID.fullmatch(test_id):
        section.note("id", f"`id` {test_id!r:.80} is not 1 to 64 of A-Z a-z 0-9 . _ -")
    return test_id


def _title(work: dict[str, Any] | None, number: int, hidden: bool) -> str:
    if hidden:
        return f"Hidden test {number}"
    if work is None or "call" not in work:
        return f"Test {number}"
    return call_text(work["call"], work["args"], work["kwargs"])[:MAX_TITLE]


def call_text(function: str, args: list[Any], kwargs: dict[str, Any]) -> str:
    """As a learner would write the call."""
    words = [show(value) for value in args]
    words += [f"{name}={show(value)}" for name, value in kwargs.items()]
    return f"{function}({', '.join(words)})"


def _bounds(section: Section, top: RunBounds) -> RunBounds:
    if not section.has("limits"):
        return top
    limits = Section(section.entries["limits"], section.source, "the limits of a test")
    only_top = "This limit can only be set at the top of the file."
    others = dict.fromkeys(("compile_s", "total_s", "processes", "disk_mb"), only_top)
    limits.refuse_unknown(LIMIT_KEYS, others)
    time_s = limits.number("time_s", above=0)
    memory_mb = limits.number("memory_mb", above=0)
    output_kb = limits.number("output_kb", above=0)
    return RunBounds(
        time_s=time_s or top.time_s,
        cpu_s=limits.number("cpu_s", above=0) or time_s or top.cpu_s,
        output_bytes=int(output_kb * KIB) if output_kb else top.output_bytes,
        memory_bytes=int(memory_mb * MIB) if memory_mb else top.memory_bytes,
    )


def _refuse_work(section: Section, own: set[str], around: Surroundings) -> None:
    for key in sorted(own.intersection({*PROGRAM_KEYS, *CALL_KEYS})):
        section.note(
            key,
            f"`{key}` has no meaning here, because {around.by_program}",
            f"A test has only {', '.join(COMMON_KEYS)} then.",
        )
