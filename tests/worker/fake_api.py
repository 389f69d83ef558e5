"""The server's `/api/v1` as workers see it, and graders published on it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from graders.bundle import pack
from graders.manifest import manifest_to_json
from tests.kit.written import SQUARE, write_files

API_PREFIX = "/api/v1/"
Document = dict[str, object]


@dataclass
class FakeApi:
    """What was published, and what workers asked and reported."""

    active: list[Document] = field(default_factory=list)
    versions: dict[str, Document] = field(default_factory=dict)
    """`QUEUE/NAME/VERSION`, or `trials/ID/assignment`."""
    bundles: dict[str, bytes] = field(default_factory=dict)
    """By digest, whether or not it is theirs."""
    reports: list[Document] = field(default_factory=list)
    hosts: dict[str, Document] = field(default_factory=dict)
    """What each host announced last."""
    announcements: int = 0
    to_hosts: Document = field(default_factory=lambda: {"wishes": [], "desired": []})
    """What they are answered."""
    foreign_queues: set[str] = field(default_factory=set)
    """Whose workers it takes no announcement of."""
    asked: list[str] = field(default_factory=list)
    broken: dict[str, list[int]] = field(default_factory=dict)
    """First part of the path -> statuses to answer before working again."""

    def publish(
        self, directory: Path, *, version: int = 1, queue: str = "python", default: bool = True
    ) -> Document:
        """A new active version of the directory's grader."""
        bundle = pack(directory)
        self.bundles[bundle.digest] = bundle.content
        manifest = manifest_to_json(bundle.manifest)
        return self.add(manifest, bundle.digest, None, version, queue, default)

    def publish_image(
        self, directory: Path, image: str, *, version: int = 1, default: bool = True
    ) -> Document:
        manifest = manifest_to_json(pack(directory).manifest)
        return self.add(manifest, None, image, version, "python", default)

    def add(
        self,
        manifest: Mapping[str, object],
        digest: str | None,
        image: str | None,
        version: int,
        queue: str,
        default: bool,
    ) -> Document:
        name = manifest["name"]
        document = {"queue": queue, "name": name, "version": version, "default": default}
        document |= {"digest": digest, "image": image, "manifest": dict(manifest)}
        self.versions[f"{queue}/{name}/{version}"] = document
        others = [one for one in self.active if (one["queue"], one["name"]) != (queue, name)]
        self.active = [*others, document]
        return document

    def reported(self) -> dict[tuple[object, object], object]:
        """(name, version) -> what its latest report says is wrong with it."""
        items = [item for report in self.reports for item in report["items"]]
        return {(item["name"], item["version"]): item["problem"] for item in items}

    # The protocol

    def answer(self, method: str, path: str, body: bytes, signed_in: bool, known: str | None):
        self.asked.append(f"{method} {path}")
        where = urlsplit(path).path
        statuses = self.broken.get(where.split("/")[0])
        if statuses:
            return statuses.pop(0), b'{"detail": "broken on purpose"}', {}
        if not signed_in:
            return 401, b"{}", {}
        if where.startswith("workers/"):
            return self._answer_host(method, unquote(where.removeprefix("workers/")), body)
        if method == "PUT":
            self.reports.append(json.loads(body))
            return 204, b"", {}
        found = self._found(where)
        if found is None:
            return 404, b'{"detail": "No such thing"}', {}
        etag = f'"{hashlib.sha256(found).hexdigest()[:16]}"'
        if known == etag:
            return 304, b"", {"ETag": etag}
        return 200, found, {"ETag": etag}

    def _answer_host(self, method: str, host: str, body: bytes):
        if method == "DELETE":
            del self.hosts[host]
            return 204, b"", {}
        said = json.loads(body)
        refused = [
            {"where": f"workers[{at}].queue", "problem": "is not yours"}
            for at, worker in enumerate(said["workers"])
            if worker["queue"] in self.foreign_queues
        ]
        if refused:
            return 403, json.dumps({"detail": "no", "errors": refused}).encode(), {}
        self.hosts[host] = said
        self.announcements += 1
        return 200, json.dumps({"beat_s": 10} | self.to_hosts).encode(), {}

    def _found(self, where: str) -> bytes | None:
        if where == "assignments":
            return json.dumps({"assignments": self.active}).encode()
        if where.startswith("bundles/"):
            return self.bundles.get("sha256:" + where.removeprefix("bundles/"))
        document = self.versions.get(unquote(where.removeprefix("assignments/")))
        return None if document is None else json.dumps(document).encode()


def named(document: Mapping[str, object]) -> Document:
    """What a lease's header says of that version."""
    return {key: document[key] for key in ("name", "version", "digest", "image")}


def square_grader(directory: Path, *, returns: int = 9, name: str = "square") -> Path:
    text = SQUARE.replace("returns: 9", f"returns: {returns}").replace("square\n", f"{name}\n", 1)
    return write_files(directory, {"grader.yaml": text})
