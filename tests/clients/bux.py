"""Double of bux-grader-framework's client: knows the server by the exact words of its replies."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import requests

TIMEOUT_S = 60


class BadCredentials(Exception):
    pass


class UnknownQueue(Exception):
    pass


class EmptyQueue(Exception):
    pass


class UnexpectedReply(Exception):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class BuxSubmission:
    """All parts parsed: each of them must be a string of JSON, or this client breaks."""

    header: dict[str, Any]
    body: dict[str, Any]
    files: dict[str, str]
    student_info: dict[str, Any]


class BuxClient:
    def __init__(self, *, url: str, username: str, password: str) -> None:
        self._url = url
        self._credentials = {"username": username, "password": password}
        self._session = requests.Session()

    def close(self) -> None:
        self._session.close()

    def login(self) -> None:
        reply = self._exchange("POST", "login", data=self._credentials)
        if reply["return_code"] == 0:
            return
        if reply["content"] == "Incorrect login credentials":
            raise BadCredentials
        raise UnexpectedReply(reply)

    def queue_length(self, queue: str) -> int:
        reply = self._request("GET", "get_queuelen", params={"queue_name": queue})
        if reply["return_code"] == 0:
            return int(reply["content"])
        if reply["content"].startswith("Valid queue names are"):
            raise UnknownQueue(queue)
        raise UnexpectedReply(reply)

    def get_submission(self, queue: str) -> BuxSubmission:
        reply = self._request("GET", "get_submission", params={"queue_name": queue})
        if reply["return_code"] == 0:
            return _parsed(json.loads(reply["content"]))
        if reply["content"] == f"Queue '{queue}' not found":
            raise UnknownQueue(queue)
        if reply["content"] == f"Queue '{queue}' is empty":
            raise EmptyQueue(queue)
        raise UnexpectedReply(reply)

    def put_result(self, submission: BuxSubmission, reply: dict[str, Any]) -> None:
        form = {"xqueue_header": json.dumps(submission.header), "xqueue_body": json.dumps(reply)}
        answer = self._request("POST", "put_result", data=form)
        if answer["return_code"] != 0:
            raise UnexpectedReply(answer)

    def _request(self, method: str, endpoint: str, **parts: Any) -> dict[str, Any]:
        """Follows the redirect to the login page, which says what to do."""
        reply = self._exchange(method, endpoint, **parts)
        if reply["content"] == "login_required":
            self.login()
            reply = self._exchange(method, endpoint, **parts)
        return reply

    def _exchange(self, method: str, endpoint: str, **parts: Any) -> dict[str, Any]:
        url = f"{self._url}/xqueue/{endpoint}/"
        response = self._session.request(method, url, timeout=TIMEOUT_S, **parts)
        reply = response.json()
        if not isinstance(reply, dict) or not {"return_code", "content"} <= reply.keys():
            raise UnexpectedReply(reply)
        return reply


def _parsed(content: dict[str, str]) -> BuxSubmission:
    body = json.loads(content["xqueue_body"])
    return BuxSubmission(
        header=json.loads(content["xqueue_header"]),
        body=body,
        files=json.loads(content["xqueue_files"]),
        student_info=json.loads(body["student_info"]),
    )
