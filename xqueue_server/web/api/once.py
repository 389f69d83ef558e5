"""`Idempotency-Key`: a request that came twice, because its answer was lost, acts once.

What was answered is kept for a day with the hash of the key, for whoever sent it. What was refused
(4xx) did nothing and leaves the key free. What broke off (5xx, a dead process) may have been done
or not: the key stays taken, so that a person looks before it is done again.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress

from flask import Request, Response

from xqueue_server.errors import StorageUnavailable
from xqueue_server.storage import Storage, idempotency
from xqueue_server.storage.idempotency import Answer
from xqueue_server.web.api.answer import HEADERS
from xqueue_server.web.api.caller import ApiCaller
from xqueue_server.web.api.problem import ApiError
from xqueue_server.web.api.route import JSON, Route

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
KEY = re.compile(r"[!-~]{1,255}")
RETRY_S = 1


class AnsweredBefore(Exception):
    """The same request was done before; nothing is done now."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


class Once:
    """One request with a key, from reading its body to its answer."""

    def __init__(self, storage: Storage, key_hash: bytes, request: Request) -> None:
        self._storage = storage
        self._key_hash = key_hash
        self._request = request
        self._is_begun = False

    def begin(self, content: bytes) -> None:
        """Before anything is done: claim the key for this request.

        Raises:
            AnsweredBefore: with the answer of then.
            ApiError: 409 while it is being done, 422 for another request with this key.
            StorageUnavailable.
        """
        request_hash = _hash_of_request(self._request, content)
        with self._storage.write() as tx:
            known = idempotency.begin(tx, self._key_hash, request_hash)
        self._is_begun = known is None
        if known is None:
            return
        if known.request_hash != request_hash:
            raise ApiError(422, "key-reused", f"This {HEADER} was sent with another request")
        if known.answer is None:
            raise ApiError(
                409,
                "key-in-use",
                f"A request with this {HEADER} is being done, or broke off. Ask again in a moment; "
                "if it stays so, look whether it was done before you send it with another key",
                retry_after_s=RETRY_S,
            )
        raise AnsweredBefore(_replayed(known.answer))

    def end(self, response: Response) -> None:
        """Keep the answer for whoever asks again; of a refusal, free the key."""
        if not self._is_begun or response.status_code >= 500:
            return
        # It is done, and answered; only a request that comes again will not be.
        with suppress(StorageUnavailable), self._storage.write() as tx:
            if response.status_code >= 400:
                idempotency.forget(tx, self._key_hash)
            else:
                idempotency.finish(tx, self._key_hash, _answer_of(response))


def once_of(request: Request, route: Route, caller: ApiCaller, storage: Storage) -> Once | None:
    """None without a key, and for what changes nothing. Raises: ApiError 422."""
    key = request.headers.get(HEADER)
    if key is None or route.method == "GET":
        return None
    if route.answers_secret:
        raise ApiError(
            422, "invalid", f"This takes no {HEADER}: its answer has a secret, and is not kept"
        )
    if not KEY.fullmatch(key):
        raise ApiError(
            422, "invalid", f"{HEADER} must have 1 to 255 visible ASCII characters, no spaces"
        )
    sender = f"{caller.account.id}:{caller.token_id or ''}"
    return Once(storage, _sha256(sender.encode(), key.encode()), request)


def _hash_of_request(request: Request, content: bytes) -> bytes:
    return _sha256(
        request.method.encode(),
        request.path.encode("utf-8", "surrogatepass"),
        request.query_string,
        content,
    )


def _sha256(*parts: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


def _answer_of(response: Response) -> Answer:
    return Answer(
        status=response.status_code,
        body=response.get_data(),
        location=response.headers.get("Location"),
    )


def _replayed(answer: Answer) -> Response:
    response = Response(answer.body, answer.status, content_type=JSON, headers=HEADERS)
    if answer.location is not None:
        response.headers["Location"] = answer.location
    response.headers[REPLAYED] = "true"
    return response
