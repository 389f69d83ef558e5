"""One item of `samples` in `grader.yaml`: an answer of the author's own."""

from __future__ import annotations

from dataclasses import dataclass

from graders.grader_names import read_files
from graders.grader_test import GraderTest
from graders.yaml_section import Section
from sandbox.run import TestStatus

SAMPLE_KEYS = ("file", "score", "fails", "status", "uploads", "seed", "payload")
DEFAULT_SEED = 1
"""As the worker's, for a problem that sends none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """An answer of the author's own, and how it must be graded."""

    path: str
    score: float
    fails: tuple[str, ...] | None
    statuses: dict[str, TestStatus]
    uploads: dict[str, str]
    seed: int
    payload: str
    line: int


def read_samples(section: Section, tests: tuple[GraderTest, ...]) -> tuple[Sample, ...]:
    ids = [test.test_id for test in tests]
    return tuple(
        _sample(Section(node, section.source, "a sample"), ids)
        for node in section.nodes("samples", "samples")
    )


def _sample(section: Section, ids: list[str]) -> Sample:
    section.refuse_unknown(SAMPLE_KEYS, {"path": "The key is `file`.", "files": "Use `uploads`."})
    section.require("file", "The path of an answer, such as `samples/correct.py`.")
    section.require("score", "The fraction of the points it must get, from 0 to 1.")
    fails = section.texts("fails", "test ids") if section.has("fails") else None
    for test_id in fails or ():
        _check_id(section, "fails", test_id, ids)
    seed = section.whole("seed", least=-(2**53), most=2**53)
    return Sample(
        path=section.path("file") or "",
        score=section.fraction("score") or 0.0,
        fails=fails,
        statuses=_statuses(section, ids),
        uploads=read_files(section, "uploads"),
        seed=DEFAULT_SEED if seed is None else seed,
        payload=section.text("payload", empty=True) or "",
        line=section.line,
    )


def _statuses(section: Section, ids: list[str]) -> dict[str, TestStatus]:
    statuses: dict[str, TestStatus] = {}
    words = tuple(status.value for status in TestStatus)
    for test_id, node in section.pairs("status", "test id to status").items():
        _check_id(section, "status", test_id, ids)
        word = section.text_of(node, "a status")
        if word in words:
            statuses[test_id] = TestStatus(word)
        elif word is not None:
            section.note("status", f"{word!r} is not a status", f"There are: {', '.join(words)}.")
    return statuses


def _check_id(section: Section, key: str, test_id: str, ids: list[str]) -> None:
    # A tier-1 grader may declare its tests itself; `graders check` compares those.
    if ids and test_id not in ids:
        section.note(key, f"there is no test {test_id!r}", f"There are: {', '.join(ids)[:200]}.")
