"""How long a learner's submission waited, was graded and delivered, kept for each result."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select

from tests.server.builders import INVALID_GRADE, Desk, grade
from xqueue_server.authoring import recording
from xqueue_server.models.submission import (
    REGRADE_PRIORITY,
    LeasedSubmission,
    SubmissionEvent,
    SubmissionState,
)
from xqueue_server.storage import regrades, submissions, transitions
from xqueue_server.storage.operations_schema import timings
from xqueue_server.storage.timings import WorkerTimes
from xqueue_server.submissions import results

US = 1_000_000


def kept(desk: Desk) -> list[dict[str, Any]]:
    with desk.storage.read() as tx:
        rows = tx.all(select(timings).order_by(timings.c.submission_id, timings.c.attempt))
    return [dict(row._mapping) for row in rows]


def graded(desk: Desk, *, wait_s: float = 0, service_s: float = 0) -> LeasedSubmission:
    desk.submit()
    desk.clock.advance(wait_s)
    leased = desk.lease()
    desk.clock.advance(service_s)
    desk.put(leased)
    return leased


def test_a_result_keeps_how_long_it_took(desk: Desk) -> None:
    leased = graded(desk, wait_s=30, service_s=2.5)
    (row,) = kept(desk)
    assert (row["submission_id"], row["attempt"], row["queue"]) == (
        leased.submission_id,
        1,
        "python",
    )
    assert (row["wait_us"], row["service_us"]) == (30 * US, 2_500_000)
    assert (row["prepare_us"], row["run_us"], row["deliver_us"]) == (None, None, None)
    assert (row["received_at"] - row["leased_at"]).total_seconds() == 2.5


def test_a_late_result_counts_from_its_own_lease(desk: Desk) -> None:
    desk.submit()
    late = desk.lease()
    desk.sweep_after(601)
    desk.clock.advance(9)
    desk.put(late)
    assert [(row["attempt"], row["service_us"]) for row in kept(desk)] == [(1, 610 * US)]


def test_a_second_lease_is_a_second_attempt(desk: Desk) -> None:
    desk.submit()
    desk.lease()
    desk.sweep_after(601)
    again = desk.lease()
    desk.clock.advance(1)
    desk.put(again)
    (row,) = kept(desk)
    assert (row["attempt"], row["wait_us"], row["service_us"]) == (2, 601 * US, US)


def test_what_the_worker_says_is_kept_with_it(desk: Desk) -> None:
    desk.submit()
    leased = desk.lease()
    results.receive(
        desk.storage,
        desk.grader,
        results.IncomingResult(
            submission_id=leased.submission_id,
            key=leased.key,
            body=grade(),
            times=WorkerTimes(prepare_us=1500, run_us=2_000_000),
        ),
    )
    assert [(row["prepare_us"], row["run_us"]) for row in kept(desk)] == [(1500, 2_000_000)]


def test_a_refused_result_and_a_repeated_one_keep_nothing_new(desk: Desk) -> None:
    desk.submit()
    refused = desk.lease()
    desk.put(refused, INVALID_GRADE)
    assert kept(desk) == []
    leased = graded(desk, service_s=1)
    before = kept(desk)
    desk.clock.advance(5)
    desk.put(leased)
    desk.put(leased, grade(0.5))
    assert kept(desk) == before


def test_the_delivery_of_the_result_completes_it(desk: Desk) -> None:
    graded(desk)
    desk.clock.advance(4)
    assert desk.deliver(desk.claim_callback())
    assert [row["deliver_us"] for row in kept(desk)] == [4 * US]


def test_the_first_delivery_counts(desk: Desk) -> None:
    leased = graded(desk)
    desk.clock.advance(4)
    desk.deliver(desk.claim_callback())
    desk.put(leased, grade(0.5))
    desk.clock.advance(100)
    desk.deliver(desk.claim_callback())
    assert [row["deliver_us"] for row in kept(desk)] == [4 * US]


def test_a_callback_that_was_cancelled_meanwhile_is_no_delivery(desk: Desk) -> None:
    graded(desk)
    due = desk.claim_callback()
    desk.clock.advance(61)
    other = desk.claim_callback()
    assert not desk.deliver(due)
    assert [row["deliver_us"] for row in kept(desk)] == [None]
    assert desk.deliver(other)


@pytest.mark.parametrize(
    ("said", "kept_us"),
    [
        (1.5, 1500),
        (0, 0),
        (86_400_000, 86_400_000_000),
        (86_400_001, None),
        (-1, None),
        (True, None),
        ("5", None),
        (None, None),
        (float("nan"), None),
        (float("inf"), None),
        (10**400, None),
    ],
)
def test_only_believable_numbers_of_a_record_are_kept(said: Any, kept_us: int | None) -> None:
    record = json.dumps({"tests": [], "prepare_ms": said, "run_ms": 7})
    assert recording.times_of(record) == WorkerTimes(prepare_us=kept_us, run_us=7000)


@pytest.mark.parametrize("record", [None, "", "not json", "[]", '{"tests": []}'])
def test_a_record_that_says_nothing_is_no_matter(record: str | None) -> None:
    assert recording.times_of(record) == WorkerTimes()


def test_a_regrade_is_not_timed(desk: Desk) -> None:
    leased = graded(desk, wait_s=1, service_s=2)
    desk.deliver(desk.claim_callback())
    before = kept(desk)
    with desk.storage.write() as tx:
        batch = regrades.add_batch(tx, requested_by="o", reason="r", selection="s")
        submission = submissions.get_locked(tx, leased.submission_id)
        regrades.add(tx, batch, submission.id, old_result_id=None, old_score=None)
        transitions.change(
            tx, submission, SubmissionEvent.REGRADE, actor="o", attempt=1, priority=REGRADE_PRIORITY
        )
    desk.clock.advance(1000)
    desk.put(desk.lease(), grade(0.5))
    assert desk.see(leased.submission_id).state is SubmissionState.GRADED
    assert kept(desk) == before
