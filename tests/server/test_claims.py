"""Who gets which submission, in which order, and never twice."""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import text

from tests.server.builders import QUEUE, Desk, add_queue, change_queue, lms_header
from xqueue_server.instant import to_datetime
from xqueue_server.keys import key_hash
from xqueue_server.models.submission import NewSubmission
from xqueue_server.storage import open_storage, submissions
from xqueue_server.submissions import leasing
from xqueue_server.submissions.leasing import FailureKind

PULLERS = 16
SUBMISSIONS = 500


def test_submissions_come_out_in_the_order_of_arrival(desk: Desk) -> None:
    arrived = [desk.submit() for _ in range(5)]
    assert [desk.lease().submission_id for _ in arrived] == arrived
    assert desk.try_lease() is None


def test_a_higher_priority_goes_first_and_order_of_arrival_within_it(desk: Desk) -> None:
    low, high, middle, high_too = (insert(desk, priority=p) for p in (-1, 7, 0, 7))
    assert [desk.lease().submission_id for _ in range(4)] == [high, high_too, middle, low]


def test_each_queue_has_its_own_line(desk: Desk) -> None:
    add_queue(desk.storage, "other")
    mine, theirs = desk.submit(), desk.submit(queue="other")
    assert desk.lease("other").submission_id == theirs
    assert desk.try_lease("other") is None
    assert desk.lease().submission_id == mine


def test_a_lease_has_a_key_a_length_and_the_contents(desk: Desk) -> None:
    submission_id = desk.submit(body='{"x": "\\u0000 \x00 ü \U0001f511"}')
    leased = desk.lease()
    assert leased.submission_id == submission_id
    assert leased.attempt == 1
    assert leased.body == '{"x": "\\u0000 \x00 ü \U0001f511"}'
    assert leased.lease_until == to_datetime(desk.storage.now_us() + 600_000_000)
    row = desk.see(submission_id)
    assert (row.lease_key, row.leased_by) == (key_hash(leased.key), "grader")


def test_only_a_hash_of_the_key_is_stored(desk: Desk) -> None:
    desk.submit()
    leased = desk.lease()
    desk.put(leased)
    for table in ("submissions", "leases", "results", "events"):
        with desk.storage.read() as tx:
            rows = repr(tx.all(text(f"SELECT * FROM {table}")))
        assert leased.key not in rows


def test_a_backed_off_submission_waits_and_blocks_nobody(desk: Desk) -> None:
    first, second = desk.submit(), desk.submit()
    desk.fail(desk.lease(), FailureKind.PLATFORM)
    assert desk.lease().submission_id == second
    assert desk.try_lease() is None
    desk.clock.advance(1)
    assert desk.lease().submission_id == first, "its back-off of 1 s is over, no sweep needed"


def test_a_backed_off_submission_keeps_its_place_in_the_line(desk: Desk) -> None:
    first, second = desk.submit(), desk.submit()
    desk.fail(desk.lease(), FailureKind.PLATFORM)
    assert desk.sweep_after(1).queues_with_work == {QUEUE}
    assert [desk.lease().submission_id, desk.lease().submission_id] == [first, second]


def test_platform_failures_back_off_longer_and_longer_and_burn_no_attempt(desk: Desk) -> None:
    change_queue(desk.storage, max_platform_failures=9)
    submission_id = desk.submit()
    waits = []
    for _ in range(8):
        leased = desk.lease()
        assert leased.attempt == 1
        desk.fail(leased, FailureKind.PLATFORM)
        available_at = desk.see(submission_id).available_at
        assert available_at is not None
        waits.append((available_at - to_datetime(desk.storage.now_us())).total_seconds())
        desk.sweep_after(waits[-1])
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    desk.fail(desk.lease(), FailureKind.PLATFORM, "no docker")
    held = desk.see(submission_id)
    assert (held.state, held.held_reason, held.held_detail) == ("held", "platform", "no docker")


def test_the_back_off_stays_bounded_after_any_number_of_failures() -> None:
    assert leasing.platform_backoff_s(10**6) == 60


def test_no_two_of_sixteen_pullers_get_the_same_submission(desk: Desk) -> None:
    arrived = [insert(desk) for _ in range(SUBMISSIONS)]
    got = in_threads(PULLERS, lambda: _pull_all(desk))
    assert sorted(got) == sorted(arrived)
    assert not [i for i, count in Counter(got).items() if count > 1]
    assert desk.count("leases") == SUBMISSIONS


def test_pullers_of_separate_processes_get_no_submission_twice(desk: Desk) -> None:
    """Each with an engine of its own, as processes have: no lock of Python's between them."""
    arrived = [insert(desk) for _ in range(100)]
    engines = [open_storage(_url(desk), clock=desk.clock) for _ in range(4)]
    try:
        pullers = iter(engines)
        got = in_threads(4, lambda: _pull_all(desk, storage=next(pullers)))
    finally:
        for engine in engines:
            engine.close()
    assert sorted(got) == arrived


def test_a_slow_claimer_does_not_keep_others_from_the_next(desk: Desk) -> None:
    if desk.storage.engine.dialect.name != "postgresql":
        return  # SQLite has one writer at a time
    first, second = desk.submit(), desk.submit()
    with desk.storage.write() as tx:
        assert submissions.get_locked(tx, first).id == first
        assert desk.lease().submission_id == second


def test_submitters_leasers_and_graders_at_once_lose_and_double_nothing(desk: Desk) -> None:
    """60 submissions put in by 4 threads while 4 others take and grade them."""
    done = threading.Event()
    graded: list[int] = []

    def submit() -> list[int]:
        return [desk.submit(body="not json") for _ in range(15)]

    def work() -> list[int]:
        while True:
            was_done = done.is_set()
            leased = desk.try_lease()
            if leased is not None:
                desk.put(leased)
                graded.append(leased.submission_id)
            elif was_done:
                return []

    with ThreadPoolExecutor(8) as pool:
        workers = [pool.submit(work) for _ in range(4)]
        submitters = [pool.submit(submit) for _ in range(4)]
        arrived = [submission_id for each in submitters for submission_id in each.result()]
        done.set()
        for worker in workers:
            worker.result()
    assert sorted(graded) == sorted(arrived)
    assert desk.count("callbacks") == len(arrived)


def insert(desk: Desk, *, priority: int = 0, queue: str = QUEUE) -> int:
    new = NewSubmission(
        request_id=secrets.token_hex(8),
        queue=queue,
        header=lms_header(queue=queue),
        body="{}",
        callback_url="https://lms.example.org/x/score_update",
        lms_key='"k"',
        files=(),
        submitted_by="lms",
        supersede_key=None,
        learner_submitted_at=None,
        priority=priority,
    )
    with desk.storage.write() as tx:
        return submissions.insert_new(tx, new)


def in_threads(count: int, work: Callable[[], list[int]]) -> list[int]:
    """Run `work` in that many threads that start together; everything they return."""
    start = threading.Barrier(count)

    def run() -> list[int]:
        start.wait()
        return work()

    with ThreadPoolExecutor(count) as pool:
        running = [pool.submit(run) for _ in range(count)]
        return [found for future in running for found in future.result()]


def _pull_all(desk: Desk, **where: object) -> list[int]:
    got = []
    while True:
        leased = desk.try_lease(**where)  # type: ignore[arg-type]
        if leased is None:
            return got
        got.append(leased.submission_id)


def _url(desk: Desk) -> str:
    return desk.storage.engine.url.render_as_string(hide_password=False)
