"""All faces of proctored exams at once: one LMS with a course and a learner who sits there, another
LMS, providers, and everybody who could ask for something."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from flask import Flask
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from proctoring_hooks import attempts
from proctoring_hooks.attempt import Attempt, Learner
from proctoring_hooks.clock import Allowance, AllowanceKind
from proctoring_hooks.exam import ClockOwner, Terms
from proctoring_hooks.grades import GradeState, Standing
from proctoring_hooks.providers.base import Entry
from proctoring_hooks.worker.ticket import Ticket, issue
from tests.proctoring.conftest import COURSE, EXAM, SECRET_KEY
from tests.proctoring.exam_pages import (
    ELSEWHERE,
    ISSUER,
    KEY,
    SERVED,
    STUDIO_SECRET,
    THIRD_KEY,
    person,
    token,
)
from tests.proctoring.lms_caller import JANE, sign_in
from tests.proctoring.site import link_of
from tests.proctoring.sitting import LEARNER, LMS_SAYS
from tests.server.builders import PASSWORD, QUEUE, add_account, add_queue, open_desk
from xqueue_server import settings
from xqueue_server.app import create_app
from xqueue_server.instant import ManualClock, to_datetime
from xqueue_server.models.account import ALL_QUEUES, QUEUE_ROLES, Grant, Role
from xqueue_server.models.api_token import new_token, token_hash
from xqueue_server.secret_key import key_for
from xqueue_server.storage import Storage, accounts, course_grants, tokens
from xqueue_server.storage.course_grants import CourseGrant
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.web.admin import session as admin_session
from xqueue_server.web.admin.security import csrf_token
from xqueue_server.web.proctoring import console_session
from xqueue_server.web.services import SERVICES

HOST = "http://localhost"
OTHER_COURSE = "course-v1:edX+Other+2026"
NAME = "exam-of-one"
MINE = replace(SERVED, client_secret="lms-secret-of-some-length")
MARKS = (NAME, "jane-of-one", "Jane Ofone", "watch-secret", "lms-secret", STUDIO_SECRET)
"""Words that nobody reads who has nothing to do with the course, and secrets."""
WATCH = Entry(
    name="watch",
    plugin="rest",
    settings={"base_url": "https://watch.example", "callback_client_id": "watch-client"},
    secrets={"callback_client_secret": "watch-secret"},
)
RIVAL = Entry(
    name="rival",
    plugin="rest",
    settings={"base_url": "https://rival.example", "callback_client_id": "rival-client"},
    secrets={"callback_client_secret": "rival-secret"},
)
PUBLISHED = {
    "content_id": "ours",
    "exam_name": NAME,
    "time_limit_mins": 60,
    "due_date": None,
    "exam_type": "proctored",
    "hide_after_due": False,
    "is_active": True,
}
PREFIXES = ("/proctoring", "/exams", "/csrf", "/admin/proctoring")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """What comes along with his requests."""

    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)
    console: str = ""
    """Secret of a session at the console."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faces:
    app: Flask
    storage: Storage
    store: ProctoringStore
    clock: ManualClock
    ours: Attempt
    """At an exam whose clock is ours; a provider watches it."""
    theirs: Attempt
    """One that the LMS keeps."""
    parts: Mapping[str, str]
    bodies: Mapping[str, Any]
    """By name, those with ids in them."""
    callers: Mapping[str, Caller]

    def rules(self) -> list[tuple[str, Rule]]:
        """Every route under the prefixes with each of its methods, but for HEAD."""
        return [
            (method, rule)
            for rule in self.app.url_map.iter_rules()
            if rule.rule.startswith(PREFIXES)
            for method in sorted((rule.methods or set()) - {"HEAD"})
        ]

    def path(self, rule: str, **changed: str) -> str:
        """With the ids of what is there."""
        parts = {**self.parts, **changed}
        if rule.startswith("/proctoring/api/") and "exam_id" not in changed:
            parts["exam_id"] = parts["their_exam"]
        if rule.startswith("/proctoring/api/") and "attempt_id" not in changed:
            parts["attempt_id"] = parts["their_attempt"]
        return re.sub(r"<(?:\w+:)?(\w+)>", lambda found: parts[found[1]], rule)

    def ask(self, who: Caller, method: str, path: str, **request: Any) -> TestResponse:
        client = self.app.test_client(use_cookies=False)
        cookies = "; ".join(f"{name}={value}" for name, value in who.cookies.items())
        headers = {"Origin": HOST, "Cookie": cookies, **who.headers}
        return client.open(path, method=method, headers=headers, buffered=True, **request)

    def form(self, who: Caller, **fields: str) -> dict[str, str]:
        """As a page of the console would send it."""
        with self.store.read() as session:
            version = session.attempts.even_removed(self.ours.id).version
        return {
            "csrf": csrf_token(SECRET_KEY, who.console),
            "key": "0" * 32,
            "version": str(version),
            "reason": "because",
            "sure": "yes",
            **fields,
        }

    def state(self) -> list[Any]:
        """Everything that a request without the right must leave as it is."""
        with self.store.read() as session:
            return [
                session.attempts.even_removed(self.ours.id),
                session.attempts.even_removed(self.theirs.id),
                session.exams.of_course("edx", COURSE, active_only=False),
                session.service.course("edx", COURSE),
                session.service.allowances_of([self.ours.exam_id]),
                session.records.incidents(self.ours.id),
                session.records.reviews_with_times(self.ours.id),
                session.grades.of_attempt(self.ours.id),
                session.names("edx", Learner(user_id="17")),
                session.names("edx", Learner(obscured_id=JANE)),
            ]


def make_faces(storage: Storage, clock: ManualClock, url: str, data_dir: str) -> Faces:
    app = create_app(
        settings.load(
            {
                "XQUEUE_DATA_DIR": data_dir,
                "XQUEUE_DATABASE_URL": url,
                "XQUEUE_SECRET_KEY": SECRET_KEY.decode(),
                "XQUEUE_LMS_ORIGINS": "https://lms.example",
                "XQUEUE_PUBLIC_URL": "https://xqueue.example.org",
            }
        ),
        storage,
    )
    app.extensions[SERVICES].failed_tokens._max_failures = 10_000  # many are wrong, on purpose
    store = ProctoringStore(storage, SECRET_KEY)
    add_queue(storage)
    held = open_desk(storage, clock).submit()
    with store.write() as session:
        session.lmses.add(MINE)
        session.lmses.add(ELSEWHERE)
        session.recipients.put_provider(WATCH)
        session.recipients.put_provider(RIVAL)
        exam = session.exams.add(
            replace(EXAM, exam_name=NAME, content_id="ours", terms=Terms(provider="watch"))
        )
        their_exam = session.exams.add(
            replace(
                EXAM,
                exam_name=NAME,
                content_id="theirs",
                clock_owner=ClockOwner.LMS,
                external_id="their-exam",
            )
        )
        ours = attempts.register(
            session,
            exam,
            attempts.Registration(learner=Learner(user_id="17"), external_id="ours-1"),
            LEARNER,
        ).attempt
        session.attempts.set_provider_id(ours.id, "watched-1")
        theirs = attempts.register(
            session,
            their_exam,
            attempts.Registration(
                learner=Learner(obscured_id=JANE), external_id="their-attempt", allowed_s=600
            ),
            LMS_SAYS,
        ).attempt
        minutes = Allowance(kind=AllowanceKind.ADDITIONAL_MINUTES, value=5)
        session.exams.allow(exam.id, "17", minutes, who="test")
        allowance = session.service.allowances_of([exam.id])[0].id
        for learner in ("17", JANE):
            session.learners.tell("edx", learner, full_name="Jane Ofone", email="jane-of-one@x.y")
        session.grades.add(held, exam.id, ours.id, Standing.LATE, GradeState.FLAGGED, factor=1.0)
        ours = session.attempts.get(ours.id)
    parts = {
        "exam_id": str(exam.id),
        "attempt_id": str(ours.id),
        "their_exam": "their-exam",
        "their_attempt": "their-attempt",
        "external_id": "watched-1",
        "course_id": COURSE,
        "content_id": "ours",
        "allowance_id": str(allowance),
        "user_id": JANE,
        "client_id": "nobody",
        "deed_name": "ready",
        "token": link_of(store, SECRET_KEY, ours.id).rpartition("/")[2],
        "digest": "0" * 16,
        "name": "admin.css",
        "file": "nothing.js",
        "anything": "nothing",
    }
    return Faces(
        app=app,
        storage=storage,
        store=store,
        clock=clock,
        ours=ours,
        theirs=theirs,
        parts=parts,
        bodies={
            "allowances": [{"username": "zoe", "exam_id": exam.id, "extra_time_mins": 5}],
            "published": [PUBLISHED],
        },
        callers={
            "nobody": Caller(),
            **_of_accounts(app, storage),
            **_at_console(storage),
            **_with_tokens(clock),
            **_systems(app, clock),
        },
    )


def _of_accounts(app: Flask, storage: Storage) -> dict[str, Caller]:
    """Of this server, at its other doors."""
    found = {}
    for role in (Role.LMS, Role.ADMIN):
        account = add_account(storage, f"queue-{role}", role, queue=QUEUE)
        found[f"queue {role}"] = Caller(headers=_bearer(storage, account.name, role, QUEUE))
    chief = add_account(storage, "chief", *QUEUE_ROLES, Role.ADMIN, queue=ALL_QUEUES)
    pair = base64.b64encode(f"{chief.name}:{PASSWORD}".encode()).decode()
    admin = admin_session.begin(storage, chief)
    wire = app.extensions[SERVICES].sessions.issue(chief)
    found["chief's token"] = Caller(headers=_bearer(storage, "chief", Role.ADMIN, ALL_QUEUES))
    found["chief's password"] = Caller(headers={"Authorization": f"Basic {pair}"})
    found["chief on the wire"] = Caller(cookies={"sessionid": wire})
    found["chief at the admin pages"] = Caller(cookies={admin_session.COOKIE: admin})
    found["their cookie at the console"] = Caller(cookies={console_session.COOKIE: admin})
    return found


def _bearer(storage: Storage, name: str, role: Role, queue: str) -> dict[str, str]:
    secret = new_token()
    expires_at = to_datetime(storage.now_us()) + timedelta(days=30)
    scopes = [Grant(role=role, queue=queue)]
    with storage.write() as tx:
        tokens.add(tx, name, scopes, hashed=token_hash(secret), expires_at=expires_at, actor="test")
    return {"Authorization": f"Bearer {secret}"}


def _at_console(storage: Storage) -> dict[str, Caller]:
    found = {}
    for name, role, course in (
        ("course viewer", Role.VIEWER, COURSE),
        ("proctor", Role.PROCTOR, COURSE),
        ("course operator", Role.OPERATOR, COURSE),
        ("proctor of another course", Role.PROCTOR, OTHER_COURSE),
        ("gone", Role.PROCTOR, COURSE),
        ("disabled", Role.PROCTOR, COURSE),
    ):
        account = add_account(storage, name.replace(" ", "-"))
        with storage.write() as tx:
            given = CourseGrant(role=role, course=course)
            course_grants.grant(tx, account.name, given, actor="test")
        found[name] = _carrying(console_session.begin_for_account(storage, account))
    everywhere = add_account(storage, "chief-there", Role.ADMIN, queue=ALL_QUEUES)
    found["chief at the console"] = _carrying(
        console_session.begin_for_account(storage, everywhere)
    )
    nobody = add_account(storage, "without-a-role", Role.GRADER, queue=QUEUE)
    found["without a role"] = _carrying(console_session.begin_for_account(storage, nobody))
    with storage.write() as tx:
        accounts.set_active(tx, "disabled", False, actor="test")
        course_grants.revoke(
            tx, "gone", CourseGrant(role=Role.PROCTOR, course=COURSE), actor="test"
        )
    for name, lms, course in (
        ("instructor", "edx", COURSE),
        ("instructor of another course", "edx", OTHER_COURSE),
        ("instructor of another LMS", "elsewhere", COURSE),
    ):
        secret = console_session.begin_for_instructor(
            storage, lms=lms, course_id=course, obscured_id="0b5c", email="i@example.org"
        )
        found[name] = _carrying(secret)
    return found


def _carrying(secret: str) -> Caller:
    return Caller(cookies={console_session.COOKIE: secret}, console=secret)


def _with_tokens(clock: ManualClock) -> dict[str, Caller]:
    """People of the LMSes, and those who pretend to be."""
    jane, staff = person(17, "jane-of-one"), person(30, "sam", roles=[f"staff:{COURSE}"])
    boss = {"administrator": True}
    there = {"iss": ELSEWHERE.jwt_issuer}
    studio = OctKey.import_key(STUDIO_SECRET)

    def of(claims: dict[str, Any], key: RSAKey | OctKey = KEY, algorithm: str = "RS512") -> Caller:
        return _of_token(token(clock, claims, key=key, algorithm=algorithm))

    return {
        "jane": of(jane),
        "joe": of(person(18, "joe")),
        "staff": of(staff),
        "staff of another course": of(person(31, "tom", roles=[f"staff:{OTHER_COURSE}"])),
        "global staff": of(person(32, "max", **boss)),
        "jane of another LMS": of(jane | there, THIRD_KEY),
        "staff of another LMS": of(staff | there, THIRD_KEY),
        "global staff of another LMS": of(person(32, "max", **boss) | there, THIRD_KEY),
        "studio": of(person(None, "studio_worker", **boss), studio, "HS256"),
        "studio as jane": of(jane, studio, "HS256"),
        "another LMS's key": of(jane, THIRD_KEY),
        "a wrong issuer": of(jane | {"iss": "https://nobody.example/oauth2"}),
        "an expired token": of(jane | {"exp": int(clock.now_us() or 0) // 10**6 - 60}),
        "a restricted token": of(jane | {"is_restricted": True}),
        "a public key as a secret": _of_token(_by_hand("HS256", jane, KEY.as_pem(private=False))),
        "no signature": _of_token(_by_hand("none", jane, None)),
    }


def _of_token(said: str) -> Caller:
    """In the header, and where pages of the service look, in the LMS's two cookies."""
    first, _, signature = said.rpartition(".")
    return Caller(
        headers={"Authorization": f"JWT {said}"},
        cookies={"edx-jwt-cookie-header-payload": first, "edx-jwt-cookie-signature": signature},
    )


def _by_hand(algorithm: str, claims: dict[str, Any], key: bytes | None) -> str:
    """What no library would make. Without a key: without a signature."""
    said = {"iss": ISSUER, "exp": 4_000_000_000, **claims}
    parts = [json.dumps(part).encode() for part in ({"alg": algorithm}, said)]
    signed = ".".join(map(_encoded, parts))
    signature = hmac.digest(key, signed.encode(), hashlib.sha256) if key else b""
    return f"{signed}.{_encoded(signature)}"


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _systems(app: Flask, clock: ManualClock) -> dict[str, Caller]:
    """LMSes whose provider we are, and providers that we use."""
    found = {}
    for name, lms in (("lms", MINE), ("another lms", ELSEWHERE)):
        answer = sign_in(app.test_client(), lms.client_id, lms.client_secret)
        found[name] = Caller(headers={"Authorization": f"JWT {answer.json['access_token']}"})
    for name, entry in (("watch", WATCH), ("rival", RIVAL)):
        form = {
            "grant_type": "client_credentials",
            "client_id": entry.settings["callback_client_id"],
            "client_secret": entry.secrets["callback_client_secret"],
        }
        answer = app.test_client().post("/exams/oauth2/access_token", data=form)
        found[name] = Caller(headers={"Authorization": f"JWT {answer.json['access_token']}"})
    secret = OctKey.import_key(MINE.client_secret)
    said = instructor_claims(clock)
    passed = jwt.encode({"alg": "HS256"}, said, secret, ["HS256"])
    found["an instructor's pass"] = Caller(headers={"Authorization": f"JWT {passed}"})
    return found


def instructor_claims(clock: ManualClock, **changed: Any) -> dict[str, Any]:
    said = {
        "iss": MINE.client_id,
        "course_id": COURSE,
        "user": {"id": "0" * 40, "full_name": "Ida", "email": "ida@example.org"},
        "jti": "once",
        "exp": (clock.now_us() or 0) / 1e6 + 60,
    }
    return said | changed


def worker_ticket(storage: Storage) -> str:
    ticket = Ticket(lms="edx", attempt="their-attempt")
    now = to_datetime(storage.now_us())
    return issue(key_for("worker tickets", SECRET_KEY), ticket, now=now)
