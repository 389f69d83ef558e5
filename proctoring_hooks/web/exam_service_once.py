"""`Idempotency-Key`: a request that comes twice, because its answer was lost, acts once.

What was answered is kept with hashes of the key and of whoever sent it. What was refused did
nothing and leaves the key free; what broke off may have been done or not: its key stays taken.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

from flask import Response, request

from proctoring_hooks.web.exam_service_callers import caller_of
from proctoring_hooks.web.exam_service_errors import (
    MAX_BODY,
    MAX_PUBLISHED,
    Problem,
    answer,
    bad_request,
    content,
)
from proctoring_hooks.web.exam_service_store import Answered, ExamService

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_KEY = re.compile(r"[!-~]{1,255}")


def once(service: ExamService, view: Callable[[], Response]) -> Response:
    """The view's answer, or the one that this request has got before. Raises: Problem."""
    key = request.headers.get(HEADER)
    if key is None or request.method not in METHODS:
        return view()
    if not _KEY.fullmatch(key):
        raise bad_request(f"{HEADER} must have 1 to 255 visible ASCII characters, no spaces")
    with service.store.read() as session:
        caller = caller_of(session, request)
    sender = f"exams {caller.lms.name} {caller.user_id} {caller.person.username}"
    key_hash = _sha256(sender.encode(), key.encode())
    request_hash = _hash_of_request()
    known = service.keys.begin(key_hash, request_hash)
    if known is not None:
        return _known(known, request_hash)
    try:
        response = view()
    except Problem as problem:
        if problem.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            service.keys.forget(key_hash)
        raise
    # It is done, and answered; only a request that comes again would not be.
    with suppress(*service.unavailable):
        service.keys.finish(key_hash, response.status_code, response.get_data())
    return response


def _known(known: Answered, request_hash: bytes) -> Response:
    if known.request_hash != request_hash:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"This {HEADER} was sent with another request"
        )
    if known.status is None:
        raise Problem(
            HTTPStatus.CONFLICT,
            f"A request with this {HEADER} is being done, or broke off. Ask again in a moment; if "
            "it stays so, look whether it was done before you send it with another key",
            headers={"Retry-After": "1"},
        )
    response = answer(None, HTTPStatus(known.status), {REPLAYED: "true"})
    response.set_data(known.body)
    return response


def _hash_of_request() -> bytes:
    limit = MAX_PUBLISHED if request.method == "PATCH" else MAX_BODY
    return _sha256(
        request.method.encode(),
        request.path.encode("utf-8", "surrogatepass"),
        request.query_string,
        content(limit),
    )


def _sha256(*parts: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()
