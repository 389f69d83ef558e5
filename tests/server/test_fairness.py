"""Courses that share a queue advance equally, by their weights, whoever floods it."""

from __future__ import annotations

import random
import secrets
from collections import Counter

import pytest
from sqlalchemy import text

from tests.server.builders import QUEUE, Desk
from tests.server.test_claims import in_threads
from xqueue_server.models.callback_url import Place
from xqueue_server.models.submission import BULK_PRIORITY, NewSubmission
from xqueue_server.storage import ordering, submissions
from xqueue_server.submissions.leasing import FailureKind

ONE_AND_THREE = {"one": 1, "three": 3}
FOUR = {"a": 1, "b": 3, "c": 1, "d": 3}
TEN = {f"course {i}": 1 for i in range(10)}


def weigh(desk: Desk, weights: dict[str, int]) -> None:
    with desk.storage.write() as tx:
        for course, weight in weights.items():
            ordering.set_weight(tx, QUEUE, course, weight, actor="test")


def arrive(desk: Desk, course: str, count: int = 1, *, priority: int = 0) -> list[int]:
    new = NewSubmission(
        request_id=secrets.token_hex(8),
        queue=QUEUE,
        header="{}",
        body="{}",
        callback_url="https://lms.example.org/x/score_update",
        lms_key='"k"',
        files=(),
        submitted_by="lms",
        supersede_key=None,
        learner_submitted_at=None,
        priority=priority,
        place=Place(course=course, learner="1", problem="p"),
    )
    with desk.storage.write() as tx:
        return [submissions.insert_new(tx, new) for _ in range(count)]


def serve(desk: Desk) -> str:
    return desk.see(desk.lease().submission_id).course


@pytest.mark.parametrize("weights", [ONE_AND_THREE, FOUR, TEN], ids=["two", "four", "ten"])
@pytest.mark.parametrize("seed", [1, 2])
def test_floods_are_served_within_one_submission_of_their_shares(
    desk: Desk, weights: dict[str, int], seed: int
) -> None:
    """After every claim, whatever the order in which they came."""
    weigh(desk, weights)
    each = 12
    arriving = [course for course in weights for _ in range(each)]
    random.Random(seed).shuffle(arriving)
    for course in arriving:
        arrive(desk, course)
    served: Counter[str] = Counter()
    whole = sum(weights.values())
    while max(served.values(), default=0) < each:  # until the first has nothing any more
        served[serve(desk)] += 1
        for course, weight in weights.items():
            assert abs(served[course] - served.total() * weight / whole) <= 1, served


@pytest.mark.parametrize("seed", [3, 4])
def test_no_course_with_work_falls_behind_while_all_keep_arriving(desk: Desk, seed: int) -> None:
    """Arrivals and claims in any order, the courses always having some work: between any two of
    them the shares differ by no more than one submission of each."""
    weights = FOUR
    weigh(desk, weights)
    chance = random.Random(seed)
    waiting: Counter[str] = Counter()
    served: Counter[str] = Counter()
    for course in weights:
        arrive(desk, course, 4)
        waiting[course] = 4
    for _ in range(120):
        short = [course for course, count in waiting.items() if count < 4]
        course = chance.choice(short or list(weights))
        arrive(desk, course, 2)
        waiting[course] += 2
        course = serve(desk)
        waiting[course] -= 1
        served[course] += 1
        advanced = {c: served[c] / weights[c] for c in weights}
        for a in weights:
            for b in weights:
                assert advanced[a] - advanced[b] <= 1 / weights[a] + 1 / weights[b]


def test_a_single_submission_is_next_after_the_head_of_a_flood(desk: Desk) -> None:
    arrive(desk, "flood", 1000)
    desk.lease()
    arrive(desk, "single")
    assert [serve(desk) for _ in range(3)] == ["flood", "single", "flood"]


def test_many_small_courses_come_in_the_order_of_arrival_before_a_flood_goes_on(
    desk: Desk,
) -> None:
    arrive(desk, "flood", 50)
    small = [f"small {i}" for i in range(10)]
    for course in small:
        arrive(desk, course)
    assert [serve(desk) for _ in range(12)] == ["flood", *small, "flood"]


def test_who_was_away_has_saved_up_nothing(desk: Desk) -> None:
    arrive(desk, "busy", 60)
    for _ in range(40):
        desk.lease()
    arrive(desk, "was away", 20)
    served = Counter(serve(desk) for _ in range(20))
    assert served == {"busy": 10, "was away": 10}


def test_an_early_burst_is_not_held_against_a_course(desk: Desk) -> None:
    arrive(desk, "burst", 60)
    for _ in range(60):
        desk.lease()
    for course in ("other", "burst"):
        arrive(desk, course, 10)
    served = Counter(serve(desk) for _ in range(10))
    assert served == {"burst": 5, "other": 5}


def test_what_comes_back_is_next_and_does_not_turn_back_the_time(desk: Desk) -> None:
    """The head of the line is where a new course begins: had the old one kept its turn, the new
    course would be served forty times before anybody else."""
    (returning,) = arrive(desk, "busy")
    arrive(desk, "busy", 80)
    leased = desk.lease()
    for _ in range(40):
        desk.lease()
    desk.fail(leased, FailureKind.PLATFORM)
    desk.sweep_after(1)
    arrive(desk, "new", 20)
    assert desk.lease().submission_id == returning
    served = Counter(serve(desk) for _ in range(20))
    assert served == {"busy": 10, "new": 10}


def test_what_comes_back_into_an_empty_line_does_not_punish_its_course(desk: Desk) -> None:
    arrive(desk, "burst", 60)
    for _ in range(59):
        desk.lease()
    last = desk.lease()
    arrive(desk, "other", 20)  # begins a new line, at the beginning of time
    desk.fail(last, FailureKind.PLATFORM)
    desk.sweep_after(1)
    arrive(desk, "burst", 20)
    assert desk.lease().submission_id == last.submission_id
    served = Counter(serve(desk) for _ in range(20))
    assert served == {"burst": 9, "other": 11}


def test_an_expired_lease_is_next(desk: Desk) -> None:
    first, *_ = arrive(desk, "a", 5)
    assert desk.lease().submission_id == first
    desk.sweep_after(601)
    assert desk.lease().submission_id == first


def test_submissions_without_a_course_are_one_course(desk: Desk) -> None:
    arrive(desk, "", 20)
    arrive(desk, "named", 20)
    served = Counter(serve(desk) for _ in range(20))
    assert served == {"": 10, "named": 10}


def test_priorities_come_before_shares_and_each_has_a_time_of_its_own(desk: Desk) -> None:
    arrive(desk, "bulk", 30, priority=BULK_PRIORITY)
    arrive(desk, "a", 4)
    arrive(desk, "b", 4)
    assert Counter(serve(desk) for _ in range(8)) == {"a": 4, "b": 4}
    assert serve(desk) == "bulk"


def test_a_weight_that_is_taken_back_counts_for_what_arrives_then(desk: Desk) -> None:
    weigh(desk, {"heavy": 3})
    with desk.storage.write() as tx:
        assert ordering.remove_weight(tx, QUEUE, "heavy", actor="test")
        assert not ordering.remove_weight(tx, QUEUE, "heavy", actor="test")
    arrive(desk, "heavy", 10)
    arrive(desk, "other", 10)
    assert Counter(serve(desk) for _ in range(10)) == {"heavy": 5, "other": 5}


def test_many_workers_at_once_get_the_same_shares(desk: Desk) -> None:
    weigh(desk, ONE_AND_THREE)
    for course in ONE_AND_THREE:
        arrive(desk, course, 30)
    taken = in_threads(4, lambda: [desk.lease().submission_id for _ in range(6)])
    served = Counter(desk.see(submission_id).course for submission_id in taken)
    assert abs(served["three"] - 18) <= 1


def test_what_arrives_at_once_is_all_served(desk: Desk) -> None:
    arrived = in_threads(4, lambda: [i for _ in range(5) for i in arrive(desk, "same")])
    assert sorted(desk.lease().submission_id for _ in range(20)) == sorted(arrived)


def test_what_an_older_program_has_stored_is_handed_out(desk: Desk) -> None:
    """It knows no course and no turn."""
    old = text(
        """
        INSERT INTO submissions (queue, state, priority, attempt, platform_failures, arrived_at,
            request_id, submitted_by, callback_url, lms_key)
        VALUES (:queue, 'queued', 0, 1, 0, 0, 'r', 'lms', :text, :text)"""
    )
    contents = text("INSERT INTO contents (submission_id, header, body) VALUES (:of, :text, :text)")
    arrive(desk, "new", 2)
    with desk.storage.write() as tx:
        for of in (3, 4):
            tx.run(old, queue=QUEUE, text=b"{}")
            tx.run(contents, of=of, text=b"{}")
    arrive(desk, "new", 2)
    assert [serve(desk) for _ in range(6)] == ["", "", "new", "new", "new", "new"]


def test_a_turn_for_another_priority_stands_last_of_its_course_there(desk: Desk) -> None:
    arrive(desk, "a", 3, priority=5)
    with desk.storage.read() as tx:
        last = ordering.turn_for(tx, QUEUE, 5, "a")
        first = ordering.turn_for(tx, QUEUE, 5, "b")
        empty = ordering.turn_for(tx, QUEUE, 6, "a")
    assert (last, first, empty) == (3_500_000, 1_000_000, 500_000)
