"""Submissions and results for the wire tests, as an LMS and a grader send them."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any

from tests.wire.exchange import Answer, Wire

QUEUE = "test-queue"
OTHER_QUEUE = "another-queue"
NOBODY = "http://127.0.0.1:9"
"""An LMS that is not there: what is sent to it stays in the outbox."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOut:
    """What get_submission gave, and the two parts a reply needs."""

    raw: str
    header: str
    body: str
    files: str

    @property
    def submission_id(self) -> int:
        given = json.loads(self.header)["submission_id"]
        assert type(given) is int
        return given

    @property
    def key(self) -> str:
        key = json.loads(self.header)["submission_key"]
        assert isinstance(key, str)
        return key


def header(queue: str = QUEUE, **changes: Any) -> str:
    """An xqueue_header with a callback URL of its own."""
    url = f"{NOBODY}/courses/c/xqueue/1/{secrets.token_hex(8)}/score_update"
    fields = {"lms_callback_url": url, "lms_key": secrets.token_hex(16), "queue_name": queue}
    return json.dumps(fields | changes)


def submit(wire: Wire, *, body: str = "{}", header_text: str | None = None) -> Answer:
    form = {"xqueue_header": header_text or header(), "xqueue_body": body}
    return wire.post("/xqueue/submit/", form)


def fetch(wire: Wire, queue: str = QUEUE) -> HandedOut:
    raw = wire.get(f"/xqueue/get_submission/?queue_name={queue}").content
    parts = json.loads(raw)
    return HandedOut(
        raw=raw,
        header=parts["xqueue_header"],
        body=parts["xqueue_body"],
        files=parts["xqueue_files"],
    )


def put_result(wire: Wire, header_text: str, body: str = "{}") -> Answer:
    form = {"xqueue_header": header_text, "xqueue_body": body}
    return wire.post("/xqueue/put_result/", form)


def drain(wire: Wire, queue: str) -> None:
    """Lease whatever earlier tests left; a lease outlasts the whole test session."""
    while wire.get(f"/xqueue/get_submission/?queue_name={queue}").envelope["return_code"] == 0:
        pass
