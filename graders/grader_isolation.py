"""Where a grader wants to run, and what of its image is not for learners."""

from __future__ import annotations

from typing import Any

from graders.manifest import RUNTIMES
from graders.yaml_section import Section
from sandbox.run import Isolation

ISOLATIONS = tuple(isolation.value for isolation in Isolation if isolation is not Isolation.NONE)
MAX_PRIVATE = 20
LEARNERS_FOLDERS = ("/box", "/tmp", "/xq")  # noqa: S108 - inside an image


def read_isolation(section: Section) -> dict[str, Any]:
    isolation = section.word("isolation", ISOLATIONS)
    runtime = section.word("runtime", RUNTIMES)
    if runtime == "runsc" and isolation != Isolation.SPLIT_CONTAINER:
        section.note("runtime", "`runtime: runsc` needs `isolation: split-container`")
    return {"isolation": Isolation(isolation) if isolation else None, "runtime": runtime}


def read_private(section: Section, tier: int) -> tuple[str, ...]:
    paths = section.texts("private", "paths")
    if paths and tier != 2:
        section.note("private", "`private` is for graders with a Dockerfile", "Remove it.")
    if len(paths) > MAX_PRIVATE:
        section.note("private", f"`private` has more than {MAX_PRIVATE} paths")
    for path in paths:
        problem = _private_problem(path)
        if problem:
            section.note("private", f"`private`: {path!r:.80} {problem}")
    return paths


def _private_problem(path: str) -> str:
    parts = path.split("/")
    if not path.startswith("/") or not all(parts[1:]) or {".", ".."} & set(parts):
        return "must be an absolute path in the image, without `.`, `..` and `/` at its end"
    if any(path == folder or path.startswith(f"{folder}/") for folder in LEARNERS_FOLDERS):
        return "is a place that learners use"
    return ""
