"""An LMS as it calls a provider: the requests of edx-proctoring's REST backend, at a server's
application or over HTTP."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from proctoring_hooks.lms import Lms

TOKEN = "/proctoring/oauth2/access_token"
API = "/proctoring/api/v1"
JANE = "a" * 40
EXAM = {
    "id": 11,
    "course_id": "course-v1:edX+DemoX+2026",
    "content_id": "block-v1:edX+DemoX+2026+type@sequential+block@e1",
    "external_id": None,
    "exam_name": "Midterm",
    "time_limit_mins": 30,
    "is_proctored": True,
    "is_practice_exam": False,
    "is_active": True,
    "due_date": "2030-01-01T00:00:00Z",
    "hide_after_due": False,
    "backend": "xqueue",
}
ATTEMPT = {
    "lms_host": "http://lms.example",
    "time_limit_mins": 30,
    "is_sample_attempt": False,
    "user_id": JANE,
    "full_name": "Jane Doe",
    "email": "jane@example.com",
    "status": "created",
}


class LmsCaller:
    """Signed in."""

    def __init__(self, client: FlaskClient, lms: Lms) -> None:
        self._client = client
        answer = sign_in(client, lms.client_id, lms.client_secret)
        assert answer.status_code == 200, answer.text
        self.token = answer.get_json()["access_token"]

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> TestResponse:
        return self._client.open(
            f"{API}{path}",
            method=method,
            json=body,
            headers={"Authorization": f"JWT {self.token}"},
            **more,
        )

    def save(self, external_id: str | None = None, **fields: Any) -> str:
        path = f"/exam/{external_id}/" if external_id else "/exam/"
        return _id(self.ask("POST", path, EXAM | {"external_id": external_id} | fields))

    def register(self, exam: str, **fields: Any) -> str:
        return _id(self.ask("POST", f"/exam/{exam}/attempt/", ATTEMPT | fields))

    def tell(self, exam: str, attempt: str, status: str) -> TestResponse:
        return self.ask("PATCH", f"/exam/{exam}/attempt/{attempt}/", {"status": status})

    def attempt(self, exam: str, attempt: str) -> TestResponse:
        return self.ask("GET", f"/exam/{exam}/attempt/{attempt}/")

    def remove(self, exam: str, attempt: str) -> TestResponse:
        return self.ask("DELETE", f"/exam/{exam}/attempt/{attempt}/")


def sign_in(client: FlaskClient, client_id: str, client_secret: str) -> TestResponse:
    form = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": client_secret,
        "token_type": "jwt",
    }
    return client.post(TOKEN, data=form)


def _id(answer: TestResponse) -> str:
    assert answer.status_code == 200, answer.text
    found = answer.get_json()["id"]
    assert isinstance(found, str)
    return found
