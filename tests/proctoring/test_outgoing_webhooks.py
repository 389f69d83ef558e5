"""What subscribers are told: signed as the Standard Webhooks say, to public addresses alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from proctoring_hooks import attempts
from proctoring_hooks.exam import Exam
from proctoring_hooks.obscuring import obscured_id
from proctoring_hooks.store import SecretSubscriber
from proctoring_hooks.transitions import Action
from tests.delivery.lms import Received, Reply, ScriptedLms, running_lms
from tests.delivery.outbox_data import deliver_now
from tests.proctoring.conftest import COURSE, LMS, MakeExam
from tests.proctoring.event_bus_peer.peer import ask
from tests.proctoring.outgoing import messages, post_office, summary
from tests.proctoring.sitting import LEARNER, started
from xqueue_server.callbacks.delivery import Deliverer
from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.transport.signing import read_secret, signed_headers

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


@pytest.fixture
def receiver() -> Iterator[ScriptedLms]:
    with running_lms() as server:
        yield server


@pytest.fixture
def deliverer(
    storage: Storage, store: ProctoringStore, receiver: ScriptedLms
) -> Iterator[Deliverer]:
    with post_office(storage, store, XQUEUE_WEBHOOK_ORIGINS=receiver.origin) as made:
        yield made


@pytest.fixture
def exam(make_exam: MakeExam) -> Exam:
    return make_exam()


def subscribe(store: ProctoringStore, url: str, *, course_id: str = "", name: str = "hr") -> None:
    with store.write() as session:
        subscriber = SecretSubscriber(name=name, url=url, secret=SECRET)
        session.recipients.put_subscriber(subscriber, lms="edx", course_id=course_id)


def submit(store: ProctoringStore, exam: Exam) -> None:
    attempt = started(store, exam)
    with store.write() as session:
        attempts.act(session, attempt.id, Action.SUBMIT, LEARNER)


def is_signed(got: Received) -> bool:
    """By the specification's words: HMAC-SHA256 over id.timestamp.body, in base64."""
    signed = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + got.raw
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    return got.headers["webhook-signature"] == f"v1,{expected}"


def test_a_subscriber_is_told_and_can_check_by_whom(
    storage: Storage,
    store: ProctoringStore,
    deliverer: Deliverer,
    receiver: ScriptedLms,
    exam: Exam,
) -> None:
    subscribe(store, f"{receiver.origin}/hook?x=1")
    submit(store, exam)
    deliver_now(deliverer)
    [got] = receiver.received
    assert (got.method, got.path) == ("POST", "/hook?x=1")
    assert is_signed(got)
    [message] = messages(storage)
    assert got.headers["webhook-id"] == f"msg_{message.id}"
    told = json.loads(got.raw)
    assert told["type"] == "org.openedx.learning.exam.attempt.submitted.v1"
    assert told["timestamp"] == "2026-01-01T00:00:00+00:00"
    by = obscured_id(LMS.obfuscation_key, "17", LMS.backend)
    assert (told["data"]["status"], told["data"]["obscured_user_id"]) == ("submitted", by)
    question = {"secret": SECRET, "body": got.raw.decode(), "headers": dict(got.headers)}
    assert ask("signing.py", question) == {"data": told}
    forged = question | {"body": got.raw.decode().replace("submitted", "verified")}
    assert "error" in ask("signing.py", forged)


def test_a_subscriber_gets_the_number_of_a_user_only_where_an_operator_says_so(
    store: ProctoringStore, deliverer: Deliverer, receiver: ScriptedLms, exam: Exam
) -> None:
    with store.write() as session:
        given = SecretSubscriber(
            name="join", url=f"{receiver.origin}/join", secret=SECRET, sends_user_id=True
        )
        session.recipients.put_subscriber(given, lms="edx", course_id="")
    subscribe(store, f"{receiver.origin}/hr")
    submit(store, exam)
    deliver_now(deliverer)
    deliver_now(deliverer)
    told = {got.path: json.loads(got.raw)["data"] for got in receiver.received}
    assert told["/join"] == told["/hr"] | {"user_id": "17"}
    assert "user_id" not in told["/hr"]


def test_while_a_secret_is_changed_either_of_the_two_will_do(
    store: ProctoringStore, deliverer: Deliverer, receiver: ScriptedLms, exam: Exam
) -> None:
    new = f"whsec_{base64.b64encode(b'n' * 32).decode()}"
    given = SecretSubscriber(name="hr", url=f"{receiver.origin}/hook", secret=f"{new} {SECRET}")
    with store.write() as session:
        session.recipients.put_subscriber(given, lms="edx", course_id="")
    submit(store, exam)
    deliver_now(deliverer)
    [got] = receiver.received
    question = {"body": got.raw.decode(), "headers": dict(got.headers)}
    third = f"whsec_{base64.b64encode(b't' * 32).decode()}"
    answers = [ask("signing.py", question | {"secret": each}) for each in (new, SECRET, third)]
    assert ["data" in answer for answer in answers] == [True, True, False]


def test_its_id_is_the_same_over_all_tries_and_each_is_signed_anew(
    storage: Storage,
    store: ProctoringStore,
    deliverer: Deliverer,
    receiver: ScriptedLms,
    exam: Exam,
    clock: ManualClock,
) -> None:
    receiver.script = [Reply(status=500), Reply(raw=lambda _: None), Reply(raw=lambda _: None)]
    subscribe(store, f"{receiver.origin}/hook")
    submit(store, exam)
    for _ in range(3):
        deliver_now(deliverer)
        clock.advance(10)
    assert summary(storage)[0][1] == "delivered"
    assert len({got.headers["webhook-id"] for got in receiver.received}) == 1
    assert all(is_signed(got) for got in receiver.received)


def test_only_those_of_the_course_are_told(
    storage: Storage, store: ProctoringStore, exam: Exam, receiver: ScriptedLms
) -> None:
    subscribe(store, f"{receiver.origin}/a", name="all")
    subscribe(store, f"{receiver.origin}/c", name="course", course_id=COURSE)
    subscribe(store, f"{receiver.origin}/o", name="other", course_id="course-v1:o+o+o")
    submit(store, exam)
    assert [each.recipient for each in messages(storage)] == ["all", "course"]


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ("", "is not https and not in XQUEUE_WEBHOOK_ORIGINS"),
        ("https", "which is not a public address"),
    ],
)
def test_what_is_not_public_is_told_nothing_unless_it_is_listed(
    storage: Storage,
    store: ProctoringStore,
    receiver: ScriptedLms,
    exam: Exam,
    listed: str,
    words: str,
) -> None:
    origin = receiver.origin.replace("http", "https") if listed else receiver.origin
    subscribe(store, f"{origin}/hook")
    submit(store, exam)
    with post_office(storage, store) as deliverer:
        deliver_now(deliverer)
    [message] = messages(storage)
    assert message.state == "dead"
    assert words in (message.last_error or "")
    assert receiver.received == []


def test_a_subscriber_who_has_moved_or_gone_gets_nothing_at_the_old_address(
    storage: Storage,
    store: ProctoringStore,
    deliverer: Deliverer,
    receiver: ScriptedLms,
    exam: Exam,
    make_exam: MakeExam,
) -> None:
    subscribe(store, f"{receiver.origin}/old")
    submit(store, exam)
    subscribe(store, f"{receiver.origin}/new")
    deliver_now(deliverer)
    assert messages(storage)[0].last_error == "hr is at another address by now"
    other = make_exam(external_id="exam-2", content_id="other")
    attempt = started(store, other, "18")
    with store.write() as session:
        attempts.act(session, attempt.id, Action.SUBMIT, replace(LEARNER))
        session.recipients.drop_subscriber("hr")
    deliver_now(deliverer)
    assert messages(storage)[1].last_error == "No subscriber hr"
    assert receiver.received == []


@pytest.mark.parametrize(
    "text", ["", "whsec_", SECRET.removeprefix("whsec_"), "whsec_§", "whsec_c2hvcnQ="]
)
def test_a_secret_that_is_none_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="a webhook's secret is whsec_ and the base64 of 24 to 64"):
        read_secret(text)


def test_the_signature_is_the_one_that_the_library_of_the_specification_makes() -> None:
    """Made with standardwebhooks 1.1.0."""
    headers = signed_headers([read_secret(SECRET)], "msg_1", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == VECTOR


VECTOR = "v1,aTF4+pE6A/FmvKM0YSVBBUfRhLIlBiaBUR+EjGls6Mc="
