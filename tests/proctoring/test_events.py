"""Events of exam attempts, read back by an unmodified service of Open edX from a real Redis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from proctoring_hooks import attempts
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.events.avro import Nullable, Record, encoded, record
from proctoring_hooks.exam import ClockOwner
from proctoring_hooks.reviews import Review
from proctoring_hooks.transitions import Action, Actor, By
from proctoring_hooks.web.exam_service_store import Person
from tests.acceptance.services import PrivateRedis
from tests.delivery.outbox_data import deliver_now
from tests.proctoring.conftest import LMS, MakeExam
from tests.proctoring.event_bus_peer.peer import Consumer, ask
from tests.proctoring.outgoing import messages, post_office, summary
from tests.proctoring.sitting import LEARNER, LMS_SAYS, PROCTOR, registered, started
from xqueue_server.callbacks.delivery import Deliverer
from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore

KIND = "org.openedx.learning.exam.attempt.{}.v1"
JANE = Person(username="jane", email="jane@example.org", full_name="Jané Døe")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[PrivateRedis]:
    server = PrivateRedis(tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def store(store: ProctoringStore) -> ProctoringStore:
    """The LMS wants events, and has told who learner 17 is."""
    with store.write() as session:
        session.lmses.replace(replace(LMS, sends_events=True))
        session.learners.tell("edx", "17", **asdict(JANE))
    return store


@pytest.fixture
def deliverer(storage: Storage, store: ProctoringStore, redis: PrivateRedis) -> Iterator[Deliverer]:
    with post_office(storage, store, XQUEUE_EVENT_BUS_REDIS_URL=redis.url) as made:
        yield made


def judge(store: ProctoringStore, attempt: Attempt, action: Action) -> None:
    review = Review(action=action, actor=Actor.PROCTOR, reviewed_by="jane", review_id=action)
    with store.write() as session:
        attempts.judge(session, attempt.id, review, PROCTOR)


def do(store: ProctoringStore, attempt: Attempt, action: Action, by: By = LEARNER) -> None:
    with store.write() as session:
        attempts.act(session, attempt.id, action, by)


def test_a_service_of_open_edx_reads_every_event_as_it_was_meant(
    storage: Storage,
    store: ProctoringStore,
    make_exam: MakeExam,
    deliverer: Deliverer,
    redis: PrivateRedis,
    clock: ManualClock,
) -> None:
    exam = make_exam()
    attempt = started(store, exam)
    do(store, attempt, Action.SUBMIT)
    judge(store, attempt, Action.FAIL)
    judge(store, attempt, Action.PASS)
    staff = By(actor=Actor.STAFF, who="lms edx user 3")
    do(store, attempt, Action.RESET, staff)
    broken = started(store, exam)
    do(store, broken, Action.ERROR)
    deliver_now(deliverer)
    assert {state for _, state in summary(storage)} == {"delivered"}
    with Consumer(redis.url) as lms:
        found = [lms.next() for _ in range(5)]
    names = ["submitted", "rejected", "verified", "reset", "errored"]
    assert [each["signal"] for each in found] == [KIND.format(name) for name in names]
    assert [each["event_type"] for each in found] == [each["signal"] for each in found]
    jane = {"id": 17, "is_active": True, "pii": ["jane", "jane@example.org", "Jané Døe"]}
    for each in found:
        assert each["student_user"] == jane
        assert (each["course_key"], each["usage_key"]) == (exam.course_id, exam.content_id)
        assert each["exam_type"] == "proctored"
        assert (each["source"], each["minorversion"]) == ("openedx/xqueue/web", 0)
        assert each["sourcelib"] == [10, 5, 0]
        assert each["time"] == "2026-01-01T00:00:00+00:00"
    askers = [each["requesting_user"]["id"] for each in found]
    assert askers == [17, 17, 17, 3, 17]
    assert len({each["id"] for each in found}) == 5


def test_a_prefix_goes_before_the_topic(
    storage: Storage, store: ProctoringStore, make_exam: MakeExam, redis: PrivateRedis
) -> None:
    settings = {
        "XQUEUE_EVENT_BUS_REDIS_URL": redis.url,
        "XQUEUE_EVENT_BUS_TOPIC_PREFIX": "stage",
    }
    do(store, started(store, make_exam()), Action.SUBMIT)
    with post_office(storage, store, **settings) as deliverer:
        deliver_now(deliverer)
    with Consumer(redis.url, "stage") as lms:
        assert lms.next()["signal"] == KIND.format("submitted")
    assert redis.client.keys() == [b"stage-learning-exam-attempt-lifecycle"]


def test_events_wait_for_a_redis_that_is_down_and_keep_their_order_and_ids(
    storage: Storage,
    store: ProctoringStore,
    make_exam: MakeExam,
    deliverer: Deliverer,
    redis: PrivateRedis,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    redis.kill()
    attempt = started(store, make_exam())
    do(store, attempt, Action.SUBMIT)
    judge(store, attempt, Action.PASS)
    deliver_now(deliverer)
    assert {state for _, state in summary(storage)} == {"pending"}
    assert messages(storage)[0].last_error == "Redis: ConnectionError"
    redis.start()
    clock.advance(2)
    with monkeypatch.context() as patch:  # killed between writing and recording
        patch.setattr(deliverer._concluder, "conclude", lambda *_: None)
        deliver_now(deliverer)
    clock.advance(60)
    deliver_now(deliverer)
    assert {state for _, state in summary(storage)} == {"delivered"}
    with Consumer(redis.url) as lms:
        found = [lms.next() for _ in range(3)]
    assert [each["signal"].split(".")[-2] for each in found] == [
        "submitted",
        "submitted",
        "verified",
    ]
    assert found[0]["id"] == found[1]["id"] != found[2]["id"]


def test_nothing_is_told_of_a_learner_who_was_erased(
    storage: Storage,
    store: ProctoringStore,
    make_exam: MakeExam,
    deliverer: Deliverer,
    redis: PrivateRedis,
) -> None:
    attempt = started(store, make_exam(), "18")
    do(store, attempt, Action.SUBMIT)
    deliver_now(deliverer)
    [message] = messages(storage)
    assert (message.state, message.last_error) == (
        "dead",
        "the learner's user name is not known, or was erased",
    )
    assert redis.client.keys() == []


def test_without_a_bus_the_message_says_which_setting_is_missing(
    storage: Storage, store: ProctoringStore, make_exam: MakeExam
) -> None:
    do(store, started(store, make_exam()), Action.SUBMIT)
    with post_office(storage, store) as deliverer:
        deliver_now(deliverer)
    [message] = messages(storage)
    assert (message.state, message.last_error) == (
        "dead",
        "XQUEUE_EVENT_BUS_REDIS_URL is not set",
    )


def test_a_redis_that_refuses_us_is_a_matter_of_credentials_and_its_password_is_shown_nowhere(
    storage: Storage, store: ProctoringStore, make_exam: MakeExam, redis: PrivateRedis
) -> None:
    redis.client.config_set("requirepass", "right")
    url = redis.url.replace("redis://", "redis://:wrong@")
    do(store, started(store, make_exam()), Action.SUBMIT)
    with post_office(storage, store, XQUEUE_EVENT_BUS_REDIS_URL=url) as deliverer:
        deliver_now(deliverer)
    [message] = messages(storage)
    assert message.state == "pending"
    assert message.last_error == "Redis: AuthenticationError"
    assert "wrong" not in repr(message)
    assert message.next_at is not None
    assert (message.next_at - message.created_at).total_seconds() == 1200


STUDENT = {"id": 17, "username": "jane", "email": "jane@example.org", "name": "Jané Døe 🎓"}
REQUESTING = {"id": 2**40, "username": "x" * 300, "email": "", "name": ""}


@pytest.mark.parametrize("requesting", [None, REQUESTING])
def test_the_bytes_are_those_of_openedx_events(requesting: dict[str, Any] | None) -> None:
    given = {
        "student": STUDENT,
        "course_key": "course-v1:edX+DemoX+2026",
        "usage_key": "block-v1:edX+DemoX+2026+type@sequential+block@final",
        "exam_type": "proctored",
        "requesting": requesting,
    }
    theirs = ask("written.py", given)
    ours = record(
        _user(STUDENT),
        str(given["course_key"]),
        str(given["usage_key"]),
        "proctored",
        Nullable(_user(requesting) if requesting else None),
    )
    assert encoded(record(ours)).hex() == theirs["event_data"]
    fields = [field["name"] for field in theirs["schema"]["fields"][0]["type"]["fields"]]
    assert fields == ["student_user", "course_key", "usage_key", "exam_type", "requesting_user"]


def _user(of: dict[str, Any]) -> Record:
    return record(of["id"], True, record(of["username"], of["email"], of["name"]))


@pytest.mark.parametrize(
    ("number", "written"),
    [(0, "00"), (-1, "01"), (1, "02"), (-2, "03"), (-64, "7f"), (64, "8001")],
)
def test_longs_are_written_as_avro_s_specification_shows(number: int, written: str) -> None:
    assert encoded(number).hex() == written


def test_a_number_that_is_no_long_is_refused() -> None:
    with pytest.raises(OverflowError):
        encoded(2**63)


def test_attempts_that_the_lms_keeps_are_its_own_to_tell(
    storage: Storage, store: ProctoringStore, make_exam: MakeExam
) -> None:
    attempt = registered(store, make_exam(clock_owner=ClockOwner.LMS), by=LMS_SAYS)
    for action in (Action.START, Action.SUBMIT, Action.RESET):
        do(store, attempt, action, LMS_SAYS)
    assert summary(storage) == []
