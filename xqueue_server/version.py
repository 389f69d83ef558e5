"""Which version of the project this is."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    try:
        return metadata.version("xqueue-grader")
    except metadata.PackageNotFoundError:
        return "unknown (runs from a source tree that is not installed)"
