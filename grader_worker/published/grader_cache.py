"""Graders on this host's disk: bundles by digest, versions by name.

Content never changes under its name, so several worker processes share one cache without locks:
whoever is first renames a finished directory into place.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from grader_worker.published.server_api import PublishedGrader, published_grader
from graders.bundle import unpack
from graders.errors import BundleRefused
from sandbox.errors import GraderNotUsable

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def default_cache_dir(environ: Mapping[str, str]) -> Path:
    """The user's own cache, or the system's for a service without a home."""
    if "GRADER_WORKER_CACHE" in environ:
        return Path(environ["GRADER_WORKER_CACHE"])
    if "XDG_CACHE_HOME" in environ:
        return Path(environ["XDG_CACHE_HOME"]) / "xqueue"
    home = environ.get("HOME", "/")
    return Path("/var/cache/xqueue") if home == "/" else Path(home) / ".cache" / "xqueue"


class BundleCache:
    """Unpacked bundles, whoever they are from."""

    def __init__(self, root: Path) -> None:
        self._bundles = root / "bundles"

    def directory(self, digest: str, fetch: Callable[[], bytes]) -> Path:
        """Where the bundle lies unpacked, fetched if it was not there.

        Raises:
            GraderNotUsable: its bytes are no bundle.
            XQueueError: as `fetch` does, and for bytes of another digest.
        """
        if not DIGEST.fullmatch(digest):
            raise GraderNotUsable(f"{digest!r:.80} is not the digest of a bundle")
        place = self._bundles / digest.removeprefix("sha256:")
        if place.is_dir():
            with suppress(OSError):
                os.utime(place)  # for whoever tidies up by age
            return place
        content = fetch()
        if hashlib.sha256(content).hexdigest() != place.name:
            raise GraderNotUsable(f"what came as {digest} has another digest")
        return _unpacked(content, place)


class VersionCache:
    """What one server said about its versions: two servers may each have a grader of one name."""

    def __init__(self, root: Path, *, server: str) -> None:
        self._versions = root / "versions" / hashlib.sha256(server.encode()).hexdigest()[:16]

    def known_version(self, queue: str, name: str, version: int) -> PublishedGrader | None:
        with suppress(OSError, ValueError):
            return published_grader(
                json.loads(self._version_file(queue, name, version).read_text())
            )
        return None

    def remember_version(self, grader: PublishedGrader) -> None:
        path = self._version_file(grader.queue, grader.name, grader.version)
        _write_atomically(path, grader.document)

    def _version_file(self, queue: str, name: str, version: int) -> Path:
        # Hashed, because a queue's name is any text.
        key = hashlib.sha256(json.dumps([queue, name, version]).encode()).hexdigest()[:32]
        return self._versions / f"{key}.json"


def _unpacked(content: bytes, place: Path) -> Path:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=".making-", dir=place.parent))
    try:
        unpack(content, making / "grader")
        with suppress(OSError):  # another process was first, with the same content
            (making / "grader").rename(place)
    except BundleRefused as error:
        raise GraderNotUsable(f"bundle sha256:{place.name}: {error}") from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return place


def _write_atomically(path: Path, document: Mapping[str, Any]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w") as file:
        json.dump(dict(document), file)
    Path(name).rename(path)
