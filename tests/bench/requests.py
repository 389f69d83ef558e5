"""The bytes that clients send: built once, so that a request costs the client next to nothing."""

from __future__ import annotations

import hashlib
import json
from urllib.parse import quote_plus, urlencode

BODY_BYTES = 2048
CALLBACK = "http://127.0.0.1:9/courses/course-v1:Bench+B101+2026/xqueue/{user}/{block}/score_update"
BLOCK = "block-v1:Bench+B101+2026+type@problem+block@0123456789abcdef0123456789abcdef"
FORM = "application/x-www-form-urlencoded"
USER_MARK = "USERMARK"


def get(path: str, *, cookie: str = "") -> bytes:
    return _head("GET", path, cookie) + b"\r\n"


def post(path: str, fields: dict[str, str], *, cookie: str = "") -> bytes:
    return _post(path, urlencode(fields).encode(), cookie)


def _post(path: str, form: bytes, cookie: str) -> bytes:
    length = f"Content-Type: {FORM}\r\nContent-Length: {len(form)}\r\n\r\n"
    return _head("POST", path, cookie) + length.encode() + form


def _head(method: str, path: str, cookie: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", "User-Agent: bench"]
    if cookie:
        lines.append(f"Cookie: {cookie}")
    return "\r\n".join([*lines, ""]).encode()


def submission_body() -> str:
    """An xqueue_body as capa makes it, of `BODY_BYTES`."""
    student_info = {
        "anonymous_student_id": "d41d8cd98f00b204e9800998ecf8427e",
        "submission_time": "20260301120000",
        "random_seed": 1,
    }
    content = {
        "grader_payload": json.dumps({"grader": "unit1/sums", "points": 1}),
        "student_info": json.dumps(student_info),
        "student_response": "",
    }
    while len(json.dumps(content)) < BODY_BYTES:
        content["student_response"] += _line_of_code(len(content["student_response"]))
    surplus = len(json.dumps(content)) - BODY_BYTES
    content["student_response"] = content["student_response"][: -surplus or None]
    return json.dumps(content)


def _line_of_code(seed: int) -> str:
    """Varied, so that PostgreSQL compresses it no better than it would a learner's code."""
    noise = hashlib.sha256(str(seed).encode()).hexdigest()
    return f"    {noise[:7]} = {noise[7:11]}({noise[11:17]}, {seed})  # {noise[20:38]}\n"


BODY = submission_body()


def submission_header(queue: str, user: int | str) -> str:
    """An xqueue_header as the LMS makes it; every learner has a callback URL of their own."""
    callback_url = CALLBACK.format(user=user, block=BLOCK)
    return json.dumps(
        {"lms_callback_url": callback_url, "lms_key": f"key-of-{user}", "queue_name": queue}
    )


class SubmitTemplate:
    """POST /xqueue/submit/ for any learner of a queue."""

    def __init__(self, queue: str) -> None:
        header = submission_header(queue, USER_MARK)
        form = urlencode({"xqueue_header": header, "xqueue_body": BODY})
        self._parts = form.encode().split(USER_MARK.encode())

    def data(self, user: int, *, cookie: str = "") -> bytes:
        return _post("/xqueue/submit/", str(user).encode().join(self._parts), cookie)


_VERDICT = json.dumps({"correct": True, "score": 1, "msg": "<p>All 12 tests passed.</p>"})


def put_result(submission_id: int, key: str, *, cookie: str) -> bytes:
    header = json.dumps({"submission_id": submission_id, "submission_key": key})
    return post(
        "/xqueue/put_result/", {"xqueue_header": header, "xqueue_body": _VERDICT}, cookie=cookie
    )


def of_queue(endpoint: str, queue: str, *, cookie: str) -> bytes:
    return get(f"/xqueue/{endpoint}/?queue_name={quote_plus(queue)}", cookie=cookie)
