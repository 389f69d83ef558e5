"""Published graders under the hands of many at once, and what they cost the queues without."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from tests.server.builders import QUEUE, Desk
from xqueue_server.models.fault import FaultKind, Occurrence
from xqueue_server.models.grader import GraderSource, LeasedGrader
from xqueue_server.models.queue import Queue
from xqueue_server.models.submission import LeasedSubmission
from xqueue_server.storage import (
    Storage,
    bundles,
    faults,
    graders,
    notifications,
    policies,
    test_counts,
)
from xqueue_server.storage.test_counts import GraderKey
from xqueue_server.submissions import leasing
from xqueue_server.submissions.choosing import Choosing

DIGEST = "a" * 64
MANIFEST = '{"name":"square","base":"python"}'


def publish(storage: Storage, name: str = "square", *, digest: str = DIGEST) -> int:
    with storage.write() as tx:
        graders.lock(tx, QUEUE)
        version = graders.add_version(
            tx,
            QUEUE,
            name,
            source=GraderSource(digest=digest, image=None),
            manifest_text=MANIFEST,
            isolation=None,
            published_by="author",
            actor="test",
        )
        graders.activate(tx, QUEUE, name, version, actor="test")
    return version


def lease(desk: Desk, choosing: Choosing | None) -> LeasedSubmission:
    leased = leasing.lease(
        desk.storage,
        desk.grader,
        Queue(name=QUEUE),
        key=secrets.token_hex(16),
        choose=choosing.choose if choosing else None,
    )
    assert leased is not None
    return leased


@contextmanager
def statements(storage: Storage) -> Iterator[list[str]]:
    """Everything that is executed within the block, but for transaction control."""
    seen: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not statement.startswith("BEGIN"):
            seen.append(statement)

    event.listen(storage.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(storage.engine, "before_cursor_execute", note)


def test_a_queue_without_graders_pays_nothing_for_a_worker_that_asks(desk: Desk) -> None:
    choosing = Choosing(monotonic=lambda: 0.0)
    for _ in range(3):
        desk.submit()
    lease(desk, choosing)  # looks, and believes it for a second
    with statements(desk.storage) as asked:
        lease(desk, choosing)
    with statements(desk.storage) as not_asked:
        lease(desk, None)
    assert len(asked) == len(not_asked)
    assert not any("grader" in statement for statement in asked)


def test_a_queue_with_graders_pays_a_look_and_a_line(desk: Desk) -> None:
    choosing = Choosing()
    publish(desk.storage)
    for _ in range(2):
        desk.submit()
    with statements(desk.storage) as asked:
        lease(desk, choosing)
    with statements(desk.storage) as not_asked:
        lease(desk, None)
    assert len(asked) == len(not_asked) + 2


def test_activating_while_others_lease_hands_out_one_of_the_two(desk: Desk) -> None:
    choosing = Choosing()
    publish(desk.storage)
    publish(desk.storage)
    for _ in range(30):
        desk.submit()
    stop = threading.Event()
    leases = threading.Semaphore(0)

    def lease_one(_: int) -> LeasedSubmission:
        leases.release()
        return lease(desk, choosing)

    def go_back_and_forth() -> None:
        """Once for each lease, as it begins: without an end, SQLite might serve nobody else."""
        version = 1
        while leases.acquire() and not stop.is_set():
            with desk.storage.write() as tx:
                graders.lock(tx, QUEUE)
                graders.activate(tx, QUEUE, "square", version, actor="test")
            version = 3 - version

    switching = threading.Thread(target=go_back_and_forth)
    switching.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            leased = list(pool.map(lease_one, range(30)))
    finally:
        stop.set()
        leases.release()
        switching.join()
    choices = [each.choice for each in leased]
    assert all(isinstance(c, LeasedGrader) and c.version in (1, 2) for c in choices)
    assert len({each.submission_id for each in leased}) == 30
    assert desk.count("lease_graders") == 30


def at_once(times: int, act: Callable[[int], Any]) -> list[Any]:
    barrier = threading.Barrier(times)

    def begin_together(number: int) -> Any:
        barrier.wait(60)
        return act(number)

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(begin_together, range(times)))


def test_many_publications_at_once_count_without_gaps(desk: Desk) -> None:
    assert sorted(at_once(8, lambda _: publish(desk.storage))) == list(range(1, 9))


def test_two_first_graders_at_once_leave_one_default(desk: Desk) -> None:
    at_once(8, lambda i: publish(desk.storage, f"grader-{i}"))
    with desk.storage.read() as tx:
        assert [g.is_default for g in graders.of_queue(tx, QUEUE)].count(True) == 1


def test_equal_faults_at_once_are_counted_and_notified_once(desk: Desk) -> None:
    with desk.storage.write() as tx:
        policies.change(tx, QUEUE, actor="test", why="t", email="a@example.org")
    ids = [desk.submit() for _ in range(8)]

    def occur(number: int) -> int:
        with desk.storage.write() as tx:
            return faults.count(
                tx,
                Occurrence(
                    queue=QUEUE,
                    submission_id=ids[number],
                    grader=None,
                    version=None,
                    kind=FaultKind.GRADER,
                    detail=f"crash {number}",
                ),
            )

    kinds = set(at_once(8, occur))
    assert len(kinds) == 1
    with desk.storage.read() as tx:
        fault = faults.find(tx, kinds.pop())
        assert fault is not None
        assert (fault.count, len(faults.submissions_of(tx, fault.id))) == (8, 8)
    assert desk.count("notifications") == 1


def test_a_notification_is_claimed_by_one_of_many(desk: Desk) -> None:
    with desk.storage.write() as tx:
        policies.change(tx, QUEUE, actor="test", why="t", email="a@example.org")
    submission_id = desk.submit()
    with desk.storage.write() as tx:
        faults.count(
            tx,
            Occurrence(
                queue=QUEUE, submission_id=submission_id, grader=None, version=None,
                kind=FaultKind.GRADER, detail="x",
            ),
        )  # fmt: skip

    def claim(number: int) -> bool:
        with desk.storage.write() as tx:
            return notifications.claim_due(tx, token=bytes([number]) * 16) is not None

    assert at_once(6, claim).count(True) == 1


def test_tests_counted_at_once_are_all_counted(desk: Desk) -> None:
    of = GraderKey(queue=QUEUE, grader="square", version=1)

    def count(number: int) -> None:
        order = ["a", "b", "c"] if number % 2 else ["c", "b", "a"]
        with desk.storage.write() as tx:
            test_counts.add(tx, of, dict.fromkeys(order, "passed"))

    at_once(8, count)
    with desk.storage.read() as tx:
        assert test_counts.of_version(tx, of) == {t: {"passed": 8} for t in "abc"}


def test_a_bundle_that_is_being_published_is_not_removed_as_unused(desk: Desk) -> None:
    """The publication has checked that the bundle is there; the removal comes before it commits."""
    if desk.storage.engine.dialect.name == "sqlite":
        return  # one writer at a time: there is no between
    with desk.storage.write() as tx:
        bundles.store(tx, DIGEST, b"x", account_id=None)
    desk.clock.advance(bundles.UNUSED_KEPT_S + 1)
    removed: list[int] = []

    def remove() -> None:
        with desk.storage.write() as tx:
            removed.append(bundles.remove_unused(tx))

    removing = threading.Thread(target=remove)
    with desk.storage.write() as tx:
        assert bundles.keep(tx, DIGEST)
        removing.start()
        removing.join(0.5)  # it waits for the lock
        assert removing.is_alive()
    removing.join()
    assert removed == [0]
