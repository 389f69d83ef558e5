"""A published grader: what the server reads of its manifest, and what it allows.

The manifest is the kit's; the server keeps it as it came and reads only what it must decide on.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
BASE = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
PINNED_IMAGE = re.compile(r"(?:[a-z0-9][a-zA-Z0-9._:/-]{0,400}@)?sha256:[0-9a-f]{64}")
ISOLATIONS = ("split-uid", "split-container", "box", "none")
FORGEABLE = "none"
"""Learners' code runs as one with the grader and can write its own grade."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
MAX_BUNDLE_BYTES = 8 * 1024 * 1024
MAX_TESTS = 1000
MAX_ID_CHARS = 64
MAX_TITLE_CHARS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something in a document that can not be used."""

    where: str
    problem: str

    def __str__(self) -> str:
        return f"{self.where} {self.problem}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """The most that a grader may ask for on a queue."""

    wall_s: float
    memory_bytes: int
    cpus: float
    pids: int
    output_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What the server reads of a manifest that has passed `problems_of`."""

    name: str
    title: str
    base: str
    isolation: str | None
    lms_points: float | None
    limits: Mapping[str, float]
    test_ids: frozenset[str]

    @property
    def is_forgeable(self) -> bool:
        return self.isolation == FORGEABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class GraderSource:
    """What a worker fetches: a bundle or an image, never both."""

    digest: str | None
    """64 hexadecimal digits."""
    image: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GraderVersion:
    queue: str
    name: str
    version: int
    source: GraderSource
    manifest_text: str = field(repr=False)
    """JSON, as it was published."""
    published_by: str
    published_at: datetime

    @property
    def manifest(self) -> Manifest:
        return read_manifest(json.loads(self.manifest_text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Grader:
    """The name under which versions are published on a queue."""

    queue: str
    name: str
    active: int | None
    latest: int
    is_default: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasedGrader:
    """Which grader a submission is handed out with."""

    name: str
    version: int
    """0: a trial's."""
    source: GraderSource
    trial_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSuchGrader:
    """The submission asks for a grader that may not be handed out: why, for the course team."""

    detail: str


GraderChoice = LeasedGrader | NoSuchGrader


def read_manifest(document: Mapping[str, Any]) -> Manifest:
    """Read a manifest in which `problems_of` has found none."""
    points = document.get("lms_points")
    return Manifest(
        name=document["name"],
        title=document.get("title") or document["name"],
        base=document["base"],
        isolation=document.get("isolation"),
        lms_points=None if points is None else float(points),
        limits=dict(document.get("limits") or {}),
        test_ids=frozenset(test["id"] for test in document.get("tests") or ()),
    )


def problems_of(document: Any) -> list[Problem]:
    """Everything that keeps a JSON value from being a manifest."""
    if not isinstance(document, dict):
        return [Problem(where="manifest", problem="must be an object")]
    checks = (
        _bad_name(document.get("name")),
        _bad_title(document.get("title")),
        _bad_base(document.get("base")),
        _bad_isolation(document.get("isolation")),
        _bad_points(document.get("lms_points")),
        _bad_limits(document.get("limits")),
        _bad_tests(document.get("tests")),
    )
    return [Problem(where=f"manifest.{p.where}", problem=p.problem) for c in checks for p in c]


def over_ceilings(manifest: Manifest, ceilings: Ceilings) -> list[Problem]:
    """What the manifest asks for beyond the queue's ceilings."""
    most = {
        "wall_s": ceilings.wall_s,
        "learner_wall_s": ceilings.wall_s,
        "learner_cpu_s": ceilings.wall_s * max(1.0, ceilings.cpus),
        "memory_bytes": ceilings.memory_bytes,
        "scratch_bytes": ceilings.memory_bytes,
        "cpus": ceilings.cpus,
        "pids": ceilings.pids,
        "output_bytes": ceilings.output_bytes,
        "result_bytes": max(ceilings.output_bytes, MAX_BUNDLE_BYTES),
    }
    return [
        Problem(
            where=f"manifest.limits.{name}",
            problem=f"is {manifest.limits[name]:g}; this queue allows at most {ceiling:g}",
        )
        for name, ceiling in most.items()
        if manifest.limits.get(name, 0) > ceiling
    ]


def _bad_name(name: Any) -> Iterator[Problem]:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        yield Problem(
            where="name", problem="must have 1 to 63 of a-z, 0-9 and -, and not begin with -"
        )


def _bad_title(title: Any) -> Iterator[Problem]:
    if title is None:
        return
    if not isinstance(title, str) or len(title) > MAX_TITLE_CHARS or _CONTROL.search(title):
        yield Problem(where="title", problem=f"must be one line of up to {MAX_TITLE_CHARS}")


def _bad_base(base: Any) -> Iterator[Problem]:
    if not isinstance(base, str) or not BASE.fullmatch(base):
        yield Problem(where="base", problem="must name a language, like python")


def _bad_isolation(isolation: Any) -> Iterator[Problem]:
    if isolation is not None and isolation not in ISOLATIONS:
        yield Problem(where="isolation", problem=f"must be one of {', '.join(ISOLATIONS)}, or null")


def _bad_points(points: Any) -> Iterator[Problem]:
    if points is not None and not (_is_number(points) and 0 < points <= 10_000):
        yield Problem(where="lms_points", problem="must be a number above 0 and up to 10000")


def _bad_limits(limits: Any) -> Iterator[Problem]:
    if limits is None:
        return
    if not isinstance(limits, dict):
        yield Problem(where="limits", problem="must be an object")
        return
    for name, value in limits.items():
        if not _is_number(value) or value <= 0:
            shown = name if name.isidentifier() else ascii(name)
            yield Problem(where=f"limits.{shown[:60]}", problem="must be a number above 0")


def _bad_tests(tests: Any) -> Iterator[Problem]:
    if tests is None:
        return
    if not isinstance(tests, list) or len(tests) > MAX_TESTS:
        yield Problem(where="tests", problem=f"must be a list of at most {MAX_TESTS}")
        return
    seen: set[str] = set()
    for index, test in enumerate(tests):
        test_id = test.get("id") if isinstance(test, dict) else None
        if not is_test_id(test_id):
            yield Problem(
                where=f"tests[{index}].id",
                problem=f"must be text of 1 to {MAX_ID_CHARS} printable characters",
            )
        elif test_id in seen:
            yield Problem(where=f"tests[{index}].id", problem="is the id of two tests")
        else:
            seen.add(str(test_id))


def is_test_id(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARS and value.isprintable()


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float can hold
        return False
