"""What the rest of the product knows about a grader: names, tests, points, limits.

`grader.yaml` is read on the author's machine only (`grader_file`); this is what travels, as JSON,
in the bundle and to the server. `manifest_from_json` trusts nobody: it is read by workers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from graders.errors import ManifestInvalid, Mistake
from graders.languages import LANGUAGES
from sandbox.run import DeclaredTest, Isolation, Limits
from sandbox.transcript import MAX_POINTS, MAX_TESTS, MAX_TITLE, TEST_ID

GRADER_FILE = "grader.yaml"
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
UPLOAD_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
RUNTIMES = ("runc", "runsc")
IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,299}")
MAX_UPLOADS = 50
FORMAT = 1
"""Of the JSON. A reader refuses what it does not know."""
MOST: Mapping[str, float] = {
    "wall_s": 3600,
    "learner_wall_s": 3600,
    "learner_cpu_s": 3600,
    "memory_bytes": 2**40,
    "pids": 65536,
    "cpus": 1024,
    "output_bytes": 2**30,
    "result_bytes": 2**30,
    "scratch_bytes": 2**40,
}
"""What a number can sensibly be. The ceilings that matter are the operator's, per queue."""
WHOLE_LIMITS = frozenset({"memory_bytes", "pids", "output_bytes", "result_bytes", "scratch_bytes"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    name: str
    title: str
    base: str
    """Language of the base image: a name of `graders.languages.LANGUAGES`."""
    tier: int
    """0 declared, 1 a Python program, 2 an image."""
    tests: tuple[DeclaredTest, ...]
    """Empty only for a program whose tests have not been asked for yet (`graders.describing`)."""
    limits: Limits
    isolation: Isolation | None = None
    runtime: str | None = None
    lms_points: float | None = None
    """None sends 0 to 1."""
    image: str | None = None
    """Tier 2, once built: `name@sha256:…` or an image id."""
    needs_files: tuple[str, ...] = ()
    """Learners' uploads that are placed beside their program."""


def manifest_to_json(manifest: Manifest) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "name": manifest.name,
        "title": manifest.title,
        "base": manifest.base,
        "tier": manifest.tier,
        "tests": [
            {
                "id": test.test_id,
                "title": test.title,
                "max": test.max_score,
                "visible": test.visible,
            }
            for test in manifest.tests
        ],
        "limits": asdict(manifest.limits),
        "isolation": None if manifest.isolation is None else manifest.isolation.value,
        "runtime": manifest.runtime,
        "lms_points": manifest.lms_points,
        "image": manifest.image,
        "needs_files": list(manifest.needs_files),
    }


def manifest_from_json(obj: object) -> Manifest:
    """Raises ManifestInvalid, naming the first part that is wrong."""
    if not isinstance(obj, dict):
        raise _invalid("the manifest", "is not an object")
    if obj.get("format") != FORMAT:
        raise _invalid(
            "format", f"is {obj.get('format')!r:.40}, not {FORMAT}: another version of the kit"
        )
    _refuse_unknown(obj)
    return Manifest(
        name=_matching(obj, "name", NAME),
        title=_text(obj, "title", MAX_TITLE),
        base=_one_of(obj, "base", tuple(LANGUAGES)),
        tier=_tier(obj),
        tests=_tests(obj.get("tests")),
        limits=_limits(obj.get("limits")),
        isolation=_isolation(obj),
        runtime=None if obj.get("runtime") is None else _one_of(obj, "runtime", RUNTIMES),
        lms_points=_lms_points(obj),
        image=None if obj.get("image") is None else _matching(obj, "image", IMAGE),
        needs_files=_needs_files(obj.get("needs_files", [])),
    )


def _refuse_unknown(obj: dict[str, Any]) -> None:
    known = {field.name for field in fields(Manifest)} | {"format"}
    unknown = sorted(str(key) for key in obj.keys() - known)
    if unknown:
        raise _invalid("the manifest", f"has unknown parts: {', '.join(unknown)[:200]}")


def _tier(obj: dict[str, Any]) -> int:
    tier = obj.get("tier")
    if isinstance(tier, bool) or tier not in (0, 1, 2):
        raise _invalid("tier", f"is {tier!r:.40}, not 0, 1 or 2")
    return int(tier)


def _tests(tests: object) -> tuple[DeclaredTest, ...]:
    if not isinstance(tests, list) or len(tests) > MAX_TESTS:
        raise _invalid("tests", f"is not a list of at most {MAX_TESTS}")
    found: dict[str, DeclaredTest] = {}
    for number, test in enumerate(tests):
        where = f"tests[{number}]"
        if not isinstance(test, dict) or test.keys() != {"id", "title", "max", "visible"}:
            raise _invalid(where, "is not an object of id, title, max and visible")
        declared = DeclaredTest(
            test_id=_matching(test, "id", TEST_ID, where),
            title=_text(test, "title", MAX_TITLE, where),
            max_score=_number(test, "max", 0, MAX_POINTS, where),
            visible=_truth(test, "visible", where),
        )
        if declared.test_id in found:
            raise _invalid(where, f"repeats the id {declared.test_id!r}")
        found[declared.test_id] = declared
    return tuple(found.values())


def _limits(limits: object) -> Limits:
    if not isinstance(limits, dict) or limits.keys() != MOST.keys():
        raise _invalid("limits", f"is not an object of {', '.join(MOST)}")
    values: dict[str, Any] = {}
    for name, most in MOST.items():
        value = _number(limits, name, 0, most, "limits")
        if value <= 0 or (name in WHOLE_LIMITS and value != int(value)):
            raise _invalid(f"limits.{name}", f"is {value!r}")
        values[name] = int(value) if name in WHOLE_LIMITS else value
    return Limits(**values)


def _isolation(obj: dict[str, Any]) -> Isolation | None:
    if obj.get("isolation") is None:
        return None
    return Isolation(_one_of(obj, "isolation", tuple(Isolation)))


def _lms_points(obj: dict[str, Any]) -> float | None:
    if obj.get("lms_points") is None:
        return None
    points = _number(obj, "lms_points", 0, MAX_POINTS)
    if points <= 0:
        raise _invalid("lms_points", "is not more than 0")
    return points


def _needs_files(names: object) -> tuple[str, ...]:
    if not isinstance(names, list) or len(names) > MAX_UPLOADS:
        raise _invalid("needs_files", f"is not a list of at most {MAX_UPLOADS} names")
    for name in names:
        if not isinstance(name, str) or not UPLOAD_NAME.fullmatch(name) or name in (".", ".."):
            raise _invalid("needs_files", f"{name!r:.80} is not a plain file name")
    return tuple(names)


def _matching(obj: dict[str, Any], key: str, form: re.Pattern[str], where: str = "") -> str:
    value = obj.get(key)
    if not isinstance(value, str) or not form.fullmatch(value):
        raise _invalid(_path(where, key), f"is {value!r:.80}, not {form.pattern}")
    return value


def _one_of(obj: dict[str, Any], key: str, words: tuple[str, ...]) -> str:
    value = obj.get(key)
    if not isinstance(value, str) or value not in words:
        raise _invalid(key, f"is {value!r:.80}, not one of {', '.join(words)}")
    return value


def _text(obj: dict[str, Any], key: str, most: int, where: str = "") -> str:
    value = obj.get(key)
    if not isinstance(value, str) or not 1 <= len(value) <= most:
        raise _invalid(_path(where, key), f"is not text of 1 to {most} characters")
    return value


def _number(obj: dict[str, Any], key: str, least: float, most: float, where: str = "") -> float:
    value = obj.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _invalid(_path(where, key), f"is {value!r:.80}, not a number")
    # NaN compares false; a huge integer has no float.
    if not least <= value <= most or not math.isfinite(value):
        raise _invalid(_path(where, key), f"is {value!r:.80}, not from {least:g} to {most:g}")
    return float(value)


def _truth(obj: dict[str, Any], key: str, where: str) -> bool:
    value = obj.get(key)
    if not isinstance(value, bool):
        raise _invalid(_path(where, key), f"is {value!r:.80}, not true or false")
    return value


def _path(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _invalid(where: str, problem: str) -> ManifestInvalid:
    return ManifestInvalid(Mistake(where=where, problem=problem))
