"""The server's `/api/v1` as a worker uses it (its reference: docs/reference/api.md)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from grader_worker.errors import ServerUnreachable
from grader_worker.lease import QueueIsolation, queue_isolation
from grader_worker.xqueue_client import XQueueClient

MAX_BUNDLE_BYTES = 8 * 1024 * 1024
FETCH_TIMEOUT_S = 60.0
REPORTED_AT_ONCE = 30
"""Of the 500 that the server takes: their problems have to fit its 256 KB as well."""
PROBLEM_CHARS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedGrader:
    """One version as the server hands it to workers; `document` is its whole JSON object."""

    queue: str
    name: str
    version: int
    digest: str | None
    image: str | None
    manifest: Mapping[str, Any]
    document: Mapping[str, Any]
    is_default: bool = False
    queue_isolation: QueueIsolation | None = None
    """At the moment of the answer; what a lease says counts more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """What this host can say about one version."""

    grader: PublishedGrader
    problem: str | None
    """A sentence for the course team, of characters that can be shown."""
    image_created: datetime | None = None
    """When the base of the image that it runs in was made; None where nobody knows."""

    @classmethod
    def not_ready(cls, grader: PublishedGrader, why: str) -> Readiness:
        """`why` may quote anything: an engine's words, a registry's."""
        shown = "".join(char if char.isprintable() else " " for char in why[:PROBLEM_CHARS])
        return cls(grader=grader, problem=shown.strip() or "no reason was given")

    def as_item(self) -> dict[str, Any]:
        created = self.image_created
        return {
            "image_created": None if created is None else created.isoformat(),
            "queue": self.grader.queue,
            "name": self.grader.name,
            "version": self.grader.version,
            "ready": self.problem is None,
            "problem": self.problem,
        }


class ServerApi:
    """Raises of every request: ServerUnreachable, LoginRefused, RequestRefused."""

    def __init__(self, client: XQueueClient) -> None:
        self._client = client
        self._etag: str | None = None
        self._assignments: tuple[PublishedGrader, ...] = ()

    def assignments(self, queues: Iterable[str]) -> tuple[PublishedGrader, ...]:
        """The active version of each grader of these queues."""
        query = "&".join(f"queue={quote(queue, safe='')}" for queue in queues)
        answer = self._client.api("GET", f"assignments?{query}", if_none_match=self._etag)
        if answer.status != 304:
            listed = _object(answer.body).get("assignments")
            if not isinstance(listed, list):
                raise ServerUnreachable("assignments: the answer has no list")
            self._assignments = tuple(published_grader(each) for each in listed)
            self._etag = answer.etag
        return self._assignments

    def version(self, queue: str, name: str, version: int) -> PublishedGrader:
        path = f"assignments/{quote(queue, safe='')}/{quote(name, safe='')}/{version}"
        return published_grader(_object(self._client.api("GET", path).body))

    def trial(self, trial_id: int) -> PublishedGrader:
        return published_grader(
            _object(self._client.api("GET", f"trials/{trial_id}/assignment").body)
        )

    def bundle(self, digest: str) -> bytes:
        """The bytes as they came; whoever stores them checks the digest."""
        hexadecimal = digest.removeprefix("sha256:")
        return self._client.api(
            "GET",
            f"bundles/{quote(hexadecimal, safe='')}",
            timeout_s=FETCH_TIMEOUT_S,
            max_bytes=MAX_BUNDLE_BYTES,
        ).body

    def report_readiness(self, host: str, items: Sequence[Readiness]) -> None:
        for start in range(0, len(items), REPORTED_AT_ONCE):
            some = items[start : start + REPORTED_AT_ONCE]
            body = {"host": host, "items": [item.as_item() for item in some]}
            self._client.api("PUT", "readiness", body=json.dumps(body).encode())


def published_grader(document: object) -> PublishedGrader:
    """Raises ServerUnreachable: an answer of another shape is no answer of this API."""
    try:
        parts = dict(document)  # type: ignore[call-overload]
        digest, image = parts["digest"], parts["image"]
        if {type(digest), type(image)} != {str, type(None)}:
            raise TypeError("neither bundle nor image, or both")
        if not isinstance(parts["manifest"], dict):
            raise TypeError("no manifest")
        return PublishedGrader(
            queue=str(parts["queue"]),
            name=str(parts["name"]),
            version=int(parts["version"]),
            digest=digest,
            image=image,
            manifest=parts["manifest"],
            document=parts,
            is_default=bool(parts.get("default")),
            queue_isolation=queue_isolation(parts.get("queue_isolation")),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ServerUnreachable(f"an assignment of another shape: {error!r}") from error


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ServerUnreachable(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ServerUnreachable("not a JSON object")
    return value
