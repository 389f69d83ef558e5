"""What is counted where it happens: once, for the right queue, and only if it came to pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.delivery.outbox_data import NO_ANSWER, FakeTransport, new_deliverer, put_messages
from tests.observability.scrape import Scrape
from tests.server.builders import QUEUE, Desk, add_queue, grade, lms_header, open_desk
from tests.server.web_client import Server
from xqueue_server.errors import StorageUnavailable, WrongKey
from xqueue_server.instant import ManualClock
from xqueue_server.monitoring import metrics
from xqueue_server.storage import Storage
from xqueue_server.storage import submissions as stored
from xqueue_server.upkeep.sweeping import sweep

Grows = Callable[..., AbstractContextManager[None]]


@contextmanager
def grows(by: float, name: str, **labels: str) -> Iterator[None]:
    """The registry is the process's own, and other tests count in it too."""
    before = now(name, **labels)
    yield
    assert now(name, **labels) - before == by


def now(name: str, **labels: str) -> float:
    return Scrape(metrics.exposition().decode()).total(name, **labels)


STALE = "xqueue_stale_results_total"
SUBMITTED = "xqueue_submissions_total"


def test_a_result_whose_lease_another_has_taken_is_stale(desk: Desk, clock: ManualClock) -> None:
    desk.submit()
    first = desk.lease()
    clock.advance(601)
    sweep(desk.storage)
    second = desk.lease()
    with grows(1, STALE, queue=QUEUE), pytest.raises(WrongKey):
        desk.put(first, grade())
    with grows(0, STALE), grows(1, "xqueue_results_total", queue=QUEUE, disposition="accepted"):
        desk.put(second, grade())


def test_expired_leases_are_counted_by_queue_whether_they_wait_again_or_are_held(
    storage: Storage, clock: ManualClock
) -> None:
    add_queue(storage, max_attempts=2)
    desk = open_desk(storage, clock)
    desk.submit()
    for _ in range(2):
        desk.lease()
        clock.advance(601)
        with grows(1, "xqueue_lease_expired_total", queue=QUEUE):
            sweep(storage)
    with grows(0, "xqueue_lease_expired_total"):
        sweep(storage)


def test_a_refused_submission_has_a_queue_only_if_its_sender_may_name_it(server: Server) -> None:
    with grows(1, SUBMITTED, result="refused", queue=""):
        assert server.lms.submit(header=lms_header(queue="made up by a client")).code == 1
    with grows(1, SUBMITTED, result="refused", queue=QUEUE):
        assert server.lms.submit(header=lms_header("https://not.allowed/x")).code == 1
    with grows(1, SUBMITTED, result="refused", queue=""):
        assert server.lms.post("submit").code == 1
    with grows(1, SUBMITTED, result="accepted", queue=QUEUE), grows(1, SUBMITTED):
        assert server.lms.submit().code == 0


def test_a_submission_that_could_not_be_stored_is_counted_as_that(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> None:
        raise StorageUnavailable("gone")

    for name in ("insert_new", "store"):
        monkeypatch.setattr(stored, name, fail)
    monkeypatch.setattr("xqueue_server.web.patience.PATIENCE_S", 0.0)
    with grows(1, SUBMITTED, result="unavailable", queue=QUEUE), grows(1, SUBMITTED):
        assert server.lms.submit().code == 1


def test_a_submission_is_counted_as_turned_away_though_nobody_knows_who_sent_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> None:
        raise StorageUnavailable("gone")

    monkeypatch.setattr(server.services.sessions, "account_of", fail)
    monkeypatch.setattr("xqueue_server.web.patience.PATIENCE_S", 0.0)
    with grows(1, SUBMITTED, result="unavailable", queue=""), grows(1, SUBMITTED):
        assert server.lms.submit().code == 1
    with grows(0, SUBMITTED):
        assert server.grader.try_fetch().code == 1


def shown(name: str) -> list[tuple[dict[str, str], float]]:
    samples = Scrape(metrics.exposition().decode()).samples
    return [(sample.labels, sample.value) for sample in samples if sample.name == name]


def test_what_an_alert_waits_for_is_shown_before_it_happens(server: Server) -> None:
    """Prometheus takes a number that comes out of nowhere for no increase."""
    queue = f"{QUEUE}-of-this-test"
    add_queue(server.desk.storage, name=queue)
    assert {"queue": "", "result": "unavailable"} in [labels for labels, _ in shown(SUBMITTED)]
    server.lms.submit(header=lms_header(queue=queue))
    server.grader.put(server.grader.fetch(queue))
    sweep(server.desk.storage)
    assert ({"queue": queue, "result": "unavailable"}, 0.0) in shown(SUBMITTED)
    assert ({"queue": queue}, 0.0) in shown(STALE)
    assert ({"queue": queue}, 0.0) in shown("xqueue_lease_expired_total")


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(200, "delivered"), (500, "failed"), (NO_ANSWER, "failed")],
)
def test_each_try_of_a_callback_is_counted_by_how_it_ended(
    storage: Storage, answer: object, outcome: str
) -> None:
    origin = "https://lms.example.org"
    put_messages(storage, origin, "1", "2")
    deliverer = new_deliverer(storage, FakeTransport(lambda _: answer))  # type: ignore[arg-type, return-value]
    with grows(2, "xqueue_callback_attempts_total", origin=origin, outcome=outcome):
        assert deliverer.begin_due() == 2
        deliverer.settle()
    deliverer.close()
