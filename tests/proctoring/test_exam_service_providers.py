"""What providers that we use tell us, and that nobody else can."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import Exam, ExamType
from proctoring_hooks.incidents import Source
from proctoring_hooks.providers.base import Entry
from proctoring_hooks.providers.software_secure import authorization, http_date
from tests.proctoring.conftest import MakeExam
from tests.proctoring.exam_pages import SERVED, Page, application, now_s, person, token
from xqueue_server.accounts.failed_logins import MAX_FAILURES
from xqueue_server.instant import ManualClock, to_datetime
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore

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
PSI = Entry(
    name="psi",
    plugin="software_secure",
    settings={"base_url": "https://psi.example", "secret_key_id": "key-1"},
    secrets={"secret_key": "psi-secret"},
)
SILENT = Entry(name="silent", plugin="rest", settings={}, secrets={})
TOKEN = "/exams/oauth2/access_token"
ATTEMPT = "/exams/api/edx_proctoring/v1/proctored_exam/attempt"
PSI_REVIEW = "/exams/api/edx_proctoring/proctoring_review_callback/"
PASSED = {"status": "passed", "comments": [{"comment": "fine", "status": "ok"}]}

Sit = Callable[..., Attempt]


@pytest.fixture
def client(storage: Storage, store: ProctoringStore, clock: ManualClock) -> FlaskClient:
    with store.write() as session:
        session.lmses.replace(SERVED)
        for entry in (WATCH, RIVAL, PSI, SILENT):
            session.recipients.put_provider(entry)
    return application(storage, store, clock).test_client()


@pytest.fixture
def jane(client: FlaskClient, clock: ManualClock) -> Page:
    return Page(client, clock, person(17, "jane"))


@pytest.fixture
def sit(jane: Page, make_exam: MakeExam, store: ProctoringStore) -> Sit:
    """An attempt that a provider knows as "their-1"."""

    def begin(provider: str = "watch", policy: str = "", **fields: Any) -> Attempt:
        terms = {"provider": provider, "incident_policy": policy}
        exam: Exam = make_exam(terms=terms, **fields)
        attempt_id = jane.begun(exam, start_clock="false")
        with store.write() as session:
            session.attempts.set_provider_id(attempt_id, "their-1")
            return session.attempts.get(attempt_id)

    return begin


def _signed_in(client: FlaskClient, provider: Entry = WATCH, **changed: str) -> TestResponse:
    form = {
        "grant_type": "client_credentials",
        "client_id": str(provider.settings["callback_client_id"]),
        "client_secret": provider.secrets["callback_client_secret"],
        "token_type": "jwt",
    }
    return client.post(TOKEN, data=form | changed)


def _says(client: FlaskClient, what: str, body: Any, *, by: Entry = WATCH) -> TestResponse:
    said = _signed_in(client, by).json["access_token"]
    headers = {"Authorization": f"JWT {said}"}
    return client.post(f"{ATTEMPT}/{what}", json=body, headers=headers)


def _status(store: ProctoringStore, attempt: Attempt) -> str:
    with store.read() as session:
        return session.attempts.get(attempt.id).status


def _submit(client: FlaskClient, jane: Page, attempt: Attempt) -> None:
    _says(client, "their-1/ready", {"status": "ready"})
    assert jane.act(attempt.id, "start").status_code == 200
    assert jane.act(attempt.id, "submit").status_code == 200


# -- signing in ----------------------------------------------------------------------------------


def test_a_provider_signs_in_as_at_an_lms(client: FlaskClient) -> None:
    found = _signed_in(client).json
    assert set(found) == {"access_token", "token_type", "expires_in", "scope"}
    assert (found["token_type"], found["expires_in"]) == ("JWT", 3600)
    basic = client.post(
        TOKEN, data={"grant_type": "client_credentials"}, auth=("watch-client", "watch-secret")
    )
    assert basic.status_code == 200


def test_a_token_ends_with_the_secret_that_it_was_given_for(
    client: FlaskClient, store: ProctoringStore, sit: Sit
) -> None:
    attempt = sit()
    headers = {"Authorization": f"JWT {_signed_in(client).json['access_token']}"}
    with store.write() as session:
        session.recipients.put_provider(
            replace(WATCH, secrets={"callback_client_secret": "another"})
        )
    answer = client.post(f"{ATTEMPT}/their-1/ready", json={}, headers=headers)
    assert (answer.status_code, _status(store, attempt)) == (401, "created")


def test_who_has_not_the_secret_does_not(client: FlaskClient) -> None:
    for changed in (
        {"client_secret": "rival-secret"},
        {"client_secret": ""},
        {"client_id": ""},
        {"client_id": "", "client_secret": ""},
        {"client_id": "nobody"},
    ):
        answer = _signed_in(client, **changed)
        assert (answer.status_code, answer.json) == (401, {"error": "invalid_client"}), changed
    answer = _signed_in(client, grant_type="password")
    assert (answer.status_code, answer.json) == (400, {"error": "unsupported_grant_type"})


def test_who_guesses_must_wait(client: FlaskClient) -> None:
    for _ in range(MAX_FAILURES):
        assert _signed_in(client, client_secret="guess").status_code == 401
    answer = _signed_in(client)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert _signed_in(client, RIVAL).status_code == 200


# -- REST providers ------------------------------------------------------------------------------


def test_the_way_of_an_attempt_that_a_provider_watches(
    client: FlaskClient, jane: Page, sit: Sit, store: ProctoringStore
) -> None:
    attempt = sit()
    for _ in range(2):
        answer = _says(client, "their-1/ready", {"status": "ready"})
        assert (answer.status_code, answer.json) == (200, "OK")
        assert _status(store, attempt) == "ready_to_start"
    jane.act(attempt.id, "start")
    assert _says(client, "their-1/reviewed", PASSED).status_code == 200
    assert _status(store, attempt) == "started"  # it is kept until there is something to judge
    jane.act(attempt.id, "submit")
    assert _status(store, attempt) == "verified"
    for _ in range(2):
        assert _says(client, "their-1/reviewed/", PASSED).json == "OK"
    assert _says(client, "their-1/ready", {}).json == "OK"
    assert _status(store, attempt) == "verified"
    with store.read() as session:
        assert len(session.records.reviews(attempt.id)) == 1


def test_a_failing_review_waits_for_a_person(
    client: FlaskClient, jane: Page, sit: Sit, store: ProctoringStore
) -> None:
    attempt = sit()
    _submit(client, jane, attempt)
    assert _says(client, "their-1/reviewed", {"status": "violation"}).status_code == 200
    assert _status(store, attempt) == "second_review_required"


def _seen(status: str, **more: Any) -> dict[str, Any]:
    return {"comment": "A second person", "status": status, **more}


def _incidents(store: ProctoringStore, attempt: Attempt) -> list[tuple[str, float, int | None]]:
    with store.read() as session:
        found = session.records.incidents(attempt.id)
    assert {each.source for each in found} <= {Source.PROVIDER}
    assert {each.reported_by for each in found} <= {"provider watch", "provider psi"}
    return [(each.kind, each.severity, each.strike) for each in found]


def test_what_a_provider_sees_while_the_exam_is_written_counts_at_once_and_once(
    client: FlaskClient, jane: Page, sit: Sit, store: ProctoringStore, clock: ManualClock
) -> None:
    attempt = sit(policy="two_strikes")
    _says(client, "their-1/ready", {"status": "ready"})
    jane.act(attempt.id, "start")
    clock.advance(600)
    seen = [
        _seen("ok"),
        _seen("suspicious", start=12, stop=15.5),
        _seen("suspicious", severity=0.2),
    ]
    first = {"status": "suspicious", "comments": seen}
    for _ in range(2):
        assert _says(client, "their-1/reviewed", first).status_code == 200
    kind = "suspicious in the recording"
    assert _incidents(store, attempt) == [(kind, 0.5, 1), (kind, 0.2, None)]
    with store.read() as session:
        now, incidents = session.attempts.get(attempt.id), session.records.incidents(attempt.id)
    assert (now.status, now.mark_factor) == ("started", 0.5)
    assert incidents[0].detail == "A second person (at 12 to 15.5 s of the recording)"
    assert now.started_at is not None
    assert incidents[0].happened_at == now.started_at + timedelta(seconds=12)
    second = {"status": "violation", "comments": [_seen("Violation", severity="0.7")]}
    assert _says(client, "their-1/reviewed", second).status_code == 200
    assert _incidents(store, attempt)[2:] == [("violation in the recording", 0.7, 2)]
    assert _status(store, attempt) == "second_review_required"  # the second strike ends the exam


def test_a_failing_review_and_its_strikes_end_what_has_ended_no_second_time(
    client: FlaskClient, jane: Page, sit: Sit, store: ProctoringStore
) -> None:
    attempt = sit(policy="two_strikes")
    _submit(client, jane, attempt)
    review = {"status": "violation", "comments": [_seen("violation"), _seen("Suspicious")]}
    for _ in range(2):
        assert _says(client, "their-1/reviewed", review).status_code == 200
    assert [strike for _, _, strike in _incidents(store, attempt)] == [1, 2]
    with store.read() as session:
        rows = session.attempts.history(attempt.id)
        now = session.attempts.get(attempt.id)
    assert [row.change.action for row in rows][-3:] == ["fail", "mark", "mark"]
    assert (now.status, now.mark_factor, now.is_flagged) == ("second_review_required", 0.5, True)


def test_what_a_provider_lets_pass_is_on_record_and_no_strike(
    client: FlaskClient, jane: Page, sit: Sit, store: ProctoringStore
) -> None:
    attempt = sit(policy="two_strikes")
    _submit(client, jane, attempt)
    review = {"status": "passed", "comments": [_seen("suspicious"), _seen("violation", severity=1)]}
    assert _says(client, "their-1/reviewed", review).status_code == 200
    assert [strike for _, _, strike in _incidents(store, attempt)] == [None, None]
    with store.read() as session:
        now = session.attempts.get(attempt.id)
    assert (now.status, now.mark_factor) == ("verified", 1.0)


def test_nobody_but_the_attempts_own_provider_says_anything(
    client: FlaskClient, clock: ManualClock, jane: Page, sit: Sit, store: ProctoringStore
) -> None:
    attempt = sit()
    staff = token(clock, person(2, "boss", administrator=True))
    learner = token(clock, person(17, "jane"))
    provider = _signed_in(client).json["access_token"]
    for header in (
        {},
        {"Authorization": f"JWT {learner}"},
        {"Authorization": f"JWT {staff}"},
        {"Authorization": f"JWT {provider[:-2]}"},
        {"Authorization": f"Basic {provider}"},
        {"Authorization": "SSI key-1:AAAA"},
    ):
        for what in ("ready", "reviewed"):
            answer = client.post(f"{ATTEMPT}/their-1/{what}", json=PASSED, headers=header)
            assert answer.status_code == 401, (header, what)
    assert _says(client, "their-1/ready", {}, by=RIVAL).status_code == 404
    assert _says(client, "their-1/reviewed", PASSED, by=RIVAL).status_code == 400
    # A provider's token is nothing to the learners' side.
    path = "/exams/api/v1/exams/attempt/latest"
    assert client.get(path, headers={"Authorization": f"JWT {provider}"}).status_code == 401
    assert _status(store, attempt) == "created"


def test_a_token_ends_with_its_hour_and_with_its_provider(
    client: FlaskClient, clock: ManualClock, sit: Sit, store: ProctoringStore
) -> None:
    sit()
    headers = {"Authorization": f"Bearer {_signed_in(client).json['access_token']}"}
    ready = f"{ATTEMPT}/their-1/ready"
    with store.write() as session:
        session.recipients.put_provider(replace(WATCH, settings={}))
    assert client.post(ready, headers=headers).status_code == 401
    with store.write() as session:
        session.recipients.put_provider(WATCH)
    assert client.post(ready, headers=headers).status_code == 200
    clock.advance(3600)
    assert client.post(ready, headers=headers).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"status": "excellent"},
        {"status": "passed", "comments": "none"},
        {"status": "passed", "comments": [{"comment": "no status"}]},
        {"status": "passed", "reviewed_by": "\ud800"},
    ],
)
def test_a_review_that_makes_no_sense_is_refused_for_good(
    client: FlaskClient, jane: Page, sit: Sit, store: ProctoringStore, body: Any
) -> None:
    attempt = sit()
    _submit(client, jane, attempt)
    answer = _says(client, "their-1/reviewed", body)
    assert (answer.status_code, list(answer.json)) == (400, ["detail"])
    assert _status(store, attempt) == "submitted"


def test_what_is_unknown_is_answered_as_edx_proctoring_does(
    client: FlaskClient, sit: Sit, store: ProctoringStore
) -> None:
    attempt = sit()
    assert _says(client, f"{attempt.external_id}/ready", {}).status_code == 404
    assert _says(client, "their-2/ready", {}).status_code == 404
    assert _says(client, "None/ready", {}).status_code == 404
    assert _says(client, "their-2/reviewed", PASSED).status_code == 400
    assert _status(store, attempt) == "created"


# -- Software Secure -----------------------------------------------------------------------------


def _psi_body(attempt: Attempt, **changed: Any) -> dict[str, Any]:
    meta = {"examCode": attempt.external_id.upper(), "ssiRecordLocator": "their-1"}
    return {
        "reviewStatus": "Clean",
        "examMetaData": meta | changed.pop("meta", {}),
        "webCamComments": [
            {"eventStart": 1, "eventFinish": 2, "comments": "looks away", "eventStatus": "Clean"}
        ],
        "desktopComments": [],
        "videoReviewLink": "https://psi.example/video",
    } | changed


def _psi_says(
    client: FlaskClient,
    clock: ManualClock,
    body: Any,
    *,
    key_id: str = "key-1",
    secret: str = "psi-secret",
    signed: Any = None,
    late_s: float = 0,
    headers: dict[str, str] | None = None,
) -> TestResponse:
    at = to_datetime(int(now_s(clock) * 1e6)) + timedelta(seconds=late_s)
    date = http_date(at)
    said = authorization(key_id, secret.encode(), signed or body, date)
    given = {"Date": date, "Authorization": said} if headers is None else headers
    return client.post(PSI_REVIEW, json=body, headers=given)


def test_software_secure_is_believed_by_its_signature_alone(
    client: FlaskClient, clock: ManualClock, sit: Sit, store: ProctoringStore
) -> None:
    attempt = sit("psi")
    body = _psi_body(attempt)
    wrong: list[dict[str, Any]] = [
        {"headers": {}},
        {"secret": "guess"},
        {"key_id": "key-2"},
        {"secret": ""},
        {"signed": _psi_body(attempt, reviewStatus="Suspicious")},
        {"late_s": 3600},
        {"late_s": -3600},
        {"headers": {"Date": "yesterday", "Authorization": "SSI key-1:AAAA"}},
        {"headers": {"Authorization": "SSI key-1:AAAA"}},
        {"headers": {"Authorization": f"JWT {_signed_in(client).json['access_token']}"}},
    ]
    for each in wrong:
        assert _psi_says(client, clock, body, **each).status_code == 401, each
    assert _status(store, attempt) == "created"
    assert _psi_says(client, clock, body).status_code == 200
    assert _status(store, attempt) == "error"  # it passes what never was submitted


def test_what_software_secure_has_seen_is_on_record(
    client: FlaskClient, clock: ManualClock, sit: Sit, store: ProctoringStore
) -> None:
    attempt = sit("psi")
    seen = {"eventStart": 1, "eventFinish": 2, "comments": "A phone"}
    body = _psi_body(
        attempt,
        reviewStatus="Suspicious",
        webCamComments=[{**seen, "eventStatus": "Suspicious"}],
        desktopComments=[{**seen, "eventStatus": "Rules Violation"}],
    )
    assert _psi_says(client, clock, body).status_code == 200
    assert _incidents(store, attempt) == [
        ("suspicious in the recording", 0.5, 1),
        ("rules violation in the recording", 0.9, 2),
    ]


def test_software_secure_must_name_the_attempt_by_both_ids(
    client: FlaskClient, clock: ManualClock, sit: Sit, store: ProctoringStore
) -> None:
    attempt = sit("psi")
    for meta in ({"examCode": "other"}, {"ssiRecordLocator": "their-2"}, {"examCode": None}):
        assert _psi_says(client, clock, _psi_body(attempt, meta=meta)).status_code == 400
    for body in ({}, {"reviewStatus": "Clean"}, _psi_body(attempt, reviewStatus="Good")):
        assert _psi_says(client, clock, body).status_code == 400
    assert _status(store, attempt) == "created"


def test_software_secure_says_nothing_of_another_providers_attempt(
    client: FlaskClient, clock: ManualClock, sit: Sit
) -> None:
    assert _psi_says(client, clock, _psi_body(sit("watch"))).status_code == 400


def test_an_exam_that_nobody_proctors_has_no_review(
    client: FlaskClient, sit: Sit, store: ProctoringStore
) -> None:
    sit(exam_type=ExamType.TIMED)
    answer = _says(client, "their-1/reviewed", PASSED)
    assert (answer.status_code, answer.json) == (412, {"detail": "Exam no longer proctored"})
