"""The web application with an exam, and people at its pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from proctoring_hooks import attempts
from proctoring_hooks.attempt import Attempt, Learner
from proctoring_hooks.exam import Exam
from proctoring_hooks.links import attempt_link
from proctoring_hooks.transitions import Action, Actor, By
from tests.admin.visitor import ORIGIN, Page
from xqueue_server.secret_key import key_for
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.web.proctoring import console_session
from xqueue_server.web.proctoring.paths import CONSOLE
from xqueue_server.web.proctoring.provider import LINKS

LEARNER = By(actor=Actor.LEARNER, who="learner")
LMS_SAYS = By(actor=Actor.LMS, who="lms edx")


def sitting(store: ProctoringStore, exam: Exam, *, user_id: str, by: By = LEARNER) -> Attempt:
    """Of a learner who has come, and not started."""
    asked = attempts.Registration(
        learner=Learner(user_id=user_id), external_id=f"sitting-{exam.id}-{user_id}"
    )
    with store.write() as session:
        return attempts.register(session, exam, asked, by).attempt


def act(store: ProctoringStore, attempt_id: int, *actions: Action, actor: Actor) -> Attempt:
    with store.write() as session:
        for action in actions:
            by = By(actor=actor, who=actor)
            found = attempts.act(session, attempt_id, action, by).attempt
    return found


def begun(store: ProctoringStore, exam: Exam, *, user_id: str = "42") -> Attempt:
    """Of a learner who writes."""
    attempt = sitting(store, exam, user_id=user_id)
    act(store, attempt.id, Action.READY, actor=Actor.PROVIDER)
    return act(store, attempt.id, Action.START, actor=Actor.LEARNER)


def submitted(store: ProctoringStore, exam: Exam, *, user_id: str = "42") -> Attempt:
    attempt = begun(store, exam, user_id=user_id)
    return act(store, attempt.id, Action.SUBMIT, actor=Actor.LEARNER)


def look(store: ProctoringStore, attempt_id: int) -> Attempt:
    with store.read() as session:
        return session.attempts.get(attempt_id)


def link_of(store: ProctoringStore, secret_key: bytes, attempt_id: int, base_url: str = "") -> str:
    with store.read() as session:
        now = session.now
    return attempt_link(key_for(LINKS, secret_key), base_url, attempt_id, now=now)


@dataclass(kw_only=True)
class AtConsole:
    """Somebody with a session at the console, and a browser that runs no script."""

    app: Flask

    def __post_init__(self) -> None:
        self.client = self.app.test_client()

    def carry(self, secret: str) -> None:
        self.client.set_cookie(console_session.COOKIE, secret, path=CONSOLE)

    def see(self, path: str = "/", **query: str) -> Page:
        return Page(self.client.get(CONSOLE + path, query_string=query or None))

    def raw(self, path: str, **request: Any) -> TestResponse:
        return self.client.get(CONSOLE + path, **request)

    def form(self, attempt_id: int, deed: str) -> Mapping[str, str]:
        """What the page would send, with nothing filled in."""
        return (
            self.see(f"/attempts/{attempt_id}")
            .form(f"{CONSOLE}/attempts/{attempt_id}/{deed}")
            .fields
        )

    def offers(self, attempt_id: int) -> set[str]:
        page = self.see(f"/attempts/{attempt_id}")
        assert page.status == 200
        return set(re.findall(rf'action="{CONSOLE}/attempts/{attempt_id}/(\w+)"', page.text))

    def do(self, attempt_id: int, deed: str, **filled: str) -> Page:
        return self.send(
            f"/attempts/{attempt_id}/{deed}", **dict(self.form(attempt_id, deed)) | filled
        )

    def send(self, path: str, origin: str = ORIGIN, **fields: str) -> Page:
        headers = {"Origin": origin}
        return Page(
            self.client.post(CONSOLE + path, data=fields, headers=headers, follow_redirects=True)
        )


def instructor(app: Flask, storage: Storage, *, lms: str = "edx", course_id: str) -> AtConsole:
    at = AtConsole(app=app)
    at.carry(
        console_session.begin_for_instructor(
            storage, lms=lms, course_id=course_id, obscured_id="0b5c", email="ida@example.org"
        )
    )
    return at
