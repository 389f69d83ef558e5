"""Bundles: scripts that pages load into a worker, each named for its content."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from proctoring_hooks.worker.javascript import looks_like_html

OUR_PACKAGE = "xqueue-proctoring-worker"
MAX_BYTES = 5 * 1024 * 1024
_PACKAGE = re.compile(r"(?:@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*")
_HASH_DIGITS = 20


class BadBundle(ValueError):
    """A file that no page could use as a worker; the text names it and says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    package: str
    """npm package, by which an LMS's backend names it (`npm_module`)."""
    content: bytes = field(repr=False)

    @property
    def stem(self) -> str:
        """`@org/name` as `org__name`, the way packages of types are named on npm."""
        return self.package.removeprefix("@").replace("/", "__")

    @property
    def file(self) -> str:
        digest = hashlib.sha256(self.content).hexdigest()[:_HASH_DIGITS]
        return f"{self.stem}.{digest}.js"


def our_bundle(server_url: str, *, ping_outage: str = "echo") -> Bundle:
    """Our own worker, told where its service is.

    `server_url`: public address of the folder that the endpoints are in. `ping_outage`: "echo": a
    page does not break an attempt off because the service can not be reached; or "fail": it does.
    """
    if ping_outage not in ("fail", "echo"):
        raise ValueError(f"ping_outage is fail or echo, not {ping_outage!r}")
    told = json.dumps({"server": server_url.rstrip("/"), "pingOutage": ping_outage})
    return Bundle(
        package=OUR_PACKAGE,
        content=f"self.xqueueProctoring = {told};\n".encode() + our_source(),
    )


def our_source() -> bytes:
    return (resources.files("proctoring_hooks.worker") / "package" / "worker.js").read_bytes()


def provider_bundles(directory: Path) -> list[Bundle]:
    """Those of *.js in a directory; "name.js" is npm package "name", "org__name.js" is "@org/name".

    Raises:
        BadBundle
        OSError: the directory or a file can not be read.
    """
    if not directory.is_dir():
        raise BadBundle(f"{directory} is not a directory of worker bundles")
    return [_read(path) for path in sorted(directory.glob("*.js"))]


def _read(path: Path) -> Bundle:
    scope, separator, name = path.stem.partition("__")
    package = f"@{scope}/{name}" if separator else path.stem
    if not _PACKAGE.fullmatch(package):
        raise BadBundle(
            f"{path}: a bundle is named for its npm package, in small letters: "
            "name.js, or org__name.js for @org/name"
        )
    if path.stat().st_size > MAX_BYTES:
        raise BadBundle(f"{path}: larger than {MAX_BYTES} bytes")
    content = path.read_bytes()
    if not content.strip():
        raise BadBundle(f"{path} is empty")
    if looks_like_html(content):
        raise BadBundle(f"{path} is an HTML page, not JavaScript")
    return Bundle(package=package, content=content)


class Bundles:
    """All that a server has to offer; read once."""

    def __init__(self, bundles: Iterable[Bundle]) -> None:
        self._by_package: dict[str, Bundle] = {}
        for bundle in bundles:
            if bundle.package in self._by_package:
                raise BadBundle(f"there are two bundles for {bundle.package}")
            self._by_package[bundle.package] = bundle
        self._by_file = {bundle.file: bundle for bundle in self}
        self._by_stem = {f"{bundle.stem}.js": bundle for bundle in self}

    def __iter__(self) -> Iterator[Bundle]:
        return iter(self._by_package.values())

    def of_package(self, package: str) -> Bundle | None:
        return self._by_package.get(package)

    def hashed(self, file: str) -> Bundle | None:
        """By its name with the hash; None for a hash that is no longer, too."""
        return self._by_file.get(file)

    def named(self, file: str) -> Bundle | None:
        """By its name without a hash."""
        return self._by_stem.get(file)
