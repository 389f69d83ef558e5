"""Who is let in at the exam service, and on whose word."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from joserfc.jwk import OctKey, RSAKey

from proctoring_hooks.exam import Exam, ExamType
from tests.proctoring.conftest import COURSE, MakeExam
from tests.proctoring.exam_pages import (
    ELSEWHERE,
    ISSUER,
    MFE,
    OTHER_KEY,
    PUBLIC,
    SERVED,
    STUDIO_SECRET,
    THIRD_KEY,
    Page,
    application,
    now_s,
    person,
    token,
)
from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore

LATEST = "/exams/api/v1/exams/attempt/latest"
BEGIN = "/exams/api/v1/exams/attempt"
PUBLISHED = f"/exams/api/v1/exams/course_id/{COURSE}/"


@pytest.fixture
def client(storage: Storage, store: ProctoringStore, clock: ManualClock) -> FlaskClient:
    with store.write() as session:
        session.lmses.replace(SERVED)
        session.lmses.add(ELSEWHERE)
    return application(storage, store, clock).test_client()


@pytest.fixture
def timed(make_exam: MakeExam) -> Exam:
    return make_exam(exam_type=ExamType.TIMED)


def _with(said: str) -> dict[str, str]:
    return {"Authorization": f"JWT {said}"}


def _unsigned(claims: dict[str, object], header: dict[str, object]) -> str:
    return ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims)) + "."


def _with_public_key_as_secret(claims: dict[str, object]) -> str:
    """Libraries refuse to make one."""
    pem = RSAKey.import_key(json.loads(PUBLIC)["keys"][1]).as_pem(private=False)
    said = _unsigned(claims, {"alg": "HS256", "typ": "JWT"})
    return said + _encoded(hmac.digest(pem, said[:-1].encode(), hashlib.sha256))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_without_a_token_nobody_is_let_in(client: FlaskClient) -> None:
    answer = client.get(LATEST)
    assert answer.status_code == 401
    assert answer.json == {"detail": "Authentication credentials were not provided."}
    assert answer.headers["WWW-Authenticate"] == 'JWT realm="api"'


@pytest.mark.parametrize("algorithm", ["RS256", "RS512"])
def test_tokens_with_a_key_of_the_lms_are_believed(
    client: FlaskClient, clock: ManualClock, algorithm: str
) -> None:
    for key in (None, OTHER_KEY):
        given = {} if key is None else {"key": key}
        said = token(clock, person(17, "jane"), algorithm=algorithm, **given)  # type: ignore[arg-type]
        assert client.get(LATEST, headers=_with(said)).json == {}
    assert client.get(LATEST, headers={"Authorization": f"jwt  {said}"}).status_code == 200


def test_others_are_not(client: FlaskClient, clock: ManualClock) -> None:
    now = int(now_s(clock))
    jane = person(17, "jane")
    claims = {"iss": ISSUER, "exp": now + 60, **jane}
    good = token(clock, jane)
    head, _, signature = good.split(".")
    altered = _encoded(json.dumps(claims | {"user_id": 18}).encode())
    wrong = {
        "none": _unsigned(claims, {"alg": "none"}),
        "none with a signature": _unsigned(claims, {"alg": "none"}) + signature,
        "the public key as a secret": _with_public_key_as_secret(claims),
        "another secret": token(clock, jane, key=OctKey.import_key("x" * 40), algorithm="HS256"),
        "nobody's key": token(clock, jane, key=RSAKey.generate_key(2048)),
        "another LMS's key": token(clock, jane, key=THIRD_KEY),
        "another LMS's name": token(clock, jane | {"iss": ELSEWHERE.jwt_issuer}),
        "RS384": token(clock, jane, algorithm="RS384"),
        "altered": f"{head}.{altered}.{signature}",
        "cut": good[:-20],
        "no issuer": token(clock, jane | {"iss": None}),
        "a list of issuers": token(clock, jane | {"iss": [ISSUER]}),
        "no expiry": token(clock, jane | {"exp": None}),
        "expired": token(clock, jane | {"exp": now - 11}),
        "expiry in words": token(clock, jane | {"exp": "tomorrow"}),
        "not yet": token(clock, jane | {"nbf": now + 60}),
        "restricted": token(clock, jane | {"is_restricted": True}),
        "nobody": token(clock, jane | {"user_id": None}),
        "a name for an id": token(clock, jane | {"user_id": "17"}),
        "true for an id": token(clock, jane | {"user_id": True}),
        "zero": token(clock, jane | {"user_id": 0}),
        "nonsense": "a.b.c",
        "long": "a" * 9000 + ".b.c",
        "deep": "a." + base64.urlsafe_b64encode(b"[" * 6000).decode() + ".c",
        "empty": "",
    }
    for name, said in wrong.items():
        answer = client.get(LATEST, headers=_with(said))
        assert (answer.status_code, list(answer.json)) == (401, ["detail"]), name
    for header in (f"Bearer {good}", f"Basic {good}", good):
        assert client.get(LATEST, headers={"Authorization": header}).status_code == 401


def test_an_lms_without_an_issuer_or_keys_lets_nobody_in(
    client: FlaskClient, clock: ManualClock, store: ProctoringStore
) -> None:

    said = token(clock, person(17, "jane"))
    no_name = token(clock, person(17, "jane", iss=""))
    for changed in (replace(SERVED, jwt_issuer=""), replace(SERVED, jwt_keys="")):
        with store.write() as session:
            session.lmses.replace(changed)
        assert client.get(LATEST, headers=_with(said)).status_code == 401
        assert client.get(LATEST, headers=_with(no_name)).status_code == 401


def test_cookies_count_only_on_pages_of_the_lms(
    client: FlaskClient, clock: ManualClock, timed: Exam
) -> None:
    first, _, signature = token(clock, person(17, "jane")).rpartition(".")
    client.set_cookie("edx-jwt-cookie-header-payload", first)
    client.set_cookie("edx-jwt-cookie-signature", signature)
    said = {"USE-JWT-COOKIE": "true"}
    body = {"exam_id": timed.id, "start_clock": "true"}
    assert client.get(LATEST).status_code == 401
    assert client.get(LATEST, headers={"USE-JWT-COOKIE": "false"}).status_code == 401
    assert client.get(LATEST, headers=said).status_code == 200
    for origin in (None, "null", "https://evil.example", f"{MFE}.evil.example", f"{MFE}/"):
        headers = said | ({} if origin is None else {"Origin": origin})
        answer = client.post(BEGIN, json=body, headers=headers)
        assert (answer.status_code, "CSRF" in answer.json["detail"]) == (403, True), origin
    assert client.get(LATEST, headers=said | {"Origin": "https://evil.example"}).status_code == 403
    assert client.get(LATEST, headers=said).json == {}
    assert client.post(BEGIN, json=body, headers={"Origin": MFE}).status_code == 401
    for origin in (MFE, "https://lms.example"):
        answer = client.post(BEGIN, json=body, headers=said | {"Origin": origin})
        assert answer.status_code == 200
    client.delete_cookie("edx-jwt-cookie-signature")
    assert client.get(LATEST, headers=said).status_code == 401


def test_studios_token_publishes_and_does_nothing_else(
    client: FlaskClient, clock: ManualClock, timed: Exam
) -> None:
    claims = person(None, "exams_worker", administrator=True)
    said = token(clock, claims, key=OctKey.import_key(STUDIO_SECRET), algorithm="HS256")
    assert client.patch(PUBLISHED, json=[], headers=_with(said)).json == {}
    assert client.get(PUBLISHED, headers=_with(said)).json == []
    config = f"/exams/api/v1/configs/course_id/{COURSE}"
    assert client.get(config, headers=_with(said)).status_code == 200
    body = {"exam_id": timed.id, "start_clock": "true"}
    assert client.post(BEGIN, json=body, headers=_with(said)).status_code == 403
    for path in (
        LATEST,
        f"/exams/api/v1/access_tokens/exam_id/{timed.id}/",
        f"/exams/api/v1/student/exam/attempt/course_id/{COURSE}/content_id/x",
    ):
        assert client.get(path, headers=_with(said)).status_code == 403, path
    for action in ("submit", "verify"):
        answer = client.put(f"{BEGIN}/1", json={"action": action}, headers=_with(said))
        assert answer.status_code == 403
    assert client.delete(f"{BEGIN}/1", headers=_with(said)).status_code == 403
    # With a learner's id in it, it is no learner's token all the same.
    other = token(
        clock,
        person(17, "jane", administrator=True),
        key=OctKey.import_key(STUDIO_SECRET),
        algorithm="HS256",
    )
    assert client.get(LATEST, headers=_with(other)).status_code == 403
    # And who is no administrator there publishes nothing here.
    learner = token(clock, person(17, "j"), key=OctKey.import_key(STUDIO_SECRET), algorithm="HS256")
    assert client.patch(PUBLISHED, json=[], headers=_with(learner)).status_code == 403


def test_without_studios_secret_its_tokens_are_nothing(
    client: FlaskClient, clock: ManualClock, store: ProctoringStore
) -> None:

    claims = person(None, "exams_worker", administrator=True)
    said = token(clock, claims, key=OctKey.import_key(STUDIO_SECRET), algorithm="HS256")
    with store.write() as session:
        session.lmses.replace(replace(SERVED, studio_secret=""))
    assert client.patch(PUBLISHED, json=[], headers=_with(said)).status_code == 401


def test_learners_reach_nothing_that_is_staffs(
    client: FlaskClient, clock: ManualClock, timed: Exam
) -> None:
    jane = Page(client, clock, person(17, "jane"))
    course = f"/api/v1/exams/course_id/{COURSE}"
    for method, path, body in (
        ("GET", f"{course}/", None),
        ("PATCH", f"{course}/", []),
        ("GET", f"{course}/allowances", None),
        ("POST", f"{course}/allowances", []),
        ("DELETE", f"{course}/allowances/1", None),
        ("PATCH", f"/api/v1/configs/course_id/{COURSE}", {"provider": None}),
        ("GET", f"/api/v1/instructor_view/course_id/{COURSE}/attempts?exam_id={timed.id}", None),
    ):
        answer = jane.ask(method, path, body)
        assert (answer.status_code, list(answer.json)) == (403, ["detail"]), (method, path)
