"""The web application called without sockets: signed in by cookie, answers taken apart."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.server.builders import QUEUE, Desk, grade, lms_body, lms_header
from xqueue_server.models.account import Account
from xqueue_server.web.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    code: int
    content: Any


def read_answer(response: TestResponse) -> Answer:
    """Take the envelope apart; anything but an answer of the wire fails."""
    assert response.status_code == 200, response
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    parsed = json.loads(response.get_data())
    assert list(parsed) == ["return_code", "content"]
    assert type(parsed["return_code"]) is int
    return Answer(code=parsed["return_code"], content=parsed["content"])


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOut:
    """What get_submission gave."""

    submission_id: int
    key: str
    body: str
    files_json: str

    @property
    def header(self) -> str:
        return json.dumps({"submission_id": self.submission_id, "submission_key": self.key})


def read_handed_out(content: str) -> HandedOut:
    parts = json.loads(content)
    assert list(parts) == ["xqueue_header", "xqueue_body", "xqueue_files"]
    header = json.loads(parts["xqueue_header"])
    return HandedOut(
        submission_id=header["submission_id"],
        key=header["submission_key"],
        body=parts["xqueue_body"],
        files_json=parts["xqueue_files"],
    )


class Caller:
    """One account (or nobody) at the application."""

    def __init__(self, app: Flask, session: str | None) -> None:
        self._app = app
        self._session = session

    def client(self) -> FlaskClient:
        client = self._app.test_client()
        if self._session:
            client.set_cookie("sessionid", self._session)
        return client

    def raw(self, method: str, path: str, **request: Any) -> TestResponse:
        with self.client() as client:
            return client.open(path, method=method, buffered=True, **request)

    def get(self, path: str, **query: str) -> Answer:
        return read_answer(self.raw("GET", f"/xqueue/{path}/", query_string=query))

    def post(self, path: str, **fields: Any) -> Answer:
        return read_answer(self.raw("POST", f"/xqueue/{path}/", data=fields))

    def submit(self, header: str | None = None, body: str | None = None, **files: Any) -> Answer:
        return self.post(
            "submit",
            xqueue_header=lms_header() if header is None else header,
            xqueue_body=lms_body() if body is None else body,
            **files,
        )

    def try_fetch(self, queue: str = QUEUE, **query: str) -> Answer:
        return self.get("get_submission", queue_name=queue, **query)

    def fetch(self, queue: str = QUEUE, **query: str) -> HandedOut:
        answer = self.try_fetch(queue, **query)
        assert answer.code == 0, answer
        return read_handed_out(answer.content)

    def put(self, given: HandedOut, body: str | None = None) -> Answer:
        return self.post(
            "put_result", xqueue_header=given.header, xqueue_body=grade() if body is None else body
        )


class Server:
    """The application, and callers for the desk's accounts."""

    def __init__(self, app: Flask, desk: Desk) -> None:
        self.app = app
        self.desk = desk
        self.lms = self.caller(desk.lms)
        self.grader = self.caller(desk.grader)
        self.nobody = Caller(app, None)

    @property
    def services(self) -> Services:
        services = self.app.extensions["xqueue"]
        assert isinstance(services, Services)
        return services

    def caller(self, account: Account) -> Caller:
        return Caller(self.app, self.services.sessions.issue(account))
