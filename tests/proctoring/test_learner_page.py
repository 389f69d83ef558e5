"""A learner's page: what its link opens, what it says, and that asking is cheap."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event

from proctoring_hooks.exam import ClockOwner, ExamType
from proctoring_hooks.grades import GradeState, Standing
from proctoring_hooks.incidents import NewIncident, Source
from proctoring_hooks.links import LIFETIME_S
from proctoring_hooks.providers.base import Entry
from proctoring_hooks.reporting import report
from proctoring_hooks.statuses import Status
from proctoring_hooks.transitions import Action, Actor
from tests.admin.visitor import ORIGIN
from tests.proctoring.conftest import SECRET_KEY, MakeExam
from tests.proctoring.site import (
    LMS_SAYS,
    act,
    begun,
    link_of,
    look,
    sitting,
    submitted,
)
from tests.server.builders import add_queue, callback_url, open_desk
from xqueue_server import settings
from xqueue_server.app import create_app
from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore

HERE = {"Origin": ORIGIN}


@pytest.fixture
def app(storage: Storage, database_url: str, tmp_path: object) -> Flask:
    loaded = settings.load(
        {
            "XQUEUE_DATA_DIR": str(tmp_path),
            "XQUEUE_DATABASE_URL": database_url,
            "XQUEUE_SECRET_KEY": SECRET_KEY.decode(),
            "XQUEUE_LMS_ORIGINS": "https://lms.example",
            "XQUEUE_PUBLIC_URL": "https://xqueue.example.org",
        }
    )
    return create_app(loaded, storage)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def status_of(client: FlaskClient, link: str) -> dict[str, object]:
    found: dict[str, object] = client.get(f"{link}/status").get_json()
    return found


def test_the_time_is_told_beside_the_page_with_the_script_that_counts_by_it(
    store: ProctoringStore, make_exam: MakeExam, client: FlaskClient
) -> None:
    link = link_of(store, SECRET_KEY, begun(store, make_exam()).id)
    page = client.get(link).get_data(as_text=True)
    (script,) = re.findall(r'src="(/proctoring/static/[0-9a-f]+/clock\.js)"', page)
    served = client.get(script)
    assert served.mimetype == "text/javascript"
    assert "immutable" in served.headers["Cache-Control"]
    assert "examClock" in served.get_data(as_text=True)
    assert 'data-time="/proctoring/time"' in page
    told = client.post("/proctoring/time", json={"t1": 12.5}).get_json()
    assert told["t1"] == 12.5
    with store.read() as session:
        assert told["t2"] == pytest.approx(session.now.timestamp(), abs=1)
    refused = client.post("/proctoring/time", data="nonsense")
    assert (refused.status_code, list(refused.get_json())) == (400, ["detail"])


# -- the link ------------------------------------------------------------------------------------


def test_a_link_opens_one_attempt_and_no_other(
    store: ProctoringStore, make_exam: MakeExam, client: FlaskClient
) -> None:
    exam = make_exam()
    mine, other = begun(store, exam), begun(store, exam, user_id="43")
    link = link_of(store, SECRET_KEY, mine.id)
    page = client.get(link)
    assert page.status_code == 200
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    _, _, token = link.rpartition("/")
    changed = f"/proctoring/attempt/{other.id}.{token.partition('.')[2]}"
    for wrong in (changed, "/proctoring/attempt/1", link_of(store, b"x" * 32, mine.id)):
        assert client.get(wrong).status_code == 404
        assert client.get(f"{wrong}/status").status_code == 404
        assert client.post(f"{wrong}/ready", headers=HERE).status_code == 404


def test_a_link_expires_and_one_of_an_attempt_that_was_removed_opens_nothing(
    store: ProctoringStore, make_exam: MakeExam, client: FlaskClient, storage: Storage
) -> None:
    attempt = begun(store, make_exam())
    link = link_of(store, SECRET_KEY, attempt.id)
    act(store, attempt.id, Action.RESET, actor=Actor.STAFF)
    assert client.get(link).status_code == 404
    storage.clock.advance(LIFETIME_S + 2 * 24 * 3600)  # type: ignore[attr-defined]
    assert client.get(link).status_code == 410


# -- becoming ready ------------------------------------------------------------------------------


def test_the_page_makes_an_attempt_ready_as_a_provider_would_and_once(
    store: ProctoringStore, make_exam: MakeExam, client: FlaskClient
) -> None:
    attempt = sitting(store, make_exam(clock_owner=ClockOwner.LMS), user_id="42", by=LMS_SAYS)
    link = link_of(store, SECRET_KEY, attempt.id)
    page = client.get(link)
    assert page.status_code == 200
    assert "Your course links to it only until you have started" in page.text
    assert look(store, attempt.id).status is Status.CREATED  # looking alone does nothing
    assert status_of(client, link)["is_readied_here"] is True
    assert client.post(f"{link}/ready", headers=HERE).get_json()["status"] == "ready_to_start"
    assert client.post(f"{link}/ready", headers=HERE).status_code == 200
    with store.read() as session:
        rows = session.attempts.history(attempt.id)
    assert [(row.change.actor, row.change.who) for row in rows[1:]] == [("provider", "page")]
    assert status_of(client, link)["is_readied_here"] is False


@pytest.mark.parametrize(
    ("terms", "exam_type"),
    [
        ({"readying": "proctor"}, ExamType.PROCTORED),
        ({"provider": "mock"}, ExamType.PROCTORED),
        ({}, ExamType.TIMED),
    ],
)
def test_where_somebody_else_lets_start_the_page_does_not(
    store: ProctoringStore,
    make_exam: MakeExam,
    client: FlaskClient,
    storage: Storage,
    terms: dict[str, object],
    exam_type: ExamType,
) -> None:
    if "provider" in terms:
        add_provider(storage)
    attempt = sitting(store, make_exam(terms=terms, exam_type=exam_type), user_id="42")
    link = link_of(store, SECRET_KEY, attempt.id)
    assert status_of(client, link)["is_readied_here"] is False
    assert client.post(f"{link}/ready", headers=HERE).status_code == 409
    assert look(store, attempt.id).status is Status.CREATED


def add_provider(storage: Storage) -> None:
    with ProctoringStore(storage, SECRET_KEY).write() as session:
        session.recipients.put_provider(
            Entry(
                name="mock", plugin="mock", settings={"base_url": "https://p.example"}, secrets={}
            )
        )


def test_another_site_s_form_makes_nothing_ready(
    store: ProctoringStore, make_exam: MakeExam, client: FlaskClient
) -> None:
    attempt = sitting(store, make_exam(), user_id="42")
    link = link_of(store, SECRET_KEY, attempt.id)
    asked = client.post(f"{link}/ready", headers={"Origin": "https://evil.example"})
    assert asked.status_code == 403
    assert look(store, attempt.id).status is Status.CREATED


# -- what it says --------------------------------------------------------------------------------


def test_each_status_has_words_and_the_running_one_its_end(
    store: ProctoringStore, make_exam: MakeExam, client: FlaskClient
) -> None:
    exam = make_exam()
    attempt = begun(store, exam)
    link = link_of(store, SECRET_KEY, attempt.id)
    running = status_of(client, link)
    assert attempt.expires_at is not None
    assert running["expires_at"] == attempt.expires_at.isoformat()
    assert running["title"] == "Your exam is running"
    act(store, attempt.id, Action.SUBMIT, actor=Actor.LEARNER)
    ended = status_of(client, link)
    assert (ended["title"], ended["expires_at"]) == ("Your exam is submitted", None)


def test_without_script_the_page_says_when_it_ends_and_whose_clock_that_is(
    store: ProctoringStore, make_exam: MakeExam, client: FlaskClient
) -> None:
    ours = begun(store, make_exam())
    page = client.get(link_of(store, SECRET_KEY, ours.id)).get_data(as_text=True)
    assert ours.expires_at is not None
    assert f"{ours.expires_at:%Y-%m-%d %H:%M:%S}</time> UTC" in page
    assert "server’s clock, which decides" in page
    exam = make_exam(clock_owner=ClockOwner.LMS, external_id="exam-2", content_id="another")
    theirs = sitting(store, exam, user_id="43", by=LMS_SAYS)
    page = client.get(link_of(store, SECRET_KEY, theirs.id)).get_data(as_text=True)
    assert "Your course decides when it is over" in page


def test_a_verdict_says_whether_a_person_has_looked(
    store: ProctoringStore, make_exam: MakeExam, client: FlaskClient
) -> None:
    exam = make_exam(exam_type=ExamType.ONBOARDING)
    attempt = submitted(store, exam)
    link = link_of(store, SECRET_KEY, attempt.id)
    act(store, attempt.id, Action.FAIL, actor=Actor.PROVIDER)
    assert "No person has decided" in str(status_of(client, link)["text"])
    act(store, attempt.id, Action.PASS, actor=Actor.PROCTOR)
    act(store, attempt.id, Action.FAIL, actor=Actor.PROCTOR)
    assert "A person has decided" in str(status_of(client, link)["text"])
    unseen = submitted(
        store, make_exam(terms={"review": "auto_pass"}, external_id="exam-2", content_id="another")
    )
    told = status_of(client, link_of(store, SECRET_KEY, unseen.id))
    assert told["title"] == "Your exam is accepted"
    assert "Nobody reviews" in str(told["text"])


def test_a_warning_is_shown_in_its_words_and_not_in_the_proctor_s_remark(
    store: ProctoringStore, make_exam: MakeExam, client: FlaskClient
) -> None:
    attempt = begun(store, make_exam())
    link = link_of(store, SECRET_KEY, attempt.id)
    assert status_of(client, link)["warnings"] == []
    with store.write() as session:
        report(
            session,
            NewIncident(
                attempt_id=attempt.id,
                incident_id="i",
                source=Source.PROCTOR,
                kind="talks to <somebody>",
                severity=0.5,
                happened_at=session.now,
                detail="a remark of the proctor",
                reported_by="account paula",
            ),
        )
    assert status_of(client, link)["warnings"] == [
        "You have one warning. The latest: talks to <somebody>."
    ]
    page = client.get(link).get_data(as_text=True)
    assert "talks to &lt;somebody&gt;" in page
    assert "remark of the proctor" not in page
    assert "paula" not in page


def test_what_a_machine_noticed_is_no_warning_unless_the_policy_warns(
    store: ProctoringStore, make_exam: MakeExam, client: FlaskClient
) -> None:
    attempt = begun(store, make_exam())
    with store.write() as session:
        report(
            session,
            NewIncident(
                attempt_id=attempt.id,
                incident_id="i",
                source=Source.PROVIDER,
                kind="left full screen",
                severity=0.9,
                happened_at=session.now,
            ),
        )
    assert status_of(client, link_of(store, SECRET_KEY, attempt.id))["warnings"] == []


def test_it_says_what_became_of_the_grades(
    store: ProctoringStore,
    make_exam: MakeExam,
    client: FlaskClient,
    storage: Storage,
    clock: ManualClock,
) -> None:
    exam = make_exam(terms={"release": "on_verified"})
    attempt = submitted(store, exam)
    desk = open_desk(storage, clock)
    add_queue(storage)
    ids = [desk.submit(callback_url(f"{n}" * 32)) for n in range(3)]
    with store.write() as session:
        for submission_id, standing, state in (
            (ids[0], Standing.IN_TIME, GradeState.WAITING),
            (ids[1], Standing.IN_TIME, GradeState.WAITING),
            (ids[2], Standing.LATE, GradeState.FLAGGED),
        ):
            session.grades.add(submission_id, exam.id, attempt.id, standing, state, factor=1.0)
    link = link_of(store, SECRET_KEY, attempt.id)
    assert status_of(client, link)["grades"] == [
        "2 answers are stored; the grade is shown when it is reviewed.",
        "One answer is stored, but came late or outside of the exam: your course team decides.",
    ]


# -- asking, over and over -----------------------------------------------------------------------


def test_asking_is_one_statement_and_304_until_something_changes(
    store: ProctoringStore, make_exam: MakeExam, client: FlaskClient, storage: Storage
) -> None:
    attempt = begun(store, make_exam())
    link = link_of(store, SECRET_KEY, attempt.id)
    first = client.get(f"{link}/status")
    asked = {"If-None-Match": first.headers["ETag"]}
    statements: list[str] = []

    def note(*given: object) -> None:
        statements.append(str(given[2]))

    event.listen(storage.engine, "before_cursor_execute", note)
    storage.clock.advance(60)  # type: ignore[attr-defined]
    assert client.get(f"{link}/status", headers=asked).status_code == 304
    event.remove(storage.engine, "before_cursor_execute", note)
    assert len(statements) == 1
    assert statements[0].startswith("SELECT")
    assert "FOR UPDATE" not in statements[0]
    act(store, attempt.id, Action.STOP, actor=Actor.LEARNER)
    assert client.get(f"{link}/status", headers=asked).status_code == 200
