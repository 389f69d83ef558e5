"""Reads a grader's directory into the start frame, so that no path of this host enters a sandbox.

Sent as bytes, the files get exact owners and modes inside, need to be readable for nobody but the
worker, and reach a Docker daemon on another machine as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sandbox.errors import GraderNotUsable
from sandbox.run import MIB
from sandbox.supervisor.frames import pack_bytes
from sandbox.supervisor.layout import LIBRARY_DIR

MAX_GRADER_BYTES = 16 * MIB
MAX_GRADER_FILES = 2000
SKIPPED_NAMES = frozenset({".git", "__pycache__", ".venv", ".DS_Store"})
LIBRARY_PREFIX = Path(LIBRARY_DIR).name


def read_grader(directory: Path, library: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """The directory's files and the library's, as the supervisor expects them.

    Raises:
        GraderNotUsable: missing, unreadable, too large, without entry point, or with a link
            that leads out of the directory.
    """
    try:
        files = [_read(directory, path) for path in _paths(directory)]
    except OSError as error:
        raise GraderNotUsable(
            f"the grader directory {directory} cannot be read: {error}"
        ) from error
    _require_entry_point(directory, {file["path"] for file in files})
    return files + library_entries(library)


def library_entries(library: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """Files of a grader that hold the library's modules (path -> source)."""
    return [_entry(f"{LIBRARY_PREFIX}/{path}", code) for path, code in library.items()]


def _paths(directory: Path) -> list[Path]:
    if not directory.is_dir():
        raise GraderNotUsable(f"there is no grader directory {directory}")
    paths = sorted(_walk(directory))
    if len(paths) > MAX_GRADER_FILES:
        raise GraderNotUsable(f"{directory} has more than {MAX_GRADER_FILES} files; ship an image")
    if sum(path.stat().st_size for path in paths) > MAX_GRADER_BYTES:
        raise GraderNotUsable(f"{directory} has more than {MAX_GRADER_BYTES} bytes; ship an image")
    return paths


def _walk(directory: Path) -> Iterator[Path]:
    for folder, subfolders, names in os.walk(directory):
        subfolders[:] = [name for name in subfolders if name not in SKIPPED_NAMES]
        yield from (Path(folder, name) for name in names if name not in SKIPPED_NAMES)
        # Not walked into; given as a path, it is refused instead of missing without a word.
        yield from (path for name in subfolders if (path := Path(folder, name)).is_symlink())


def _read(directory: Path, path: Path) -> dict[str, Any]:
    target = path.resolve()
    if not target.is_relative_to(directory.resolve()) or not target.is_file():
        raise GraderNotUsable(f"{path} is not a plain file inside the grader directory")
    executable = bool(target.stat().st_mode & 0o111)
    return _entry(path.relative_to(directory).as_posix(), target.read_bytes(), executable)


def _entry(path: str, content: bytes, executable: bool = False) -> dict[str, Any]:
    return {"path": path, "content": pack_bytes(content), "executable": executable}


def _require_entry_point(directory: Path, paths: set[str]) -> None:
    if not paths & {"grade", "grade.py"}:
        raise GraderNotUsable(f"{directory} has neither an executable `grade` nor a `grade.py`")
