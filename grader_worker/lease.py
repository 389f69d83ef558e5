"""A submission on loan: what get_submission handed out, before anyone looked inside."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from grader_worker.errors import ServerUnreachable

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?", re.DOTALL)
"""Of W3C trace context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueIsolation:
    """What the server's operator chose for graders that leave their isolation open; in the
    server's words, which may be newer than this worker."""

    isolation: str
    runtime: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedGrader:
    """The published version that is to grade a lease."""

    name: str
    version: int
    digest: str | None = None
    """Of its bundle, or None for an image."""
    image: str | None = None
    trial: int | None = None
    """A course team's trial, which has an assignment of its own."""
    queue_isolation: QueueIsolation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """`header` must go back verbatim: it is the only proof that the lease is ours."""

    header: str = field(repr=False)
    submission_id: str
    body: str = field(repr=False)
    files_json: str = field(repr=False, default="{}")
    attempt: int | None = None
    """Only servers that put it into the header tell."""
    grader: NamedGrader | None = None
    """Told by our server to workers that ask."""
    queue: str | None = None
    """Told by our server where several were asked for."""
    trace_id: str | None = None
    """Of the LMS's request, told by our server: for logs."""


def parse_lease(content: object) -> Lease:
    """Read the `content` of a successful get_submission (docs/reference/wire.md).

    Raises:
        ServerUnreachable: it is not the protocol's; nothing in it could be answered.
    """
    try:
        parts = _mapping(content)
        header = parts["xqueue_header"]
        facts = _mapping(header)
        submission_id = str(facts["submission_id"])
        body = parts["xqueue_body"]
        grader = _named_grader(facts.get("grader"))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise ServerUnreachable(f"get_submission answered something else: {error!r}") from error
    attempt, queue = facts.get("attempt"), facts.get("queue_name")
    return Lease(
        header=header if isinstance(header, str) else json.dumps(header),
        submission_id=submission_id,
        body=body if isinstance(body, str) else json.dumps(body),
        files_json=_as_json(parts.get("xqueue_files", "{}")),
        attempt=attempt if isinstance(attempt, int) else None,
        grader=grader,
        queue=queue if isinstance(queue, str) else None,
        trace_id=_trace_id(facts.get("traceparent")),
    )


def _trace_id(traceparent: object) -> str | None:
    found = _TRACEPARENT.fullmatch(traceparent) if isinstance(traceparent, str) else None
    return found[1] if found else None


def _named_grader(named: object) -> NamedGrader | None:
    if not isinstance(named, dict):
        return None
    trial = named.get("trial")
    return NamedGrader(
        name=str(named["name"]),
        version=int(named["version"]),
        digest=named.get("digest"),
        image=named.get("image"),
        trial=None if trial is None else int(trial),
        queue_isolation=queue_isolation(named.get("queue_isolation")),
    )


def queue_isolation(chosen: object) -> QueueIsolation | None:
    """Raises KeyError, TypeError: it has another shape."""
    if chosen is None:
        return None
    if not isinstance(chosen, dict):
        raise TypeError("queue_isolation is no object")
    runtime = chosen.get("runtime")
    return QueueIsolation(
        isolation=str(chosen["isolation"]), runtime=None if runtime is None else str(runtime)
    )


def _mapping(value: object) -> Mapping[str, Any]:
    loaded = json.loads(value) if isinstance(value, str) else value
    if not isinstance(loaded, dict):
        raise TypeError("not a JSON object")
    return loaded


def _as_json(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
