"""What the server publishes, workers can read: one table of manifests for both readers."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import pytest

from graders import manifest as kit
from graders.errors import ManifestInvalid
from graders.languages import LANGUAGES
from sandbox import transcript
from sandbox.run import Isolation
from tests.api.callers import manifest
from xqueue_server.models import grader, manifest_rules

GONE = object()
GOOD: list[Mapping[str, Any]] = [
    {},
    *({"base": base} for base in LANGUAGES),
    *({"isolation": isolation.value} for isolation in Isolation),
    *({"tier": tier} for tier in (0, 1, 2)),
    {"runtime": "runc"},
    {"runtime": "runsc", "isolation": "split-container"},
    {"isolation": GONE, "runtime": GONE, "lms_points": GONE, "image": GONE, "needs_files": GONE},
    {"tests": []},
    {"title": "é" * 300},
    {"name": "a" * 63},
    {"lms_points": 1_000_000},
    {"lms_points": 0.5},
    {"image": "registry.example.org/square@sha256:" + "0" * 64},
    {"needs_files": ["data.csv", "_"]},
    {"limits.wall_s": 3600},
    {"limits.wall_s": 0.001},
    {"limits.pids": 64.0},
    {"limits.memory_bytes": 2**40},
    {"tests.0.max": 0},
    {"tests.0.max": 1_000_000},
    {"tests.0.id": "A-z_0.9"},
]
BAD: list[tuple[str, Any]] = [
    ("format", GONE), ("format", 2), ("format", "1"), ("format", None),
    ("more", 1),
    ("name", GONE), ("name", "Square"), ("name", "a" * 64), ("name", "a\n"), ("name", ["a"]),
    ("title", GONE), ("title", ""), ("title", "x" * 301), ("title", 5),
    ("base", GONE), ("base", "cobol"), ("base", []), ("base", None),
    ("tier", GONE), ("tier", 3), ("tier", True), ("tier", "0"), ("tier", None),
    ("isolation", "weak"), ("isolation", ["none"]), ("isolation", ""),
    ("runtime", "kata"), ("runtime", 1),
    ("lms_points", 0), ("lms_points", "10"), ("lms_points", True), ("lms_points", 1_000_001),
    ("lms_points", math.inf), ("lms_points", 10**400),
    ("image", "-v/:/x"), ("image", "a b"), ("image", "a" * 301), ("image", 5),
    ("needs_files", "a"), ("needs_files", None), ("needs_files", ["../a"]),
    ("needs_files", [".."]), ("needs_files", [5]), ("needs_files", ["a"] * 51),
    ("limits", GONE), ("limits", {}), ("limits", []), ("limits", None),
    ("limits.more", 1),
    *((f"limits.{name}", value) for name in kit.MOST for value in (GONE, 0, -1, "1", True, None)),
    *((f"limits.{name}", most + 1) for name, most in kit.MOST.items()),
    *((f"limits.{name}", 1.5) for name in sorted(kit.WHOLE_LIMITS)),
    ("limits.wall_s", math.nan), ("limits.wall_s", 10**400),
    ("tests", GONE), ("tests", {}), ("tests", None), ("tests", [5]), ("tests", [{}]),
    ("tests", manifest()["tests"] * 2),
    ("tests", [manifest()["tests"][0]] * 1001),
    ("tests.0.id", GONE), ("tests.0.id", ""), ("tests.0.id", "a/b"), ("tests.0.id", 5),
    ("tests.0.id", "a" * 65), ("tests.0.id", "é"),
    ("tests.0.title", GONE), ("tests.0.title", ""), ("tests.0.title", "x" * 301),
    ("tests.0.max", GONE), ("tests.0.max", -1), ("tests.0.max", True), ("tests.0.max", "1"),
    ("tests.0.max", 1_000_001), ("tests.0.max", math.nan),
    ("tests.0.visible", GONE), ("tests.0.visible", 1),
    ("tests.0.more", 1),
]  # fmt: skip


def changed(path: str, value: Any) -> dict[str, Any]:
    """A good manifest with one part that is another, or gone."""
    document = copy.deepcopy(manifest())
    *way, last = path.split(".")
    target: Any = document
    for step in way:
        target = target[int(step) if step.isdecimal() else step]
    if value is GONE:
        target.pop(last, None)
    else:
        target[last] = value
    return document


def changed_by(changes: Mapping[str, Any]) -> dict[str, Any]:
    document = manifest()
    for path, value in changes.items():
        one = changed(path, value)
        top = path.split(".")[0]
        document.pop(top, None)
        document |= {key: one[key] for key in one if key == top}
    return document


@pytest.mark.parametrize("changes", GOOD)
def test_both_take_what_is_good(changes: Mapping[str, Any]) -> None:
    document = changed_by(changes)
    assert manifest_rules.problems_of(document) == []
    read = kit.manifest_from_json(document)
    assert grader.read_manifest(document).limits["wall_s"] == read.limits.wall_s


@pytest.mark.parametrize(("path", "value"), BAD)
def test_both_refuse_what_is_bad_and_the_server_names_it(path: str, value: Any) -> None:
    document = changed(path, value)
    with pytest.raises(ManifestInvalid):
        kit.manifest_from_json(document)
    problems = manifest_rules.problems_of(document)
    assert problems
    for problem in problems:
        named = problem.where.removeprefix("manifest.").replace("[", ".").replace("]", "")
        assert named.startswith(path) or path.startswith(named), problem


@pytest.mark.parametrize("document", [None, [], "x", 5])
def test_both_refuse_what_is_no_object(document: Any) -> None:
    with pytest.raises(ManifestInvalid):
        kit.manifest_from_json(document)
    assert [str(p) for p in manifest_rules.problems_of(document)] == ["manifest must be an object"]


def test_all_that_is_wrong_is_said_at_once() -> None:
    assert len(manifest_rules.problems_of({})) >= len(("format", "name", "tier", "limits"))


def test_a_title_is_one_line_on_the_server() -> None:
    """The kit's reader takes more; here it ends on terminals."""
    assert [p.where for p in manifest_rules.problems_of(manifest(title="a\x1b[0m"))] == [
        "manifest.title"
    ]


def test_both_have_the_same_bounds() -> None:
    assert manifest_rules.FORMAT == kit.FORMAT
    assert tuple(LANGUAGES) == manifest_rules.BASES
    assert manifest_rules.RUNTIMES == kit.RUNTIMES
    assert manifest_rules.MOST == kit.MOST
    assert manifest_rules.WHOLE == kit.WHOLE_LIMITS
    assert manifest_rules.IMAGE == kit.IMAGE
    assert manifest_rules.MAX_FILES == kit.MAX_UPLOADS
    assert set(grader.ISOLATIONS) == set(Isolation)
    assert (grader.NAME, grader.MAX_TESTS) == (kit.NAME, transcript.MAX_TESTS)
    assert manifest_rules.TEST_ID == transcript.TEST_ID
    assert manifest_rules.MAX_POINTS == transcript.MAX_POINTS
    assert manifest_rules.MAX_TITLE_CHARS == transcript.MAX_TITLE
