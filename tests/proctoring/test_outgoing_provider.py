"""What a provider is told of attempts that we keep, whatever it answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import pytest

from proctoring_hooks import attempts
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import Exam
from proctoring_hooks.obscuring import obscured_id
from proctoring_hooks.statuses import Status
from proctoring_hooks.transitions import Action
from tests.delivery.lms import Reply, running_lms
from tests.delivery.outbox_data import deliver_now
from tests.proctoring.conftest import MakeExam
from tests.proctoring.outgoing import (
    PUBLIC_URL,
    SignedIn,
    answered,
    messages,
    post_office,
    put_provider,
    summary,
    tries,
)
from tests.proctoring.sitting import LEARNER, PROVIDER, STAFF, now, registered
from xqueue_server.callbacks.delivery import Deliverer
from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.transport.http import Patience

EXAM, ATTEMPT = {"id": "ex-1"}, {"id": "at/1"}
ATTEMPT_PATH = "/api/v1/exam/ex-1/attempt/"
ANSWERS = 50


@pytest.fixture
def provider(store: ProctoringStore) -> Iterator[SignedIn]:
    """A REST provider that is entered as `watcher`."""
    with running_lms() as server:
        put_provider(store, "rest", base_url=server.origin, client_id="us")
        yield SignedIn(server)


@pytest.fixture
def deliverer(storage: Storage, store: ProctoringStore) -> Iterator[Deliverer]:
    with post_office(storage, store) as made:
        yield made


@pytest.fixture
def new_exam(make_exam: MakeExam) -> Exam:
    """That the provider has not heard of."""
    return make_exam(terms={"provider": "watcher", "rules": {"no_phone": "No phone"}})


@pytest.fixture
def exam(store: ProctoringStore, new_exam: Exam) -> Exam:
    """That the provider has an id of."""
    with store.write() as session:
        return session.exams.change(new_exam.id, provider_exam_id="ex-1")


def deliver_all(deliverer: Deliverer, clock: ManualClock) -> None:
    """An attempt that was told too early is told again two seconds later."""
    deliver_now(deliverer)
    clock.advance(2)
    deliver_now(deliverer)


def sit(store: ProctoringStore, attempt: Attempt, *actions: Action) -> None:
    with store.write() as session:
        if Action.START in actions:
            attempts.act(session, attempt.id, Action.READY, PROVIDER)
        for action in actions:
            attempts.act(session, attempt.id, action, LEARNER)


def test_an_attempt_from_its_registration_to_its_end(
    storage: Storage,
    store: ProctoringStore,
    deliverer: Deliverer,
    provider: SignedIn,
    new_exam: Exam,
    clock: ManualClock,
) -> None:
    provider.answers = [answered(EXAM), answered(ATTEMPT), *[answered({"status": "x"})] * 2]
    attempt = registered(store, new_exam)
    deliver_all(deliverer, clock)
    sit(store, attempt, Action.START, Action.SUBMIT)
    deliver_now(deliverer)
    about_exam, registration, *rest = provider.told
    assert about_exam[:2] == ("POST", "/api/v1/exam/")
    assert about_exam[2] == {
        "id": new_exam.id,
        "course_id": new_exam.course_id,
        "content_id": new_exam.content_id,
        "external_id": None,
        "exam_name": "Final",
        "time_limit_mins": 60,
        "is_proctored": True,
        "is_practice_exam": False,
        "is_active": True,
        "due_date": None,
        "hide_after_due": False,
        "backend": "watcher",
        "rules": {"no_phone": "No phone"},
    }
    assert registration == (
        "POST",
        ATTEMPT_PATH,
        {
            "lms_host": f"{PUBLIC_URL}/exams",
            "time_limit_mins": 10,
            "is_sample_attempt": False,
            "user_id": obscured_id("o", "17", "watcher"),
            "full_name": "",
            "email": "",
            "status": "created",
        },
    )
    assert rest == [
        ("PATCH", f"{ATTEMPT_PATH}at%2F1/", {"status": "started"}),
        ("PATCH", f"{ATTEMPT_PATH}at%2F1/", {"status": "submitted"}),
    ]
    assert {each.headers["authorization"] for each in provider.calls} == {"JWT token-1"}
    found = now(store, attempt)
    assert (found.provider_attempt_id, found.version) == ("at/1", 4)
    with store.read() as session:
        assert session.exams.get(new_exam.id).provider_exam_id == "ex-1"
    assert {state for _, state in summary(storage)} == {"delivered"}


def test_a_learner_submits_whatever_becomes_of_the_provider_and_it_is_told_later_in_order(
    storage: Storage,
    store: ProctoringStore,
    deliverer: Deliverer,
    provider: SignedIn,
    new_exam: Exam,
    clock: ManualClock,
) -> None:
    provider.answers = [Reply(status=500)] * ANSWERS
    attempt = registered(store, new_exam)
    deliver_now(deliverer)
    sit(store, attempt, Action.START, Action.SUBMIT)
    deliver_now(deliverer)
    assert now(store, attempt).status is Status.SUBMITTED
    provider.answers = [answered(EXAM), answered(ATTEMPT), *[answered({})] * 2]
    calls = len(provider.calls)
    for _ in range(3):
        clock.advance(3600)
        deliver_now(deliverer)
    assert [(method, path) for method, path, _ in provider.told[calls:]] == [
        ("POST", "/api/v1/exam/"),
        ("POST", ATTEMPT_PATH),
        ("PATCH", f"{ATTEMPT_PATH}at%2F1/"),
        ("PATCH", f"{ATTEMPT_PATH}at%2F1/"),
    ]
    assert {state for _, state in summary(storage)} == {"delivered"}


NOTHING_LEARNED = {
    "HTML": (Reply(body=b"<html>Welcome</html>"), "answered 200 without JSON"),
    "201, HTML": (Reply(status=201, body=b"<html>"), "answered 201 without JSON"),
    "500 with JSON": (answered(ATTEMPT, status=500), None),
    "no id": (answered({"status": "created"}), "answered without an attempt id"),
    "null id": (answered({"id": None}), "answered without an attempt id"),
    "an id that is an object": (answered({"id": {}}), "answered without an attempt id"),
    "an id that is too long": (
        answered({"id": "x" * 256}),
        "answered with something that can not be an attempt id",
    ),
    "a list": (answered([ATTEMPT]), "answered 200 with JSON that is no object"),
    "nothing": (Reply(), "answered 200 without JSON"),
    "too deep": (Reply(body=b"[" * 60_000), "answered 200 without JSON"),
    "not UTF-8": (Reply(body=b'{"id": \xff}'), "answered 200 without JSON"),
    "a redirect": (Reply(status=302, headers={"Location": "/"}), None),
    "hangs up": (Reply(raw=lambda _: None), "connection broke: Remote end closed connection"),
}


@pytest.mark.parametrize("name", NOTHING_LEARNED)
def test_a_wrong_answer_is_named_and_asked_for_again(
    storage: Storage,
    store: ProctoringStore,
    deliverer: Deliverer,
    provider: SignedIn,
    exam: Exam,
    clock: ManualClock,
    name: str,
) -> None:
    wrong, words = NOTHING_LEARNED[name]
    # A kept connection that breaks is replaced once, without a new try.
    provider.answers = [wrong, wrong] if wrong.raw else [wrong]
    attempt = registered(store, exam)
    deliver_now(deliverer)
    about = next(each for each in messages(storage) if each.purpose == "register")
    assert about.state == "pending"
    assert about.last_error is None if words is None else words in (about.last_error or "")
    assert now(store, attempt).provider_attempt_id == ""
    provider.answers = [answered(ATTEMPT, status=201)]
    clock.advance(2)
    deliver_now(deliverer)
    assert now(store, attempt).provider_attempt_id == "at/1"


def test_a_provider_that_hangs_is_left_after_a_while_and_keeps_nobody(
    storage: Storage, store: ProctoringStore, provider: SignedIn, new_exam: Exam
) -> None:
    is_over = threading.Event()
    provider.answers = [Reply(wait_for=is_over)]
    attempt = registered(store, new_exam)
    patience = Patience(connect_s=30, read_s=1, total_s=60)
    with post_office(storage, store, patience=patience) as deliverer:
        deliverer.begin_due()
        sit(store, attempt, Action.START, Action.SUBMIT)
        assert now(store, attempt).status is Status.SUBMITTED
        deliverer.settle()
    is_over.set()
    assert messages(storage)[0].last_error == "no answer within 1 s"


def test_an_attempt_that_the_provider_refuses_is_a_dead_letter_and_so_is_what_follows(
    storage: Storage, store: ProctoringStore, deliverer: Deliverer, provider: SignedIn, exam: Exam
) -> None:
    provider.answers = [answered({"error": "no"}, status=422)]
    attempt = registered(store, exam)
    deliver_now(deliverer)
    sit(store, attempt, Action.START)
    deliver_now(deliverer)
    assert summary(storage) == [
        ("register", "dead"),
        ("start", "dead"),
    ]
    assert [each.last_error for each in messages(storage)] == [
        "the provider refuses it (422)",
        "the provider never took this attempt: replay the message that registers it",
    ]


@pytest.mark.parametrize(
    "status",
    ["onboarding_missing", "onboarding_pending", "onboarding_failed", "onboarding_expired"],
)
def test_a_learner_without_onboarding_is_told_so(
    store: ProctoringStore, deliverer: Deliverer, provider: SignedIn, exam: Exam, status: str
) -> None:
    provider.answers = [answered({"status": status})]
    attempt = registered(store, exam)
    deliver_now(deliverer)
    assert now(store, attempt).status == status


@pytest.mark.parametrize(
    ("answer", "is_done"),
    [
        (answered({"status": "deleted"}), True),
        (Reply(status=404), True),
        (answered({"status": "queued"}), False),
        (Reply(status=204), False),
        (Reply(status=405), False),
    ],
)
def test_a_removal_is_done_when_it_is_confirmed(
    storage: Storage,
    store: ProctoringStore,
    deliverer: Deliverer,
    provider: SignedIn,
    exam: Exam,
    answer: Reply,
    is_done: bool,
) -> None:
    provider.answers = [answered(ATTEMPT), answer]
    attempt = registered(store, exam)
    with store.write() as session:  # before the provider has answered at all
        attempts.act(session, attempt.id, Action.RESET, STAFF)
    deliver_now(deliverer)
    assert provider.told[-1] == ("DELETE", f"{ATTEMPT_PATH}at%2F1/", None)
    assert summary(storage)[-1] == ("remove", "delivered" if is_done else "pending")


def test_an_exam_that_two_attempts_need_is_registered_once(
    store: ProctoringStore,
    deliverer: Deliverer,
    provider: SignedIn,
    new_exam: Exam,
    clock: ManualClock,
) -> None:
    provider.answers = [answered(EXAM), answered({"id": 1}), answered({"id": 2})]
    for user_id in ("17", "18"):
        registered(store, new_exam, user_id)
    deliver_all(deliverer, clock)
    paths = [path for _, path, _ in provider.told]
    assert paths.count("/api/v1/exam/") == 1


def test_an_attempt_waits_for_the_exam_and_says_for_what(
    storage: Storage,
    store: ProctoringStore,
    deliverer: Deliverer,
    provider: SignedIn,
    new_exam: Exam,
) -> None:
    provider.tokens = [500]
    registered(store, new_exam)
    deliver_now(deliverer)
    registration = messages(storage)[1]
    assert registration.state == "pending"
    assert registration.last_error == (
        "the provider has not yet said by which id it knows the exam"
    )
    assert provider.calls == []


def test_names_are_told_only_where_the_operator_says_so(
    store: ProctoringStore, deliverer: Deliverer, provider: SignedIn, exam: Exam
) -> None:
    from proctoring_hooks.web.exam_service_store import Person

    put_provider(store, "rest", base_url=provider.server.origin, client_id="us", send_names=True)
    with store.write() as session:
        person = Person(username="jane", email="jane@example.org", full_name="Jane Doe")
        session.learners.tell("edx", "17", **asdict(person))
    provider.answers = [answered(ATTEMPT)]
    registered(store, exam)
    deliver_now(deliverer)
    body = provider.told[-1][2]
    assert (body["full_name"], body["email"]) == ("Jane Doe", "jane@example.org")


def test_what_is_told_of_an_attempt_whose_answer_was_lost_is_not_told_again(
    store: ProctoringStore,
    storage: Storage,
    deliverer: Deliverer,
    provider: SignedIn,
    exam: Exam,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed between sending and recording: sent twice, under the same key."""
    provider.answers = [answered(ATTEMPT), answered(ATTEMPT)]
    registered(store, exam)
    conclude = deliverer._concluder.conclude
    with monkeypatch.context() as patch:

        def but_registrations(due: Any, *more: Any) -> None:
            if due.addressing.purpose != "register":
                conclude(due, *more)

        patch.setattr(deliverer._concluder, "conclude", but_registrations)
        deliver_now(deliverer)
    clock.advance(60)
    deliver_now(deliverer)
    keys = [each.headers["idempotency-key"] for each in provider.calls if each.path == ATTEMPT_PATH]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert summary(storage)[-1] == ("register", "delivered")


def test_nothing_goes_elsewhere_than_the_entry_says(
    storage: Storage,
    store: ProctoringStore,
    provider: SignedIn,
    new_exam: Exam,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from proctoring_hooks.providers import rest

    with running_lms() as elsewhere, post_office(storage, store) as deliverer:
        make = rest.RestProvider.__init__

        def moved(self: Any, entry: Any) -> None:
            make(self, entry)
            self._base_url = elsewhere.origin

        monkeypatch.setattr(rest.RestProvider, "__init__", moved)
        registered(store, new_exam)
        deliver_now(deliverer)
        assert elsewhere.received == []
    first = messages(storage)[0]
    assert first.last_error is not None
    assert "wants to send to another place" in first.last_error


def test_settings_that_make_no_sense_are_named_and_may_be_mended(
    storage: Storage,
    store: ProctoringStore,
    deliverer: Deliverer,
    provider: SignedIn,
    new_exam: Exam,
    clock: ManualClock,
) -> None:
    origin = provider.server.origin
    put_provider(store, "no-such-plugin", base_url=origin, client_id="us")
    registered(store, new_exam)
    deliver_now(deliverer)
    error = messages(storage)[0].last_error
    assert error is not None
    assert "no plug-in no-such-plugin is installed" in error
    put_provider(store, "rest", base_url=origin, client_id="us")
    provider.answers = [answered(EXAM), answered(ATTEMPT)]
    clock.advance(1200)
    deliver_now(deliverer)
    clock.advance(1200)
    deliver_now(deliverer)
    assert {state for _, state in summary(storage)} == {"delivered"}


def test_the_mock_provider_readies_and_passes_everybody(
    storage: Storage, store: ProctoringStore, deliverer: Deliverer, exam: Exam
) -> None:
    put_provider(store, "mock")
    attempt = registered(store, exam)
    deliver_now(deliverer)
    assert now(store, attempt).status is Status.READY_TO_START
    with store.write() as session:
        for action in (Action.START, Action.SUBMIT):
            attempts.act(session, attempt.id, action, LEARNER)
    deliver_now(deliverer)
    assert now(store, attempt).status is Status.VERIFIED
    assert {state for _, state in summary(storage)} == {"delivered"}


def test_the_null_provider_is_told_nothing(
    storage: Storage, store: ProctoringStore, deliverer: Deliverer, exam: Exam
) -> None:
    put_provider(store, "null")
    attempt = registered(store, exam)
    deliver_now(deliverer)
    assert now(store, attempt).status is Status.CREATED
    assert {state for _, state in summary(storage)} == {"delivered"}


def test_an_answer_is_kept_with_the_end_of_its_try_or_not_at_all(
    storage: Storage,
    store: ProctoringStore,
    deliverer: Deliverer,
    provider: SignedIn,
    new_exam: Exam,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider.answers = [answered(EXAM)]

    def broken(*_: Any) -> None:
        raise RuntimeError("killed here")

    keep: Callable[..., None] = deliverer._concluder._keep

    def half(*given: Any) -> None:
        keep(*given)
        broken()

    monkeypatch.setattr(deliverer._concluder, "_keep", half)
    registered(store, new_exam)
    deliver_now(deliverer)
    with store.read() as session:
        assert session.exams.get(new_exam.id).provider_exam_id == ""
    first = messages(storage)[0]
    assert (first.state, tries(storage, first)) == ("pending", [])
