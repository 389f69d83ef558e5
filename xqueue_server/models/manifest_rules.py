"""What a manifest must look like: the rules by which workers read it, so that nothing is published
that no worker could run.

The kit's reader is `graders.manifest`; the server may not import it, so a test feeds one table of
manifests to both. Here all that is wrong is said at once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from xqueue_server.models.grader import ISOLATIONS, MAX_TESTS, NAME, Problem

FORMAT = 1
BASES = ("python", "c", "cpp", "java", "javascript", "sql", "bash")
RUNTIMES = ("runc", "runsc")
IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,299}")
TEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
TEST_KEYS = frozenset({"id", "title", "max", "visible"})
FILE_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
MAX_FILES = 50
MAX_POINTS = 1_000_000
MAX_TITLE_CHARS = 300
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
"""What a limit can sensibly be; the queue's ceilings are looked at after that."""
WHOLE = frozenset({"memory_bytes", "pids", "output_bytes", "result_bytes", "scratch_bytes"})
MAY_BE_ABSENT = "needs_files"
"""Of what has another default than null."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SHOWN = re.compile(r"[A-Za-z0-9_.-]{1,40}")


def problems_of(document: Any) -> list[Problem]:
    """Everything that keeps a JSON value from being a manifest."""
    if not isinstance(document, dict):
        return [Problem(where="manifest", problem="must be an object")]
    found = [*_unknown_keys(document)]
    for key, rule in _RULES.items():
        found += rule(document.get(key, [] if key == MAY_BE_ABSENT else None))
    return [Problem(where=f"manifest.{p.where}", problem=p.problem) for p in found]


def _unknown_keys(document: dict[str, Any]) -> Iterator[Problem]:
    for key in sorted(document.keys() - _RULES.keys(), key=str):
        yield Problem(where=_key(key), problem="is no key of a manifest")


def _format(value: Any) -> Iterator[Problem]:
    if type(value) is not int or value != FORMAT:
        yield Problem(
            where="format", problem=f"must be {FORMAT}; another is of another version of the kit"
        )


def _name(value: Any) -> Iterator[Problem]:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        yield Problem(
            where="name", problem="must have 1 to 63 of a-z, 0-9 and -, and not begin with -"
        )


def _title(value: Any) -> Iterator[Problem]:
    if not _is_title(value) or _CONTROL.search(value):
        yield Problem(where="title", problem=f"must be one line of 1 to {MAX_TITLE_CHARS}")


def _base(value: Any) -> Iterator[Problem]:
    if value not in BASES:
        yield Problem(where="base", problem=f"must be one of {', '.join(BASES)}")


def _tier(value: Any) -> Iterator[Problem]:
    if type(value) is not int or value not in (0, 1, 2):
        yield Problem(where="tier", problem="must be 0, 1 or 2")


def _isolation(value: Any) -> Iterator[Problem]:
    if value is not None and value not in ISOLATIONS:
        yield Problem(where="isolation", problem=f"must be one of {', '.join(ISOLATIONS)}, or null")


def _runtime(value: Any) -> Iterator[Problem]:
    if value is not None and value not in RUNTIMES:
        yield Problem(where="runtime", problem=f"must be one of {', '.join(RUNTIMES)}, or null")


def _lms_points(value: Any) -> Iterator[Problem]:
    if value is not None and not (_is_number(value) and 0 < value <= MAX_POINTS):
        yield Problem(
            where="lms_points", problem=f"must be a number above 0 and up to {MAX_POINTS}, or null"
        )


def _image(value: Any) -> Iterator[Problem]:
    if value is not None and not (isinstance(value, str) and IMAGE.fullmatch(value)):
        yield Problem(where="image", problem="must be an image's name, or null")


def _limits(limits: Any) -> Iterator[Problem]:
    if not isinstance(limits, dict):
        yield Problem(where="limits", problem=f"must be an object of {', '.join(MOST)}")
        return
    for key in sorted(limits.keys() - MOST.keys(), key=str):
        yield Problem(where=f"limits.{_key(key)}", problem="is no limit")
    for name, most in MOST.items():
        value: Any = limits.get(name)
        if not _is_number(value) or not 0 < value <= most:
            yield Problem(
                where=f"limits.{name}", problem=f"must be a number above 0 and up to {most:.15g}"
            )
        elif name in WHOLE and value != int(value):
            yield Problem(where=f"limits.{name}", problem="must be a whole number")


def _needs_files(names: Any) -> Iterator[Problem]:
    if not isinstance(names, list) or len(names) > MAX_FILES:
        yield Problem(where="needs_files", problem=f"must be a list of at most {MAX_FILES} names")
        return
    for index, name in enumerate(names):
        if not isinstance(name, str) or not FILE_NAME.fullmatch(name) or name in (".", ".."):
            yield Problem(where=f"needs_files[{index}]", problem="must be a plain file name")


def _tests(tests: Any) -> Iterator[Problem]:
    if not isinstance(tests, list) or len(tests) > MAX_TESTS:
        yield Problem(where="tests", problem=f"must be a list of at most {MAX_TESTS}")
        return
    seen: set[str] = set()
    for index, test in enumerate(tests):
        where = f"tests[{index}]"
        if not isinstance(test, dict) or test.keys() != TEST_KEYS:
            yield Problem(where=where, problem="must be an object of id, title, max and visible")
            continue
        yield from _test(where, test)
        if isinstance(test["id"], str):
            if test["id"] in seen:
                yield Problem(where=f"{where}.id", problem="is the id of two tests")
            seen.add(test["id"])


def _test(where: str, test: dict[str, Any]) -> Iterator[Problem]:
    if not isinstance(test["id"], str) or not TEST_ID.fullmatch(test["id"]):
        yield Problem(where=f"{where}.id", problem="must be 1 to 64 of A-Z a-z 0-9 . _ -")
    if not _is_title(test["title"]):
        yield Problem(where=f"{where}.title", problem=f"must be text of 1 to {MAX_TITLE_CHARS}")
    if not (_is_number(test["max"]) and 0 <= test["max"] <= MAX_POINTS):
        yield Problem(where=f"{where}.max", problem=f"must be a number from 0 to {MAX_POINTS}")
    if not isinstance(test["visible"], bool):
        yield Problem(where=f"{where}.visible", problem="must be true or false")


_RULES: Mapping[str, Callable[[Any], Iterator[Problem]]] = {
    "format": _format,
    "name": _name,
    "title": _title,
    "base": _base,
    "tier": _tier,
    "tests": _tests,
    "limits": _limits,
    "isolation": _isolation,
    "runtime": _runtime,
    "lms_points": _lms_points,
    "image": _image,
    "needs_files": _needs_files,
}


def _key(key: str) -> str:
    """What a stranger called a key, as it may be shown."""
    return key if _SHOWN.fullmatch(key) else ascii(key)[:42]


def _is_title(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_TITLE_CHARS


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float can hold
        return False
