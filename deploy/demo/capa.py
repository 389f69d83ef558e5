"""The LMS's side of a submission, request by request as its capa client makes them.

Written from the observed behaviour of that client (all releases since 2012): one new HTTP session
per submission, so that every submission is redirected to the login page first and posted again.
"""

from __future__ import annotations

import io
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import requests

CONNECT_TIMEOUT_S = 3.05
READ_TIMEOUT_S = 10.0
LOGIN_REQUIRED = "login_required"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueReply:
    """What the queue answered, or why there is no answer. `content` is shown to the learner."""

    accepted: bool
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedFile:
    name: str
    content: bytes


class CapaClient:
    """Posts submissions to one queue server with one account."""

    def __init__(
        self,
        *,
        url: str,
        username: str,
        password: str,
        basic_auth: tuple[str, str] | None = None,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        self._url = url.rstrip("/")
        self._credentials = {"username": username, "password": password}
        self._basic_auth = basic_auth
        self._timeout = (CONNECT_TIMEOUT_S, read_timeout_s)

    def submit(self, header: str, body: str, files: tuple[UploadedFile, ...] = ()) -> QueueReply:
        """Send one submission: four requests, because no session is ever kept.

        Raises:
            KeyError: the reply is JSON without `return_code` or `content` (capa breaks there too).
        """
        with requests.Session() as session:
            session.auth = self._basic_auth
            form = {"xqueue_header": header, "xqueue_body": body}
            streams = {f.name: io.BytesIO(f.content) for f in files}
            reply = self._post(session, "/xqueue/submit/", form, streams)
            if reply.accepted or reply.content != LOGIN_REQUIRED:
                return reply
            signed_in = self._post(session, "/xqueue/login/", self._credentials)
            if not signed_in.accepted:
                return signed_in
            for stream in streams.values():
                stream.seek(0)
            return self._post(session, "/xqueue/submit/", form, streams)

    def _post(
        self,
        session: requests.Session,
        path: str,
        form: Mapping[str, str],
        files: Mapping[str, io.BytesIO] | None = None,
    ) -> QueueReply:
        try:
            response = session.post(self._url + path, data=form, files=files, timeout=self._timeout)
        except requests.ConnectionError:
            return _refused("cannot connect to server")
        except requests.ReadTimeout:
            return _refused("failed to read from the server")
        return _read_reply(response)


def submission_header(*, callback_url: str, lms_key: str, queue: str) -> str:
    return json.dumps({"lms_callback_url": callback_url, "lms_key": lms_key, "queue_name": queue})


def submission_body(
    *, grader_payload: str, answer: str, learner: str, seed: int = 1, now: datetime | None = None
) -> str:
    """The body as graders know it: `student_info` is JSON inside JSON."""
    submitted_at = now or datetime.now(UTC)
    student_info = {
        "anonymous_student_id": learner,
        "submission_time": submitted_at.strftime("%Y%m%d%H%M%S"),
        "random_seed": seed,
    }
    return json.dumps(
        {
            "student_info": json.dumps(student_info),
            "grader_payload": grader_payload,
            "student_response": answer,
        }
    )


def new_lms_key() -> str:
    """A fresh key, shaped like capa's: 32 hex digits."""
    return secrets.token_hex(16)


def _read_reply(response: requests.Response) -> QueueReply:
    if response.status_code != requests.codes.ok:
        return _refused(f"unexpected HTTP status code [{response.status_code}]")
    try:
        reply = json.loads(response.text)
    except ValueError:
        return _refused("unexpected reply from server")
    return QueueReply(accepted=not reply["return_code"], content=reply["content"])


def _refused(reason: str) -> QueueReply:
    return QueueReply(accepted=False, content=reason)
