"""Graders on this host's disk: bundles by digest, versions by name.

Content never changes under its name, so several worker processes share one cache without locks:
whoever is first renames a finished directory into place. What nobody used for a week goes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from grader_worker.errors import ServerUnreachable
from grader_worker.published.server_api import PublishedGrader, published_grader
from graders.bundle import unpack
from graders.errors import BundleRefused, ManifestInvalid
from sandbox.errors import GraderNotUsable, SandboxUnavailable

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
UNUSED_S = 7 * 24 * 3600.0
"""Longer than any run and than the pause between two rounds of a keeper by far."""


def default_cache_dir(environ: Mapping[str, str]) -> Path:
    """The user's own cache, or the system's for a service without a home. An empty variable is
    none, as the XDG specification says of its own."""
    if environ.get("GRADER_WORKER_CACHE"):
        return Path(environ["GRADER_WORKER_CACHE"])
    if environ.get("XDG_CACHE_HOME"):
        return Path(environ["XDG_CACHE_HOME"]) / "xqueue"
    home = environ.get("HOME") or "/"
    return Path("/var/cache/xqueue") if home == "/" else Path(home) / ".cache" / "xqueue"


class BundleCache:
    """Unpacked bundles, whoever they are from."""

    def __init__(self, root: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._bundles = root / "bundles"
        self._clock = clock

    def directory(self, digest: str, fetch: Callable[[], bytes]) -> Path:
        """Where the bundle lies unpacked, fetched if it was not there.

        Raises:
            GraderNotUsable: its bytes are no bundle.
            SandboxUnavailable: this host's disk failed; nothing is said about the grader.
            XQueueError: as `fetch` does, and for bytes of another digest.
        """
        if not DIGEST.fullmatch(digest):
            raise GraderNotUsable(f"{digest!r:.80} is not the digest of a bundle")
        place = self._bundles / digest.removeprefix("sha256:")
        try:
            if self._is_there(place):
                return place
        except OSError as error:
            raise _disk_failed(self._bundles, error) from error
        content = fetch()
        if hashlib.sha256(content).hexdigest() != place.name:
            raise ServerUnreachable(f"what came as {digest} has another digest")
        try:
            return _unpacked(content, place)
        except OSError as error:
            raise _disk_failed(self._bundles, error) from error

    def forget_unused(self, unused_s: float = UNUSED_S) -> int:
        """Remove what was not asked for so long, and what a killed process left half-made; how
        many. What can not be removed stays."""
        removed = 0
        for path in _older_than(self._bundles, self._clock() - unused_s):
            with suppress(OSError):
                # Out of the way first, so that nobody sees a directory that is half gone.
                gone = Path(tempfile.mkdtemp(prefix=".gone-", dir=self._bundles))
                path.rename(gone / "it")
                shutil.rmtree(gone)
                removed += 1
        return removed

    def _is_there(self, place: Path) -> bool:
        with suppress(FileNotFoundError, PermissionError):
            os.utime(place, (self._clock(),) * 2)  # it is in use
        return place.is_dir()


class VersionCache:
    """What one server said about its versions: two servers may each have a grader of one name.

    It only spares requests, so a disk that fails is not an error here.
    """

    def __init__(self, root: Path, *, server: str, clock: Callable[[], float] = time.time) -> None:
        self._versions = root / "versions" / hashlib.sha256(server.encode()).hexdigest()[:16]
        self._clock = clock

    def known_version(self, queue: str, name: str, version: int) -> PublishedGrader | None:
        with suppress(OSError, ValueError, RecursionError, ServerUnreachable):
            return published_grader(
                json.loads(self._version_file(queue, name, version).read_text())
            )
        return None

    def remember_version(self, grader: PublishedGrader) -> None:
        if self.known_version(grader.queue, grader.name, grader.version) == grader:
            return
        path = self._version_file(grader.queue, grader.name, grader.version)
        with suppress(OSError):
            _write_atomically(path, grader.document)

    def forget_unused(self, unused_s: float = UNUSED_S) -> int:
        removed = 0
        for path in _older_than(self._versions, self._clock() - unused_s):
            with suppress(OSError):
                path.unlink()
                removed += 1
        return removed

    def _version_file(self, queue: str, name: str, version: int) -> Path:
        # Hashed, because a queue's name is any text.
        key = hashlib.sha256(json.dumps([queue, name, version]).encode()).hexdigest()[:32]
        return self._versions / f"{key}.json"


def _older_than(folder: Path, instant: float) -> Iterator[Path]:
    with suppress(OSError):
        for path in list(folder.iterdir()):
            with suppress(OSError):
                if path.lstat().st_mtime < instant:
                    yield path


def _unpacked(content: bytes, place: Path) -> Path:
    """Raises GraderNotUsable, OSError."""
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=".making-", dir=place.parent))
    try:
        unpack(content, making / "grader")
        _flush(making / "grader")
        _put_in_place(making / "grader", place)
    except (BundleRefused, ManifestInvalid) as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from None  # a full disk is not the grader's fault
        raise GraderNotUsable(f"bundle sha256:{place.name}: {error}") from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return place


def _put_in_place(made: Path, place: Path) -> None:
    try:
        made.rename(place)
    except OSError:
        if not place.is_dir():
            raise
        # Another process was first, with the same content.


def _flush(directory: Path) -> None:
    """Before the rename: after a power cut a directory must not be there with empty files in it."""
    for path in (*directory.rglob("*"), directory):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write_atomically(path: Path, document: Mapping[str, Any]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(dict(document), file)
        Path(name).rename(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _disk_failed(folder: Path, error: OSError) -> SandboxUnavailable:
    return SandboxUnavailable(f"the cache of graders, {folder}: {error.strerror or error}")
