"""The grader library travels with a run only to images that have another one.

An image's own is compiled, and the pre-started Python has imported it already.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from sandbox.backends.docker.images import Image
from sandbox.bundle import library_entries

LIBRARY_LABEL = "org.xqueue.library"
"""Which library an image has in /xq/lib, as `library_digest` names it."""


class ShippedLibrary:
    """The worker's library; `modules` are path -> source."""

    def __init__(self, modules: Mapping[str, bytes]) -> None:
        self._digest = library_digest(modules)
        self._entries = library_entries(modules)

    def beside(self, files: list[dict[str, Any]], image: Image) -> list[dict[str, Any]]:
        """A grader's files with what it needs of the library; a grader in an image has none."""
        if not files or image.labels.get(LIBRARY_LABEL) == self._digest:
            return files
        return files + self._entries


def library_digest(modules: Mapping[str, bytes]) -> str:
    """What `deploy/docker/build.sh` computes of the same files with `sha256sum`."""
    lines = (
        f"{hashlib.sha256(content).hexdigest()}  {path}\n"
        for path, content in sorted(modules.items(), key=lambda item: item[0].encode())
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()
