"""What an LMS is told of attempts that it keeps: signed in, in order, until it knows, once."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from proctoring_hooks import attempts
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import ClockOwner
from proctoring_hooks.reviews import Comment, Review
from proctoring_hooks.transitions import Action, Actor
from proctoring_hooks.web import provider_attempts
from tests.delivery.lms import Reply, running_lms
from tests.delivery.outbox_data import deliver_now
from tests.proctoring.conftest import MakeExam
from tests.proctoring.outgoing import SignedIn, answered, messages, move_lms, post_office, summary
from tests.proctoring.outgoing import tries as tries_of
from tests.proctoring.sitting import LMS_SAYS, PROCTOR, registered
from xqueue_server.callbacks.delivery import Deliverer, replay_origin
from xqueue_server.errors import Conflict
from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage, callbacks
from xqueue_server.storage.proctoring import ProctoringStore

API = "/api/edx_proctoring/v1/proctored_exam/attempt"
HOURS = 3600


@pytest.fixture
def lms(store: ProctoringStore) -> Iterator[SignedIn]:
    with running_lms() as server:
        move_lms(store, server.origin)
        yield SignedIn(server)


@pytest.fixture
def deliverer(storage: Storage, store: ProctoringStore) -> Iterator[Deliverer]:
    with post_office(storage, store) as made:
        yield made


@pytest.fixture
def attempt(store: ProctoringStore, make_exam: MakeExam) -> Attempt:
    """One that the LMS keeps."""
    return registered(store, make_exam(clock_owner=ClockOwner.LMS), by=LMS_SAYS)


def make_ready(store: ProctoringStore, attempt: Attempt) -> None:
    with store.write() as session:
        attempts.act(session, attempt.id, Action.READY, PROCTOR)


def sit_and_reject(store: ProctoringStore, attempt: Attempt) -> None:
    review = Review(
        action=Action.FAIL,
        actor=Actor.PROCTOR,
        reviewed_by="jane",
        reviewer_email="jane@example.org",
        comments=(Comment(comment="A phone", status="Suspicious", start_s=3, stop_s=7.5),),
    )
    with store.write() as session:
        for action in (Action.START, Action.SUBMIT):
            attempts.act(session, attempt.id, action, LMS_SAYS)
        attempts.judge(session, attempt.id, review, PROCTOR)


def test_the_lms_is_told_with_a_token_of_its_own(
    storage: Storage, store: ProctoringStore, deliverer: Deliverer, lms: SignedIn, attempt: Attempt
) -> None:
    make_ready(store, attempt)
    sit_and_reject(store, attempt)
    deliver_now(deliverer)
    [asked] = [each for each in lms.server.received if each not in lms.calls]
    assert asked.form == {
        "grant_type": ["client_credentials"],
        "client_id": ["our-client"],
        "client_secret": ["our-secret"],
        "token_type": ["jwt"],
    }
    comment = {"comment": "A phone", "status": "Suspicious", "start": 3, "stop": 7.5}
    review = {"status": "violation", "comments": [comment], "reviewed_by": "jane@example.org"}
    path = f"{API}/{attempt.external_id}"
    assert lms.told == [
        ("POST", f"{path}/ready", {"status": "ready"}),
        ("POST", f"{path}/reviewed", review),
    ]
    assert {each.headers["authorization"] for each in lms.calls} == {"JWT token-1"}
    assert {each.headers["content-type"] for each in lms.calls} == {"application/json"}
    assert summary(storage) == [("ready", "delivered"), ("reviewed", "delivered")]
    assert all(each.submission_id is None for each in messages(storage))
    assert {(each.attempt_id, each.recipient) for each in messages(storage)} == {
        (attempt.id, "edx")
    }


def test_a_name_that_no_lms_can_know_is_not_sent(
    store: ProctoringStore, deliverer: Deliverer, lms: SignedIn, attempt: Attempt
) -> None:
    review = Review(action=Action.FAIL, actor=Actor.PROCTOR, reviewed_by="jane@work")
    with store.write() as session:
        for action in (Action.START, Action.SUBMIT):
            attempts.act(session, attempt.id, action, LMS_SAYS)
        attempts.judge(session, attempt.id, review, PROCTOR)
    deliver_now(deliverer)
    [(_, _, body)] = lms.told
    assert body == {"status": "violation", "comments": body["comments"]}


def test_who_reviews_before_the_end_is_told_by_address_and_is_on_record_by_name(
    store: ProctoringStore, deliverer: Deliverer, lms: SignedIn, attempt: Attempt
) -> None:
    name = "j" * 200  # of somebody else's reviewer, who may be called anything
    reviews = (
        Review(
            action=Action.PASS,
            actor=Actor.PROCTOR,
            reviewed_by="jane",
            reviewer_email="jane@example.org",
            review_id="1",
        ),
        Review(action=Action.FAIL, actor=Actor.PROCTOR, reviewed_by=name, review_id="2"),
    )
    with store.write() as session:
        attempts.act(session, attempt.id, Action.START, LMS_SAYS)
        for review in reviews:
            attempts.judge(session, attempt.id, review, PROCTOR)
        attempts.act(session, attempt.id, Action.SUBMIT, LMS_SAYS)
        who = [row.change.who for row in session.attempts.history(attempt.id)]
    deliver_now(deliverer)
    assert [body.get("reviewed_by") for _, _, body in lms.told] == ["jane@example.org", None]
    assert who[-2:] == ["jane", name[:160]]


def test_who_wants_another_to_look_is_not_named_as_that_would_be_final(
    store: ProctoringStore, deliverer: Deliverer, lms: SignedIn, attempt: Attempt
) -> None:
    review = Review(
        action=Action.REQUIRE_SECOND_REVIEW,
        actor=Actor.PROCTOR,
        reviewed_by="jane",
        reviewer_email="jane@example.org",
    )
    with store.write() as session:
        for action in (Action.START, Action.SUBMIT):
            attempts.act(session, attempt.id, action, LMS_SAYS)
        attempts.judge(session, attempt.id, review, PROCTOR)
    deliver_now(deliverer)
    assert [body for _, _, body in lms.told] == [{"status": "suspicious", "comments": []}]


def test_who_passes_what_was_never_begun_makes_it_an_error_there_too(
    store: ProctoringStore, deliverer: Deliverer, lms: SignedIn, attempt: Attempt
) -> None:
    review = Review(action=Action.PASS, actor=Actor.PROCTOR, reviewed_by="jane")
    with store.write() as session:
        assert attempts.judge(session, attempt.id, review, PROCTOR).attempt.status == "error"
    deliver_now(deliverer)
    assert [body for _, _, body in lms.told] == [{"status": "not_reviewed", "comments": []}]


def lms_says(store: ProctoringStore, attempt: Attempt, action: Action) -> bool:
    """Whether anything came of it here."""
    with store.write() as session:
        return provider_attempts.take(session, attempt, action, LMS_SAYS).refused is None


def test_a_verdict_that_the_lms_let_its_learner_undo_is_told_again_without_comments(
    storage: Storage, store: ProctoringStore, deliverer: Deliverer, lms: SignedIn, attempt: Attempt
) -> None:
    sit_and_reject(store, attempt)
    assert not lms_says(store, attempt, Action.ERROR)  # it has yet to hear of the verdict
    assert [each.purpose for each in messages(storage)] == ["reviewed"]
    deliver_now(deliverer)
    for action in (Action.SUBMIT, Action.ERROR):
        assert not lms_says(store, attempt, action)
        deliver_now(deliverer)
    again = {"status": "violation", "comments": [], "reviewed_by": "jane@example.org"}
    assert [body for _, _, body in lms.told][1:] == [again, again]


def test_an_lms_that_does_again_what_nobody_has_judged_is_told_nothing(
    storage: Storage, store: ProctoringStore, attempt: Attempt
) -> None:
    assert lms_says(store, attempt, Action.START)
    assert lms_says(store, attempt, Action.ERROR)
    assert not lms_says(store, attempt, Action.START)
    assert messages(storage) == []


@pytest.mark.parametrize(
    ("answer", "goes_whole"),
    [
        (Reply(raw=lambda _: None), False),  # closed without an answer
        (502, False),
        (504, False),
        (500, True),
        (503, True),
        (429, True),
    ],
)
def test_comments_go_again_only_if_the_lms_can_not_have_them(
    storage: Storage,
    store: ProctoringStore,
    deliverer: Deliverer,
    lms: SignedIn,
    attempt: Attempt,
    clock: ManualClock,
    answer: Reply | int,
    goes_whole: bool,
) -> None:
    make_ready(store, attempt)
    deliver_now(deliverer)  # and the connection is kept
    sit_and_reject(store, attempt)
    lms.answers = [answer, 503]
    for _ in range(3):
        deliver_now(deliverer)
        clock.advance(30)
    whole, *again = [body for _, path, body in lms.told if path.endswith("/reviewed")]
    assert len(whole["comments"]) == 1
    assert again == [whole if goes_whole else whole | {"comments": []}] * 2
    assert summary(storage)[-1] == ("reviewed", "delivered")


def test_what_a_sender_that_died_may_have_sent_goes_again_without_comments(
    storage: Storage,
    store: ProctoringStore,
    deliverer: Deliverer,
    lms: SignedIn,
    attempt: Attempt,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sit_and_reject(store, attempt)
    lms.answers = [503]
    deliver_now(deliverer)
    clock.advance(2)
    with monkeypatch.context() as patch:
        patch.setattr(deliverer._concluder, "conclude", lambda *_: None)
        deliver_now(deliverer)
    clock.advance(60)
    deliver_now(deliverer)
    assert [len(body["comments"]) for _, _, body in lms.told] == [1, 1, 0]
    assert summary(storage) == [("reviewed", "delivered")]


def test_an_lms_that_gives_bearer_tokens_gets_them(
    store: ProctoringStore, deliverer: Deliverer, lms: SignedIn, attempt: Attempt
) -> None:
    lms.token_type = "Bearer"
    make_ready(store, attempt)
    deliver_now(deliverer)
    assert [each.headers["authorization"] for each in lms.calls] == ["Bearer token-1"]


def test_a_token_that_was_revoked_is_dropped_and_another_tried_once(
    storage: Storage, store: ProctoringStore, deliverer: Deliverer, lms: SignedIn, attempt: Attempt
) -> None:
    make_ready(store, attempt)
    deliver_now(deliverer)
    lms.revoked.add("token-1")
    sit_and_reject(store, attempt)
    deliver_now(deliverer)
    assert [each.headers["authorization"] for each in lms.calls[1:]] == [
        "JWT token-1",
        "JWT token-2",
    ]
    assert summary(storage)[-1] == ("reviewed", "delivered")
    assert len(tries_of(storage, messages(storage)[-1])) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_an_lms_that_wants_other_credentials_is_asked_slowly(
    storage: Storage,
    store: ProctoringStore,
    deliverer: Deliverer,
    lms: SignedIn,
    attempt: Attempt,
    clock: ManualClock,
    status: int,
) -> None:
    lms.answers = [status, status]
    make_ready(store, attempt)
    deliver_now(deliverer)
    assert len(lms.calls) == (2 if status == 401 else 1)
    lms.answers = []
    clock.advance(1199)
    assert deliver_now(deliverer) == 0
    clock.advance(1)
    deliver_now(deliverer)
    assert summary(storage) == [("ready", "delivered")]


@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_token_endpoint_that_does_not_know_us_is_a_matter_of_credentials(
    storage: Storage,
    store: ProctoringStore,
    deliverer: Deliverer,
    lms: SignedIn,
    attempt: Attempt,
    clock: ManualClock,
    status: int,
) -> None:
    lms.tokens = [status]
    make_ready(store, attempt)
    deliver_now(deliverer)
    assert lms.calls == []
    [message] = messages(storage)
    assert message.last_error == f"no access token: the endpoint answers {status}"
    clock.advance(1200)
    deliver_now(deliverer)
    assert summary(storage) == [("ready", "delivered")]


@pytest.mark.parametrize(
    "answer",
    [
        Reply(body=b"<html>Welcome!</html>"),
        answered({"access_token": "t"}),
        answered({"access_token": "", "expires_in": 9}),
        answered({"access_token": "a\nb", "expires_in": 9}),
        answered({"access_token": "t", "expires_in": True}),
        answered({"access_token": "t", "expires_in": 10**400}),
        answered({"access_token": "t", "expires_in": float("nan")}),
        answered(["t"]),
        Reply(body=b"[" * 60_000),
        Reply(status=500),
    ],
)
def test_a_token_endpoint_that_answers_nonsense_loses_nothing_and_nothing_of_it_is_kept(
    storage: Storage,
    store: ProctoringStore,
    deliverer: Deliverer,
    lms: SignedIn,
    attempt: Attempt,
    clock: ManualClock,
    answer: Reply,
) -> None:
    lms.tokens = [answer]
    make_ready(store, attempt)
    deliver_now(deliverer)
    assert lms.calls == []
    [message] = messages(storage)
    assert message.last_error is not None
    assert message.last_error.startswith("no access token")
    assert [each.response for each in tries_of(storage, message)] == [None]
    clock.advance(2)
    deliver_now(deliverer)
    assert summary(storage) == [("ready", "delivered")]


def test_a_token_is_used_until_shortly_before_its_end_and_got_by_one_thread_alone(
    storage: Storage, store: ProctoringStore, lms: SignedIn
) -> None:
    from proctoring_hooks.providers.base import Credentials
    from tests.delivery.outbox_data import http_transport
    from xqueue_server.transport.tokens import Token, Tokens

    now = [1000.0]
    http = http_transport()
    tokens = Tokens(http, monotonic=lambda: now[0])
    client = Credentials(
        token_url=f"{lms.server.origin}/oauth2/access_token", client_id="c", client_secret="s"
    )
    are_all_there = threading.Barrier(8)
    found: list[object] = []

    def get() -> None:
        are_all_there.wait()
        found.append(tokens.get(client, within_s=60))

    threads = [threading.Thread(target=get) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lms.given == ["token-1"]
    assert all(isinstance(each, Token) for each in found)
    now[0] += 3600 - 31
    tokens.get(client, within_s=60)
    assert lms.given == ["token-1"]
    now[0] += 1
    tokens.get(client, within_s=60)
    assert lms.given == ["token-1", "token-2"]
    http.close()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "the LMS does not know this attempt, or takes no review of it"),
        (404, "the LMS no longer knows this attempt: it was removed there, or declined"),
        (412, "the exam is no longer proctored in the LMS"),
    ],
)
def test_what_the_lms_refuses_for_good_is_dead_at_once_and_keeps_nothing_up(
    storage: Storage,
    store: ProctoringStore,
    deliverer: Deliverer,
    lms: SignedIn,
    attempt: Attempt,
    status: int,
    words: str,
) -> None:
    lms.answers = [status]
    make_ready(store, attempt)
    sit_and_reject(store, attempt)
    deliver_now(deliverer)
    assert summary(storage) == [("ready", "dead"), ("reviewed", "delivered")]
    refused = messages(storage)[0]
    assert (refused.attempt, refused.last_status, refused.last_error) == (1, status, words)


def test_retry_after_is_waited_for(
    storage: Storage,
    store: ProctoringStore,
    deliverer: Deliverer,
    lms: SignedIn,
    attempt: Attempt,
    clock: ManualClock,
) -> None:
    lms.answers = [Reply(status=429, headers={"Retry-After": "100"})]
    make_ready(store, attempt)
    deliver_now(deliverer)
    clock.advance(109)
    assert deliver_now(deliverer) == 0
    clock.advance(1)
    assert deliver_now(deliverer) == 1
    assert summary(storage) == [("ready", "delivered")]


def test_messages_about_one_attempt_arrive_in_order_and_another_s_do_not_wait(
    storage: Storage,
    store: ProctoringStore,
    deliverer: Deliverer,
    lms: SignedIn,
    attempt: Attempt,
    clock: ManualClock,
) -> None:
    with store.read() as session:
        exam = session.exams.get(attempt.exam_id)
    other = registered(store, exam, "18", by=LMS_SAYS)
    lms.answers = [500]
    make_ready(store, attempt)
    deliver_now(deliverer)
    sit_and_reject(store, attempt)
    make_ready(store, other)
    deliver_now(deliverer)
    paths = [path.removeprefix(API) for _, path, _ in lms.told]
    assert paths == [f"/{attempt.external_id}/ready", f"/{other.external_id}/ready"]
    clock.advance(2)
    deliver_now(deliverer)
    paths = [path.removeprefix(API) for _, path, _ in lms.told][2:]
    assert paths == [f"/{attempt.external_id}/ready", f"/{attempt.external_id}/reviewed"]


@pytest.mark.parametrize("where", ["connecting", "token", "answer"])
def test_an_lms_that_is_down_for_two_days_loses_nothing(
    storage: Storage,
    store: ProctoringStore,
    deliverer: Deliverer,
    lms: SignedIn,
    attempt: Attempt,
    clock: ManualClock,
    where: str,
) -> None:
    make_ready(store, attempt)
    sit_and_reject(store, attempt)
    if where == "connecting":
        with_port = lms.server.answer
        lms.server.answer = lambda _: Reply(raw=lambda _connection: None)
    elif where == "token":
        lms.tokens = [503] * 1000
    else:
        lms.answers = [502] * 1000
    for _ in range(48):
        deliver_now(deliverer)
        clock.advance(HOURS)
    assert summary(storage) == [("ready", "pending"), ("reviewed", "pending")]
    lms.tokens, lms.answers = [], []
    if where == "connecting":
        lms.server.answer = with_port
    told_before = len(lms.calls)
    for _ in range(4):
        deliver_now(deliverer)
        clock.advance(HOURS)
    assert summary(storage) == [("ready", "delivered"), ("reviewed", "delivered")]
    assert [path.rpartition("/")[2] for _, path, _ in lms.told[told_before:]] == [
        "ready",
        "reviewed",
    ]


def test_after_three_days_it_is_given_up_and_can_be_replayed(
    storage: Storage,
    store: ProctoringStore,
    deliverer: Deliverer,
    lms: SignedIn,
    attempt: Attempt,
    clock: ManualClock,
) -> None:
    from xqueue_server.storage import callbacks

    lms.answers = [500] * 1000
    make_ready(store, attempt)
    for _ in range(80):
        deliver_now(deliverer)
        clock.advance(HOURS)
    assert summary(storage) == [("ready", "dead")]
    lms.answers = []
    with storage.write() as tx:
        callbacks.replay(tx, messages(storage)[0].id, actor="test")
    deliver_now(deliverer)
    assert summary(storage) == [("ready", "delivered")]


def test_what_newer_news_have_overtaken_is_not_replayed(
    storage: Storage, store: ProctoringStore, deliverer: Deliverer, lms: SignedIn, attempt: Attempt
) -> None:
    """The LMS would take the old verdict for the newest, and undo what was decided since."""
    make_ready(store, attempt)
    deliver_now(deliverer)
    sit_and_reject(store, attempt)
    lms.answers = [412]
    deliver_now(deliverer)
    _, rejected = messages(storage)
    assert rejected.state == "dead"
    with storage.write() as tx:
        callbacks.replay(tx, rejected.id, actor="ann")
    lms.answers = [412]
    deliver_now(deliverer)
    passed = Review(action=Action.PASS, actor=Actor.PROCTOR, reviewed_by="jane")
    with store.write() as session:
        attempts.judge(session, attempt.id, passed, PROCTOR)
    deliver_now(deliverer)
    assert [state for _, state in summary(storage)] == ["delivered", "dead", "delivered"]
    with storage.write() as tx, pytest.raises(Conflict, match="overtaken"):
        callbacks.replay(tx, rejected.id, actor="ann")
    assert replay_origin(storage, rejected.origin, actor="ann") == 0


def test_nothing_goes_to_another_place_than_the_lms_s_entry(
    storage: Storage, store: ProctoringStore, deliverer: Deliverer, lms: SignedIn, attempt: Attempt
) -> None:
    make_ready(store, attempt)
    move_lms(store, "https://elsewhere.example.org")
    deliver_now(deliverer)
    [message] = messages(storage)
    assert message.state == "dead"
    assert message.last_error is not None
    assert "is not at https://elsewhere.example.org, where the LMS edx is" in message.last_error
    assert lms.server.received == []


def test_a_sender_that_is_killed_before_it_records_leaves_the_message_to_another(
    storage: Storage,
    store: ProctoringStore,
    deliverer: Deliverer,
    lms: SignedIn,
    attempt: Attempt,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_ready(store, attempt)
    with monkeypatch.context() as patch:
        patch.setattr(deliverer._concluder, "conclude", lambda *_: None)
        deliver_now(deliverer)
    assert summary(storage) == [("ready", "pending")]
    clock.advance(60)
    deliver_now(deliverer)
    assert summary(storage) == [("ready", "delivered")]
    assert len({each.headers["webhook-id"] for each in lms.calls}) == 1
    assert len(lms.calls) == 2


def test_grades_of_an_lms_and_what_is_told_of_its_attempts_share_one_breaker(
    storage: Storage, store: ProctoringStore, lms: SignedIn, attempt: Attempt, deliverer: Deliverer
) -> None:
    make_ready(store, attempt)
    assert messages(storage)[0].origin == lms.server.origin
