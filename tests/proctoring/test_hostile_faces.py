"""Whatever is sent to the faces of proctored exams is answered in words, never with a failure of
ours: by those who may ask, and with tokens that are none."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from werkzeug.test import TestResponse

from tests.proctoring.exam_pages import ISSUER
from tests.proctoring.faces import PUBLISHED, Caller, Faces, make_faces
from tests.proctoring.lms_caller import ATTEMPT
from tests.proctoring.lms_caller import EXAM as THEIR_EXAM
from tests.proctoring.test_exam_service_providers import PSI
from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage

DEEP = "[" * 100_000
NUL, HALF, LONG = "a\0b", "\ud800", "x" * 70_000
VALUES: tuple[Any, ...] = (None, True, -1, 2**63, 10**400, NUL, HALF, LONG, "", [], {})
BODIES = (
    b"",
    b"{",
    b"null",
    b"[]",
    b"17",
    b'"text"',
    b"NaN",
    b"[1e999]",
    b"\xff\xfe\x00",
    b"\xef\xbb\xbf{}",
    b'{"a": 1, "a": 2}',
    b'{"\\u0000": "\\ud800"}',
    DEEP.encode(),
    b'{"a":' * 50_000,
    b"x" * 3_000_000,
)
TYPES = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data", "x", "")
IDS = ("0", "9" * 18, "9" * 19, "9" * 40)
WORDS = ("%00", "%ED%A0%80", "%FF", "a" * 3000, "..%2f..%2fetc", "None", "%F0%9F%92%A9", "' OR 1=1")
REVIEW: Mapping[str, Any] = {
    "status": "passed",
    "id": "r1",
    "reviewed_by": "x@example.org",
    "comments": [{"comment": "c", "status": "s", "start": 1, "stop": 2}],
    "payload": {"videoReviewLink": "https://watch.example/1"},
}
SENT: Mapping[str, tuple[str, Any]] = {
    "POST /proctoring/api/v1/exam/": ("lms", {**THEIR_EXAM, "rules": {"a": True}}),
    "POST /proctoring/api/v1/exam/<exam_id>/": ("lms", {**THEIR_EXAM, "rule_summary": "x"}),
    "POST /proctoring/api/v1/exam/<exam_id>/attempt/": (
        "lms",
        {**ATTEMPT, "review_policy_exception": "x"},
    ),
    "PATCH /proctoring/api/v1/exam/<exam_id>/attempt/<attempt_id>/": ("lms", {"status": "x"}),
    "PATCH /exams/api/v1/exams/course_id/<exam_course:course_id>": ("staff", [PUBLISHED]),
    "PATCH /exams/api/v1/configs/course_id/<exam_course:course_id>": (
        "staff",
        {"provider": "watch", "escalation_email": "a@example.org"},
    ),
    "POST /exams/api/v1/exams/course_id/<exam_course:course_id>/allowances": (
        "staff",
        [{"username": "z", "email": "z@example.org", "exam_id": 1, "extra_time_mins": 5}],
    ),
    "POST /exams/api/v1/exams/attempt": ("jane", {"exam_id": 1, "start_clock": "false"}),
    "PUT /exams/api/v1/exams/attempt/<int:attempt_id>": ("jane", {"action": "x", "detail": "x"}),
    "POST /exams/api/v1/time": ("nobody", {"t1": 1}),
    "POST /proctoring/time": ("nobody", {"t1": 1}),
    "POST /exams/lti/end_assessment/<int:attempt_id>": ("jane", {"token": "x"}),
    "POST /exams/oauth2/access_token": ("nobody", {"client_id": "x"}),
    "POST /exams/api/edx_proctoring/v1/proctored_exam/attempt/<external_id>/ready": (
        "watch",
        {"status": "ready"},
    ),
    "POST /exams/api/edx_proctoring/v1/proctored_exam/attempt/<external_id>/reviewed": (
        "watch",
        REVIEW,
    ),
    "POST /exams/api/edx_proctoring/proctoring_review_callback": (
        "nobody",
        {"reviewStatus": "Clean", "examMetaData": {"examCode": "x", "ssiRecordLocator": "y"}},
    ),
    "POST /proctoring/oauth2/access_token": ("nobody", {"client_id": "x"}),
    "POST /proctoring/edx/oauth2/access_token": ("nobody", {"client_id": "x"}),
    "POST /proctoring/attempt/<token>/ready": ("nobody", {}),
    "POST /proctoring/worker/start": ("a page", {"ticket": "x"}),
    "POST /proctoring/worker/ping": ("a page", {"ticket": "x"}),
    "POST /proctoring/worker/end": ("a page", {"ticket": "x"}),
    "POST /proctoring/console/exams/<int:exam_id>/accept": ("proctor", {}),
    "POST /proctoring/console/exams/<int:exam_id>/refuse": ("proctor", {}),
    "POST /proctoring/console/attempts/<int:attempt_id>/<deed_name>": ("proctor", {}),
    "POST /proctoring/console/leave": ("proctor", {}),
}
"""Every route that takes a body -> who may send one, and one that is right, or nearly."""
QUERIES: Mapping[str, tuple[str, ...]] = {
    "/proctoring/console/": ("lms", "course"),
    "/proctoring/console/exams/<int:exam_id>": ("learner", "group", "flagged", "page"),
    "/proctoring/console/ticket": ("lms", "course"),
    "/proctoring/api/v1/courses/<path:course_id>/onboarding_statuses": (
        "user_id",
        "status",
        "page",
        "page_size",
    ),
    "/proctoring/api/v1/instructor/<client_id>/": ("jwt",),
    "/proctoring/worker/config": ("attempt",),
    "/proctoring/worker/webpack-worker-stats.json": ("names", "ours_also"),
    "/proctoring/worker/workers.json": ("node_modules",),
    "/exams/api/v1/exams/attempt/latest": ("content_id",),
    "/exams/api/v1/providers": ("org",),
    "/exams/api/v1/instructor_view/course_id/<exam_course:course_id>/attempts": (
        "exam_id",
        "limit",
        "offset",
    ),
}
CATCHING_ALL = ("/exams/", "/exams/<path:anything>")
PAGE = Caller(headers={"Origin": "https://lms.example"})


@pytest.fixture
def faces(storage: Storage, clock: ManualClock, database_url: str, tmp_path: Path) -> Faces:
    faces = make_faces(storage, clock, database_url, str(tmp_path))
    with faces.store.write() as session:
        session.recipients.put_provider(PSI)
    return faces


def _caller(faces: Faces, name: str) -> Caller:
    return PAGE if name == "a page" else faces.callers[name]


def _problem(response: TestResponse) -> str:
    """ "": it was answered as it should be."""
    said = response.get_data(as_text=True)
    if response.status_code >= 500 or "Traceback" in said:
        return f"{response.status_code}: {said[:200]}"
    if response.status_code >= 400 and not said:
        return f"{response.status_code} without a word"
    return f"echoes {len(said)} characters" if len(said) > 60_000 else ""


def test_every_route_that_takes_a_body_is_tried(faces: Faces) -> None:
    taking = {
        f"{method} {rule.rule}"
        for method, rule in faces.rules()
        if method in ("POST", "PUT", "PATCH") and rule.rule not in CATCHING_ALL
    }
    assert {name if name in SENT else name.rstrip("/") for name in taking} == set(SENT)


def test_bodies_that_are_none(faces: Faces) -> None:
    wrong = []
    for name, (who, _) in SENT.items():
        method, rule = name.split(" ")
        for body, kind in [*((body, TYPES[0]) for body in BODIES), *((b"{", t) for t in TYPES)]:
            response = faces.ask(
                _caller(faces, who), method, faces.path(rule), data=body, content_type=kind
            )
            if found := _problem(response):
                wrong.append(f"{name} with {body[:30]!r} as {kind}: {found}")
    assert not wrong, "\n".join(wrong)


def _spoilt(document: Any) -> Iterator[Any]:
    """The document with each of its parts replaced, by each of `VALUES`, and without it."""
    if isinstance(document, dict):
        for key, value in document.items():
            rest = {name: each for name, each in document.items() if name != key}
            yield rest
            yield from (rest | {key: each} for each in (*VALUES, *_spoilt(value)))
    elif isinstance(document, list):
        for value in document:
            yield from ([each] for each in (*VALUES, *_spoilt(value)))


def test_fields_of_other_types(faces: Faces) -> None:
    wrong = []
    for name, (who, right) in SENT.items():
        method, rule = name.split(" ")
        for body in _spoilt(right):
            response = faces.ask(
                _caller(faces, who),
                method,
                faces.path(rule),
                data=json.dumps(body),
                content_type="application/json",
            )
            if found := _problem(response):
                wrong.append(f"{name} with {str(body)[:300]!r}: {found}")
    assert not wrong, "\n".join(wrong)


def test_forms_of_other_values(faces: Faces) -> None:
    wrong = []
    who = faces.callers["proctor"]
    form = faces.form(who, kind="k", severity="remark", minutes="5", submission="1", held="1")
    for path in (
        "attempts/1/warn",
        "attempts/1/extend",
        "attempts/1/x",
        "exams/1/accept",
        "exams/1/refuse",
    ):
        for field in form:
            for value in (b"a\0b", b"\xff", b"\xed\xa0\x80", b"x" * 5000, b"9" * 40, b"-1"):
                sent = urlencode({**form, field: value})
                response = faces.ask(
                    who,
                    "POST",
                    f"/proctoring/console/{path}",
                    data=sent,
                    content_type="application/x-www-form-urlencoded",
                )
                if found := _problem(response):
                    wrong.append(f"{path} with {field}={value[:20]!r}: {found}")
    assert not wrong, "\n".join(wrong)


def _asking(faces: Faces, rule: str) -> Caller:
    """Somebody who may ask at that face."""
    if rule.startswith("/proctoring/console"):
        return faces.callers["instructor"]
    if rule.startswith("/proctoring/api"):
        return faces.callers["lms"]
    if rule.startswith("/proctoring"):
        return PAGE
    return faces.callers["watch" if "edx_proctoring" in rule else "global staff"]


def test_addresses_that_are_none(faces: Faces) -> None:
    wrong = []
    for method, rule in faces.rules():
        for name in rule.arguments:
            for value in IDS if f"<int:{name}>" in rule.rule else WORDS:
                path = faces.path(rule.rule, **{name: value})
                response = faces.ask(_asking(faces, rule.rule), method, path)
                if found := _problem(response):
                    wrong.append(f"{method} {path[:200]}: {found}")
    assert not wrong, "\n".join(wrong)


def test_queries_that_are_none(faces: Faces) -> None:
    wrong = []
    everywhere = faces.callers[
        "chief at the console"
    ]  # whose queries go to the database as they are
    for rule, names in QUERIES.items():
        who = everywhere if "/console/" in rule else _asking(faces, rule)
        for name in names:
            for value in ("%00", "%ff", "9" * 40, "-1", "%ED%A0%80", "a" * 5000):
                query = f"{name}={value}" if name == "exam_id" else f"exam_id=1&{name}={value}"
                response = faces.ask(who, "GET", faces.path(rule), query_string=query)
                if found := _problem(response):
                    wrong.append(f"{rule}?{name}={value[:20]}: {found}")
    assert not wrong, "\n".join(wrong)


def test_tokens_that_are_none(faces: Faces) -> None:
    claims = json.dumps({"iss": ISSUER, "exp": 4_000_000_000, "user_id": 17}).encode()
    deep = DEEP[:5500].encode()
    made = [
        b'{"alg":"RS256"}',
        b"{",
        deep,
        deep[:380],
        b"[]",
        b"17",
        b'{"alg":["RS256"]}',
        b'{"alg":"RS256","crit":[[]]}',
        b'{"alg":"RS256","kid":{}}',
        b'{"alg":"HS256","b64":false}',
        b'{"alg":"RS256","zip":"DEF"}',
        b"\xff",
    ]
    told = [f"{_encoded(head)}.{_encoded(claims)}.{_encoded(b'x')}" for head in made]
    told += [f"{_encoded(made[0])}.{_encoded(body)}.eA" for body in (deep, b"[]", b"\xff", b"1")]
    told += [
        "",
        ".",
        "..",
        "a.b.c",
        "....",
        "\u00e9.\u00e9.\u00e9",
        "x" * 100_000,
        f"{told[0]}=",
        "%00",
    ]
    wrong = []
    for rule in (
        "/exams/api/v1/exams/attempt/latest",
        "/proctoring/api/v1/config/",
        "/exams/api/edx_proctoring/v1/proctored_exam/attempt/x/ready",
        "/exams/lti/start_proctoring/1",
        "/proctoring/api/v1/instructor/lms-client/",
    ):
        for token in told:
            first, _, signature = token.rpartition(".")
            who = Caller(
                headers={"Authorization": f"JWT {token}"},
                cookies={
                    "edx-jwt-cookie-header-payload": first,
                    "edx-jwt-cookie-signature": signature,
                },
            )
            method = "POST" if rule.endswith("ready") else "GET"
            response = faces.ask(who, method, rule, query_string={"jwt": token})
            if response.status_code != 401:
                wrong.append(f"{rule} with {token[:60]}: {response.status_code}")
    assert not wrong, "\n".join(wrong)


def test_credentials_that_are_none(faces: Faces) -> None:
    form = {"grant_type": "client_credentials"}
    for path in ("/exams/oauth2/access_token", "/proctoring/oauth2/access_token"):
        for said in ("Basic", "Basic !", "Basic eA==", "Basic /////w==", "Basic gP86", "Digest x"):
            answer = faces.ask(Caller(headers={"Authorization": said}), "POST", path, data=form)
            assert answer.status_code in (400, 401), said
        for name in (NUL, "x" * 10_000, "\x80"):
            answer = faces.ask(Caller(), "POST", path, data=form | {"client_id": name})
            assert answer.status_code in (400, 401), name[:10]


def test_signatures_that_are_none(faces: Faces) -> None:
    path = "/exams/api/edx_proctoring/proctoring_review_callback"
    wrong = []
    for said in (
        "SSI",
        "SSI :",
        "SSI key-1:",
        "SSI key-1:\u00e9",
        "SSI " + "k" * 5000,
        "ssi key-1:x",
    ):
        for date in ("", "x", "Thu, 01 Jan 2026 00:00:00 GMT", "Thu, 01 Jan 99999 00:00:00 GMT",
                     "Thu, 01 Jan 0001 00:00:00 +2359", "\u00e9"):  # fmt: skip
            for body in ({}, {"a": {"b": [1, {"c": HALF[:0]}]}}, {"reviewStatus": "Clean"}):
                headers = {"Authorization": said, "Date": date}
                response = faces.ask(Caller(headers=headers), "POST", path, json=body)
                if response.status_code != 401:
                    wrong.append(f"{said[:20]} {date}: {response.status_code}")
    assert not wrong, "\n".join(wrong)


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
