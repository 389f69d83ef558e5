"""From the outbox to the LMS over a real connection, on both databases."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.delivery.lms import Reply, ScriptedLms
from tests.delivery.outbox_data import (
    HEADER,
    FakeTransport,
    deliver_now,
    http_transport,
    new_callback,
    new_deliverer,
    put,
    put_messages,
    row,
    states,
)
from xqueue_server.callbacks import conclusion, delivery
from xqueue_server.callbacks.delivery import Deliverer
from xqueue_server.errors import StorageUnavailable
from xqueue_server.instant import ManualClock
from xqueue_server.models.callback import CallbackState
from xqueue_server.storage import Storage, Transaction, callbacks, events, outbox


def test_the_lms_gets_header_and_body_verbatim_as_the_reference_sends_them(
    storage: Storage, deliverer: Deliverer, lms: ScriptedLms
) -> None:
    body = '{"correct": true, "score": 1, "msg": "<p>a&b=c+d %20 — Ünï\\u0000 \r\n</p>"}'
    put(storage, new_callback(lms.origin, body))
    assert deliver_now(deliverer) == 1
    [got] = lms.received
    assert got.method == "POST"
    assert got.form == {"xqueue_header": [HEADER], "xqueue_body": [body]}
    assert got.headers["content-type"] == "application/x-www-form-urlencoded"
    assert got.path == (
        "/courses/course-v1:o+c+r/xqueue/7/block-v1:o+c+r+type@problem+block@b/score_update"
    )


def test_a_delivered_callback_is_done_and_its_try_and_event_are_kept(
    storage: Storage, deliverer: Deliverer, lms: ScriptedLms
) -> None:
    lms.script = [Reply(status=200, body=b"thanks")]
    [one] = put(storage, new_callback(lms.origin, submission_id=17))
    deliver_now(deliverer)
    found = row(storage, one)
    assert found.state is CallbackState.DELIVERED
    assert (found.next_at, found.last_status, found.attempt) == (None, 200, 1)
    with storage.read() as tx:
        [attempt] = callbacks.attempts_of(tx, one)
        [event] = events.of_submission(tx, 17)
    assert (attempt.status, attempt.error, attempt.response) == (200, None, "thanks")
    assert (event.subject, event.to_state) == (f"callback {one}", "delivered")


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_success(
    storage: Storage, deliverer: Deliverer, lms: ScriptedLms, status: int
) -> None:
    lms.always(status)
    ids = put_messages(storage, lms.origin, "a")
    deliver_now(deliverer)
    assert states(storage, ids) == ["delivered"]


def test_a_redirect_is_a_failure_and_not_followed(
    storage: Storage, deliverer: Deliverer, lms: ScriptedLms
) -> None:
    lms.script = [Reply(status=302, headers={"Location": f"{lms.origin}/secret"})]
    [one] = put_messages(storage, lms.origin, "a")
    deliver_now(deliverer)
    assert [each.method for each in lms.received] == ["POST"]
    assert row(storage, one).state is CallbackState.PENDING
    assert row(storage, one).last_status == 302


def test_a_failed_callback_is_sent_again_on_schedule_until_it_is_delivered(
    storage: Storage, deliverer: Deliverer, lms: ScriptedLms, clock: ManualClock
) -> None:
    lms.script = [500, 502, 503]
    [one] = put_messages(storage, lms.origin, "a")
    for delay_s in (2, 10, 30):
        assert deliver_now(deliverer) == 1
        clock.advance(delay_s - 0.001)
        assert deliver_now(deliverer) == 0
        clock.advance(0.001)
    assert deliver_now(deliverer) == 1
    assert row(storage, one).state is CallbackState.DELIVERED
    with storage.read() as tx:
        assert [a.status for a in callbacks.attempts_of(tx, one)] == [500, 502, 503, 200]


def test_retry_after_is_honoured(
    storage: Storage, deliverer: Deliverer, lms: ScriptedLms, clock: ManualClock
) -> None:
    lms.script = [Reply(status=503, headers={"Retry-After": "100"})]
    put_messages(storage, lms.origin, "a")
    deliver_now(deliverer)
    clock.advance(99)
    assert deliver_now(deliverer) == 0
    clock.advance(11)
    assert deliver_now(deliverer) == 1


def test_callbacks_of_one_key_arrive_in_order_even_when_the_first_must_wait(
    storage: Storage, deliverer: Deliverer, lms: ScriptedLms, clock: ManualClock
) -> None:
    put(
        storage,
        *[new_callback(lms.origin, message, key="same") for message in ("1", "2", "3")],
        new_callback(lms.origin, "other"),
    )
    lms.answer = lambda got: Reply(status=500 if got.message == "1" else 200)
    deliver_now(deliverer)
    assert sorted(lms.messages) == ["1", "other"]
    lms.always(200)
    clock.advance(2)
    deliver_now(deliverer)
    assert lms.messages[2:] == ["1", "2", "3"]


def test_a_dead_callback_does_not_block_the_later_ones_of_its_key(
    storage: Storage, lms: ScriptedLms, clock: ManualClock
) -> None:
    ids = put(storage, *[new_callback(lms.origin, m, key="same") for m in ("1", "2")])
    refusing = new_deliverer(storage, http_transport(), allows_origin=lambda _: False)
    refusing.begin_due()
    refusing.settle()
    refusing.close()
    assert states(storage, ids) == ["dead", "pending"]
    allowing = new_deliverer(storage, http_transport())
    deliver_now(allowing)
    allowing.close()
    assert lms.messages == ["2"]


def test_a_callback_to_an_origin_that_is_not_allowed_is_never_sent_and_can_be_replayed(
    storage: Storage, lms: ScriptedLms
) -> None:
    [one] = put_messages(storage, lms.origin, "a")
    refusing = new_deliverer(storage, http_transport(), allows_origin=lambda _: False)
    deliver_now(refusing)
    refusing.close()
    found = row(storage, one)
    assert found.state is CallbackState.DEAD
    assert found.last_error == f"{lms.origin} is not in XQUEUE_LMS_ORIGINS"
    assert lms.received == []
    with storage.write() as tx:
        callbacks.replay(tx, one, actor="operator ann")
    allowing = new_deliverer(storage, http_transport())
    deliver_now(allowing)
    allowing.close()
    assert row(storage, one).state is CallbackState.DELIVERED


def test_a_row_whose_url_leads_elsewhere_than_its_origin_is_not_sent(
    storage: Storage, deliverer: Deliverer, lms: ScriptedLms
) -> None:
    wrong = dataclasses.replace(new_callback(lms.origin), url="http://elsewhere.example/x")
    [one] = put(storage, wrong)
    deliver_now(deliverer)
    assert row(storage, one).state is CallbackState.DEAD
    assert lms.received == []


def test_a_callback_cancelled_while_in_flight_stays_cancelled_and_its_try_is_kept(
    storage: Storage, deliverer: Deliverer, lms: ScriptedLms
) -> None:
    may_answer = threading.Event()
    lms.script = [Reply(wait_for=may_answer)]
    [one] = put_messages(storage, lms.origin, "a")
    deliverer.begin_due()
    with storage.write() as tx:
        assert callbacks.cancel_superseded(tx, [one], actor="account lms") == 1
    may_answer.set()
    deliverer.settle()
    assert row(storage, one).state is CallbackState.CANCELLED
    with storage.read() as tx:
        [attempt] = callbacks.attempts_of(tx, one)
    assert attempt.status == 200


def test_only_what_is_not_being_sent_is_cancelled_when_a_result_is_amended(
    storage: Storage, deliverer: Deliverer, lms: ScriptedLms
) -> None:
    may_answer = threading.Event()
    lms.script = [Reply(wait_for=may_answer)]
    ids = put(
        storage, *[new_callback(lms.origin, m, key="same", submission_id=5) for m in ("1", "2")]
    )
    deliverer.begin_due()
    with storage.write() as tx:
        assert callbacks.cancel_unsent(tx, 5, actor="account grader", why="amend") == 1
    may_answer.set()
    deliverer.settle()
    assert states(storage, ids) == ["delivered", "cancelled"]


def test_a_claim_whose_sender_died_counts_as_unsent_when_it_has_lapsed(
    storage: Storage, clock: ManualClock
) -> None:
    put(storage, new_callback("http://lms", submission_id=5))
    with storage.write() as tx:
        assert outbox.claim_due(tx, "http://lms", limit=1, token=b"t" * 16)
        assert callbacks.cancel_unsent(tx, 5, actor="a", why="amend") == 0
    clock.advance(outbox.CLAIM_S)
    with storage.write() as tx:
        assert callbacks.cancel_unsent(tx, 5, actor="a", why="amend") == 1


def test_a_fault_of_the_sender_is_retried_like_any_failure(
    storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(_due: object) -> int:
        raise ZeroDivisionError

    faulty = new_deliverer(storage, FakeTransport(explode))
    [one] = put_messages(storage, "http://lms", "a")
    assert deliver_now(faulty) == 1
    faulty.close()
    assert row(storage, one).last_error == "fault of the sender: ZeroDivisionError"
    assert row(storage, one).state is CallbackState.PENDING


@pytest.mark.parametrize("status", [401, 403])
def test_wrong_credentials_are_an_error_in_the_log_at_once(
    storage: Storage, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    deliverer = new_deliverer(storage, FakeTransport(lambda _: status))
    [one] = put_messages(storage, "http://lms", "a")
    deliver_now(deliverer)
    deliverer.close()
    [record] = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert vars(record)["action"] == "callback_failed"
    assert vars(record)["status"] == status
    assert row(storage, one).state is CallbackState.PENDING


def test_neither_messages_nor_answers_are_logged(
    storage: Storage, deliverer: Deliverer, lms: ScriptedLms, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    lms.script = [Reply(status=500, body=b"the answer"), Reply(status=200, body=b"the answer")]
    put_messages(storage, lms.origin, "the message", "the message")
    deliver_now(deliverer)
    shown = " ".join(
        str(vars(record)) for record in caplog.records if "sqlalchemy" not in record.name
    )
    assert "callback_delivered" in shown
    assert "the answer" not in shown
    assert "the message" not in shown
    assert HEADER not in shown


# -- the loop ------------------------------------------------------------------------------------


class FlakyStorage(Storage):
    """Is away for the next so many transactions."""

    away_for = 0

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        if self.away_for > 0:
            self.away_for -= 1
            raise StorageUnavailable("gone for a moment")
        with super().write() as tx:
            yield tx


def test_a_database_that_is_away_for_a_moment_stops_neither_the_loop_nor_the_record(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "STORAGE_PAUSE_S", 0.01)
    monkeypatch.setattr(conclusion, "RECORD_PAUSE_S", 0.01)
    flaky = FlakyStorage(storage.engine, storage.clock)
    transport = FakeTransport()

    def answer(_due: object) -> int:
        flaky.away_for = 3
        return 200

    transport.answer = answer
    ids = put_messages(storage, "http://lms", "a", "b")
    flaky.away_for = 3
    stop = threading.Event()
    deliverer = new_deliverer(flaky, transport)
    running = threading.Thread(target=deliverer.run, args=(stop,))
    running.start()
    while "pending" in states(storage, ids):
        stop.wait(0.01)
    stop.set()
    running.join()
    assert sorted(transport.sent) == ["a", "b"]


def test_what_could_not_be_recorded_is_sent_again_when_the_claim_lapses(
    storage: Storage, clock: ManualClock
) -> None:
    flaky = FlakyStorage(storage.engine, storage.clock)
    transport = FakeTransport()

    def answer(_due: object) -> int:
        flaky.away_for = 1_000_000
        return 200

    transport.answer = answer
    deliverer = new_deliverer(flaky, transport)
    [one] = put_messages(storage, "http://lms", "a")
    deliverer.hurry()
    deliverer.begin_due()
    deliverer.settle()
    assert row(storage, one).state is CallbackState.PENDING
    flaky.away_for = 0
    transport.answer = lambda _: 200
    clock.advance(outbox.CLAIM_S)
    deliver_now(deliverer)
    deliverer.close()
    assert row(storage, one).state is CallbackState.DELIVERED
    assert transport.sent == ["a", "a"]


def test_a_new_callback_is_sent_within_a_moment(storage: Storage, lms: ScriptedLms) -> None:
    stop = threading.Event()
    deliverer = new_deliverer(storage, http_transport())
    running = threading.Thread(target=deliverer.run, args=(stop,))
    running.start()
    time.sleep(0.1)
    put_messages(storage, lms.origin, "a")
    try:
        until = time.monotonic() + 60
        while not lms.received:
            assert time.monotonic() < until
            time.sleep(0.001)
    finally:
        stop.set()
        running.join()
    assert delivery.LOOK_EVERY_S < 0.1
