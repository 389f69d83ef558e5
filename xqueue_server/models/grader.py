"""A published grader: what the server reads of its manifest, and what it allows.

The manifest is the kit's; the server keeps it as it came and reads only what it must decide on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
MAX_IMAGE_CHARS = 480
PINNED_IMAGE = re.compile(
    r"(?:(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?/)?"  # the registry
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
    r"(?::\w[\w.-]{0,127})?@)?sha256:[0-9a-f]{64}",
    re.ASCII,
)
"""After the grammar of references in github.com/distribution/reference; what does not follow it the
engine would take for some other request."""
ISOLATIONS = ("split-uid", "split-container", "box", "none")
FORGEABLE = "none"
"""Learners' code runs as one with the grader and can write its own grade."""
FOR_DIRECTORIES = "box"
"""Runs no images."""
KB = 1024
MB = 1024 * 1024
MAX_BUNDLE_BYTES = 8 * MB
MAX_TESTS = 1000
MAX_ID_CHARS = 64


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
class QueueIsolation:
    """What the operator chose for those graders of a queue that leave their isolation open."""

    isolation: str
    runtime: str | None = None

    def __str__(self) -> str:
        return f"{self.isolation} with {self.runtime}" if self.runtime else self.isolation

    def holds_for(self, demanded: str | None, source: GraderSource) -> bool:
        """`demanded` is the manifest's isolation: an author may ask for more."""
        is_possible = source.image is None or self.isolation != FOR_DIRECTORIES
        return demanded is None and is_possible


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
    isolation: str | None = None
    """That the manifest demands."""
    queue_isolation: QueueIsolation | None = None
    """The operator's choice where it holds for this grader; beside it nothing is demanded."""
    trial_id: int | None = None

    @property
    def runs_with(self) -> str | None:
        """None: the default of the host."""
        return self.queue_isolation.isolation if self.queue_isolation else self.isolation


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSuchGrader:
    """The submission asks for a grader that may not be handed out: why, for the course team."""

    detail: str


GraderChoice = LeasedGrader | NoSuchGrader


def read_manifest(document: Mapping[str, Any]) -> Manifest:
    """Read a manifest in which `manifest_rules.problems_of` has found none."""
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
            problem=f"is {_shown(name, manifest.limits[name])}; this queue allows at most "
            f"{_shown(name, ceiling)}",
        )
        for name, ceiling in most.items()
        if manifest.limits.get(name, 0) > ceiling
    ]


def _shown(limit: str, value: float) -> str:
    """As authors write it: a number of bytes in MB, or kB where that says more."""
    if not limit.endswith("_bytes"):
        return f"{value:g}"
    return f"{value / MB:.6g} MB" if value >= MB else f"{value / KB:.6g} kB"


def is_pinned(image: Any) -> bool:
    """Whether it names one image for ever: by its id, or by a registry's digest."""
    return (
        isinstance(image, str)
        and len(image) <= MAX_IMAGE_CHARS
        and PINNED_IMAGE.fullmatch(image) is not None
    )


def is_test_id(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARS and value.isprintable()
