"""A learner's cap: never more than so many in line or leased, and nothing waits for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import text

from tests.server.builders import QUEUE, Desk, add_queue, callback_url, change_queue, lms_body
from tests.server.web_client import Server
from xqueue_server.models.callback_url import read_callback_url
from xqueue_server.models.submission import TRIAL_PRIORITY, NewSubmission
from xqueue_server.storage import Storage, capping, queues, submissions
from xqueue_server.submissions import holding
from xqueue_server.submissions.holding import release
from xqueue_server.submissions.leasing import FailureKind
from xqueue_server.submissions.line import position

OTHER_LEARNER = callback_url(user=7)
COUNT = text(
    """
    SELECT max(n) FROM (
        SELECT count(*) AS n FROM submissions
        WHERE state IN ('queued', 'leased') AND NOT is_blocked GROUP BY queue, learner, course) AS c
    """
)


@pytest.fixture
def capped(desk: Desk) -> Desk:
    """One learner may have two in line or leased."""
    change_queue(desk.storage, learner_cap=2)
    return desk


def part(number: int, **where: int) -> str:
    return callback_url(f"{number:032d}", **where)  # type: ignore[arg-type]


def blocked(desk: Desk, *submission_ids: int) -> list[bool]:
    return [desk.see(each).is_blocked for each in submission_ids]


def test_what_is_beyond_the_cap_waits_beside_the_line(capped: Desk) -> None:
    ids = [capped.submit(part(i)) for i in range(4)]
    theirs = capped.submit(OTHER_LEARNER)
    assert blocked(capped, *ids) == [False, False, True, True]
    leased = [capped.lease().submission_id for _ in range(3)]
    assert leased == [*ids[:2], theirs]
    assert capped.try_lease() is None


def test_a_leased_one_counts_until_it_is_graded(capped: Desk) -> None:
    first, second, third, fourth = [capped.submit(part(i)) for i in range(4)]
    leased = capped.lease()
    assert blocked(capped, third, fourth) == [True, True]
    capped.put(leased)
    assert blocked(capped, second, third, fourth) == [False, False, True]
    assert [capped.lease().submission_id for _ in range(2)] == [second, third]
    assert first == leased.submission_id


def test_being_let_in_is_an_event_and_arriving_within_the_cap_is_none(capped: Desk) -> None:
    ids = [capped.submit(part(i)) for i in range(3)]
    capped.put(capped.lease())
    assert [[e.why for e in capped.events_of(each)] for each in ids[1:]] == [
        ["arrive"],
        ["arrive", "admit"],
    ]
    admitted = capped.events_of(ids[2])[-1]
    assert (admitted.actor, admitted.detail) == ("account grader", "within the learner's cap of 2")


def test_whatever_takes_one_out_of_the_line_lets_the_next_in(capped: Desk) -> None:
    """Graded is above; held by the grader's fault, by too many leases, and superseded."""
    _first, _second, third, fourth, fifth = [capped.submit(part(i)) for i in range(5)]
    capped.fail(capped.lease(), FailureKind.GRADER)
    assert blocked(capped, third, fourth) == [False, True]
    capped.exhaust()
    assert blocked(capped, fourth, fifth) == [False, True]
    capped.submit(part(3), body=lms_body("20260101130000"))
    capped.submit(part(9), body=lms_body("20260101130000"))
    capped.submit(part(2), body=lms_body("20260101140000"))  # supersedes the third, in line
    assert capped.see(third).state == "superseded"
    assert blocked(capped, fifth) == [False]


def test_superseding_one_that_is_blocked_lets_nobody_in(capped: Desk) -> None:
    ids = [capped.submit(part(i)) for i in range(4)]
    newer = capped.submit(part(2), body=lms_body("20260101130000"))
    retired = capped.see(ids[2])
    assert (retired.state, retired.is_blocked) == ("superseded", False)
    assert blocked(capped, ids[3], newer) == [True, True]


def test_an_expired_lease_keeps_its_place_within_the_cap(capped: Desk) -> None:
    first, _second, third = [capped.submit(part(i)) for i in range(3)]
    capped.lease()
    capped.sweep_after(601)
    assert blocked(capped, first, third) == [False, True]
    assert capped.lease().submission_id == first


def test_a_back_off_counts(capped: Desk) -> None:
    _first, _second, third = [capped.submit(part(i)) for i in range(3)]
    capped.fail(capped.lease(), FailureKind.PLATFORM)
    assert blocked(capped, third) == [True]


def test_one_that_is_released_waits_for_the_cap_again(capped: Desk) -> None:
    first, second, third = [capped.submit(part(i)) for i in range(3)]
    capped.fail(capped.lease(), FailureKind.GRADER)
    release(capped.storage, first, actor="test")
    assert blocked(capped, first, second, third) == [True, False, False]
    capped.put(capped.lease())
    assert blocked(capped, first) == [False]


def test_a_release_within_the_cap_is_not_blocked(capped: Desk) -> None:
    first = capped.submit(part(1))
    capped.fail(capped.lease(), FailureKind.GRADER)
    release(capped.storage, first, actor="test")
    assert capped.lease().submission_id == first


def test_a_blocked_one_that_is_given_up_is_never_let_in(capped: Desk) -> None:
    first, *_ = [capped.submit(part(i)) for i in range(3)]
    capped.fail(capped.lease(), FailureKind.GRADER)
    holding.give_up(capped.storage, first, actor="test")
    assert (capped.see(first).state, capped.see(first).is_blocked) == ("given_up", False)


def test_learners_of_other_courses_and_queues_count_for_themselves(capped: Desk) -> None:
    add_queue(capped.storage, "other", learner_cap=2)
    here = [capped.submit(part(i)) for i in range(2)]
    elsewhere = [capped.submit(part(i), queue="other") for i in range(2)]
    url = part(5).replace("2026_T1/xqueue", "2026_T2/xqueue")
    assert blocked(capped, *here, *elsewhere, capped.submit(url)) == [False] * 5


def test_an_lms_that_names_no_learner_has_no_cap(capped: Desk) -> None:
    ids = [capped.submit("https://lms.example.org/other/score_update") for _ in range(4)]
    assert blocked(capped, *ids) == [False] * 4


def a_submission(priority: int = 0) -> NewSubmission:
    return NewSubmission(
        request_id="r",
        queue=QUEUE,
        header="{}",
        body="{}",
        callback_url=part(1),
        lms_key='"k"',
        files=(),
        submitted_by="lms",
        supersede_key=None,
        learner_submitted_at=None,
        priority=priority,
        place=read_callback_url(part(1)),
    )


def test_trials_have_no_cap(capped: Desk) -> None:
    with capped.storage.write() as tx:
        trials = [submissions.store(tx, a_submission(TRIAL_PRIORITY)) for _ in range(3)]
        usual = submissions.store(tx, a_submission())
    assert [stored.is_blocked for stored in (*trials, usual)] == [False, False, False, True]


# -- nothing waits for ever ----------------------------------------------------------------------


def test_a_higher_cap_lets_in_with_the_next_sweep(capped: Desk) -> None:
    ids = [capped.submit(part(i)) for i in range(5)]
    change_queue(capped.storage, learner_cap=4)
    assert capped.sweep_after(0).queues_with_work == {QUEUE}
    assert blocked(capped, *ids) == [False] * 4 + [True]
    assert capped.sweep_after(0).queues_with_work == frozenset()


def test_without_a_cap_all_come_in(capped: Desk) -> None:
    ids = [capped.submit(part(i, user=user)) for i in range(5) for user in (1, 2)]
    change_queue(capped.storage, learner_cap=None)  # type: ignore[arg-type]
    capped.sweep_after(0)
    assert not any(blocked(capped, *ids))
    assert blocked(capped, capped.submit(part(9, user=1))) == [False]


def test_a_lower_cap_counts_for_what_arrives_then(capped: Desk) -> None:
    ids = [capped.submit(part(i)) for i in range(3)]
    change_queue(capped.storage, learner_cap=1)
    capped.put(capped.lease())
    assert blocked(capped, *ids[1:]) == [False, True]
    capped.put(capped.lease())
    assert blocked(capped, ids[2]) == [False]


def test_one_that_a_crash_has_left_blocked_comes_in_with_the_next_sweep(
    capped: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stored, and the server dies before it has decided."""
    monkeypatch.setattr(capping, "admit", _die)
    with pytest.raises(SystemExit):
        capped.submit(part(1))
    monkeypatch.undo()
    assert capped.try_lease() is None
    capped.sweep_after(0)
    assert capped.lease().submission_id == 1


def test_a_retry_decides_what_its_first_try_could_not(
    capped: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capping, "admit", _die)
    with pytest.raises(SystemExit):
        capped.submit(part(1), request_id="r")
    monkeypatch.undo()
    assert capped.submit(part(1), request_id="r", is_retry=True) == 1
    assert capped.lease().submission_id == 1


def _die(*_args: object, **_kw: object) -> None:
    raise SystemExit


def test_more_than_a_batch_of_blocked_ones_all_come_in(
    capped: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xqueue_server.upkeep.sweeping.BATCH", 2)
    monkeypatch.setattr(capping, "AT_ONCE", 2)
    ids = [capped.submit(part(i)) for i in range(9)]
    change_queue(capped.storage, learner_cap=None)  # type: ignore[arg-type]
    capped.sweep_after(0)
    assert not any(blocked(capped, *ids))


def test_workers_are_told_of_what_came_in_once_it_is_stored(server: Server) -> None:
    desk = server.desk
    change_queue(desk.storage, learner_cap=1)
    told: list[str] = []

    def tell(queue: str) -> None:
        with desk.storage.read() as tx:
            assert position(tx, 2) == 1
        told.append(queue)

    desk.storage.when_woken = tell
    for number in range(2):
        desk.submit(part(number))
    assert told == []
    desk.put(desk.lease())
    assert told == [QUEUE]


# -- many at once --------------------------------------------------------------------------------

LEARNERS, EACH = 3, 12
WAITING = text(
    "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
    " WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted"
)
TIMEOUT_S = 60


def test_who_decides_about_a_learner_waits_for_a_decision_that_is_not_stored_yet(
    desk: Desk,
) -> None:
    change_queue(desk.storage, learner_cap=1)
    new = a_submission()
    with ThreadPoolExecutor(1) as pool:
        with desk.storage.write() as tx:
            first = submissions.store(tx, new).id
            learner = {"learner": new.place.learner, "course": new.place.course}
            assert capping.admit(tx, queue=QUEUE, actor="test", **learner) == [first]
            submitting = pool.submit(desk.submit, part(2))
            _wait_for_the_lock(desk.storage, submitting)
        assert blocked(desk, first, submitting.result(timeout=TIMEOUT_S)) == [False, True]


def _wait_for_the_lock(storage: Storage, submitting: Future[int]) -> None:
    """SQLite has one lock for all, which the test's own transaction holds."""
    if storage.engine.dialect.name != "postgresql":
        return
    until = time.monotonic() + TIMEOUT_S
    while time.monotonic() < until:
        with storage.read() as tx:
            if tx.scalar(WAITING) or submitting.done():
                return
        time.sleep(0.005)
    pytest.fail("nobody waits for the lock")


@pytest.fixture
def watched(capped: Desk) -> Iterator[list[int]]:
    """The most that any learner had at once, as a watcher sees it again and again."""
    most: list[int] = []
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.is_set():
            with capped.storage.read() as tx:
                most.append(tx.scalar(COUNT) or 0)

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        yield most
        is_over.set()
        watching.result()


def test_eight_threads_never_bring_a_learner_beyond_the_cap_and_all_is_graded(
    capped: Desk, watched: list[int]
) -> None:
    """Four submit for the same learners, four grade and fail."""
    are_in = threading.Event()

    def submit(worker: int) -> list[int]:
        return [
            capped.submit(part(worker * 100 + i, user=i % LEARNERS), body="not json")
            for i in range(EACH)
        ]

    def work() -> None:
        while True:
            was_over = are_in.is_set()
            leased = capped.try_lease()
            if leased is not None:
                capped.put(leased)
                watched.append(_most_now(capped.storage))
            elif was_over:
                return

    with ThreadPoolExecutor(8) as pool:
        workers = [pool.submit(work) for _ in range(4)]
        submitting = [pool.submit(submit, number) for number in range(4)]
        arrived = [each for future in submitting for each in future.result()]
        are_in.set()
        for future in workers:
            future.result()
    capped.sweep_after(0)
    while (leased := capped.try_lease()) is not None:  # what came in when all workers had gone
        capped.put(leased)
    assert max(watched) == 2
    assert {capped.see(each).state for each in arrived} == {"graded"}


def _most_now(storage: Storage) -> int:
    with storage.read() as tx:
        return int(tx.scalar(COUNT) or 0)


def test_a_queue_keeps_its_cap_when_other_terms_change(capped: Desk) -> None:
    with capped.storage.write() as tx:
        queues.change(tx, replace(queues.get(tx, QUEUE), lease_s=30), actor="test")
        assert queues.get(tx, QUEUE).learner_cap == 2
