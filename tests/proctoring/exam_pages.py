"""An application with the exam service alone, and people who ask it with their LMS's tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from werkzeug.test import TestResponse

from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import Exam
from proctoring_hooks.lms import Lms
from proctoring_hooks.web.exam_service import exam_service
from proctoring_hooks.web.exam_service_store import AskLms, ExamService, asks_nobody
from tests.proctoring.conftest import LMS
from xqueue_server.accounts.failed_logins import FailedLogins
from xqueue_server.errors import StorageUnavailable
from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore, looks
from xqueue_server.web.proctoring.exams import StoredKeys

KEY = RSAKey.generate_key(2048)
OTHER_KEY = RSAKey.generate_key(2048)
ISSUER = "https://lms.example/oauth2"
MFE = "https://apps.example"
BASE = "https://xqueue.example"
STUDIO_SECRET = "studio-and-lms-share-this-one-with-us"
PUBLIC = json.dumps({"keys": [OTHER_KEY.as_dict(private=False), KEY.as_dict(private=False)]})
SERVED = replace(
    LMS,
    page_origins=(MFE,),
    jwt_issuer=ISSUER,
    jwt_keys=PUBLIC,
    studio_secret=STUDIO_SECRET,
)
THIRD_KEY = RSAKey.generate_key(2048)
ELSEWHERE = Lms(
    name="elsewhere",
    base_url="https://elsewhere.example",
    origins=("https://elsewhere.example",),
    backend="xqueue",
    client_id="elsewhere-client",
    client_secret="s",
    our_client_id="o",
    our_client_secret="s",
    obfuscation_key="k",
    jwt_issuer="https://elsewhere.example/oauth2",
    jwt_keys=json.dumps({"keys": [THIRD_KEY.as_dict(private=False)]}),
)


def page_of(exam: Exam, attempt: Attempt) -> str:
    return f"{BASE}/proctoring/attempt/{exam.id}-{attempt.id}"


def application(
    storage: Storage, store: ProctoringStore, clock: ManualClock, ask_lms: AskLms = asks_nobody
) -> Flask:
    numbers = count(1)
    service = ExamService(
        store=store,
        base_url=BASE,
        token_key=b"t" * 32,
        keys=StoredKeys(storage),
        failures=FailedLogins(),
        address=lambda: "192.0.2.1",
        request_id=lambda: f"request-{next(numbers)}",
        looked=lambda subject, who: looks.note(storage, [subject], who),
        new_id=lambda: f"new-{next(numbers)}",
        time_s=lambda: now_s(clock),
        monotonic_s=lambda: now_s(clock),
        page_of=page_of,
        ask_lms=ask_lms,
        unavailable=(StorageUnavailable,),
    )
    app = Flask("exams")
    app.url_map.merge_slashes = False
    app.register_blueprint(exam_service(service))
    return app


def now_s(clock: ManualClock) -> float:
    now_us = clock.now_us()
    assert now_us is not None
    return now_us / 1e6


def token(
    clock: ManualClock,
    claims: Mapping[str, Any],
    *,
    key: RSAKey | OctKey = KEY,
    algorithm: str = "RS512",
) -> str:
    """As LMSes make them; a claim that is None is left out."""
    said = {
        "iss": ISSUER,
        "aud": "openedx",
        "exp": int(now_s(clock)) + 3600,
        "iat": int(now_s(clock)),
        "scopes": ["user_id", "email", "profile"],
        "is_restricted": False,
        "version": "1.2.0",
        **claims,
    }
    given = {name: value for name, value in said.items() if value is not None}
    return jwt.encode({"alg": algorithm}, given, key, [algorithm])


@dataclass(frozen=True, slots=True)
class Page:
    """Somebody's page of the learning MFE."""

    client: FlaskClient
    clock: ManualClock
    claims: Mapping[str, Any]
    key: RSAKey = field(default_factory=lambda: KEY)

    @property
    def authorization(self) -> str:
        return f"JWT {token(self.clock, self.claims, key=self.key)}"

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> TestResponse:
        return self.client.open(
            f"/exams{path}",
            method=method,
            json=body,
            headers={"Authorization": self.authorization, **(headers or {})},
        )

    def get(self, path: str) -> TestResponse:
        return self.ask("GET", path)

    def begin(self, exam: Exam, *, start_clock: str = "true") -> TestResponse:
        body = {"exam_id": exam.id, "start_clock": start_clock, "attempt_proctored": "false"}
        return self.ask("POST", "/api/v1/exams/attempt", body)

    def begun(self, exam: Exam, *, start_clock: str = "true") -> int:
        answer = self.begin(exam, start_clock=start_clock)
        assert answer.status_code == 200, answer.text
        return int(answer.json["exam_attempt_id"])

    def act(self, attempt_id: int, action: str, **more: str) -> TestResponse:
        body = {"action": action, **more}
        return self.ask("PUT", f"/api/v1/exams/attempt/{attempt_id}", body)

    def exam(self, exam: Exam) -> dict[str, Any]:
        """What the page fetches after everything that it does."""
        path = f"/api/v1/student/exam/attempt/course_id/{exam.course_id}/content_id/"
        answer = self.get(path + exam.content_id)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json["exam"]
        return found

    def status(self, exam: Exam) -> str:
        return str(self.exam(exam)["attempt"].get("attempt_status", ""))


def person(user_id: int | None, username: str, **claims: Any) -> dict[str, Any]:
    return {
        "user_id": user_id,
        "preferred_username": username,
        "email": f"{username}@example.org",
        "name": username.title(),
        "administrator": False,
        "superuser": False,
        **claims,
    }
