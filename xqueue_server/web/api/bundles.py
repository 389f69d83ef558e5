"""Bundles: bytes by their digest."""

from __future__ import annotations

import re

from flask import Response

from xqueue_server.authoring import publishing
from xqueue_server.errors import Conflict, NotFound
from xqueue_server.models.grader import MAX_BUNDLE_BYTES
from xqueue_server.web.api.answer import HEADERS, answer
from xqueue_server.web.api.body import read_bytes
from xqueue_server.web.api.call import ApiCall
from xqueue_server.web.api.caller import AUTHOR
from xqueue_server.web.api.problem import ApiError

HEX_DIGEST = re.compile(r"[0-9a-f]{64}")


def put_bundle(call: ApiCall, sha256: str) -> Response:
    with call.services.storage.read() as tx:
        is_author = bool(call.caller.queues_with(tx, AUTHOR))
    if not is_author:
        raise ApiError(403, "forbidden", "This needs the role author on a queue")
    if not HEX_DIGEST.fullmatch(sha256):
        raise ApiError(422, "invalid", "A bundle is named by 64 lower-case hex digits")
    content = read_bytes(call.request, MAX_BUNDLE_BYTES)
    try:
        is_new = publishing.store_bundle(
            call.services.storage, call.caller.account, sha256, content
        )
    except Conflict as error:
        raise ApiError(409, "digest-mismatch", f"{error}") from None
    call.note(bundle=sha256[:16], size_bytes=len(content))
    document = {"digest": f"sha256:{sha256}", "size_bytes": len(content)}
    return answer(document, 201 if is_new else 200)


def get_bundle(call: ApiCall, sha256: str) -> Response:
    if not HEX_DIGEST.fullmatch(sha256):
        raise NotFound("No such bundle")
    with call.services.storage.read() as tx:
        content = publishing.bundle_for(tx, call.caller.account, sha256)
    response = Response(content, content_type="application/octet-stream", headers=HEADERS)
    response.headers["Cache-Control"] = "private, max-age=31536000, immutable"
    response.headers["Content-Disposition"] = "attachment"
    response.set_etag(sha256)
    response.make_conditional(call.request)
    return response
