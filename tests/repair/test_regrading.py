"""A regrade brings a new grade or none; the old one is never lost and nobody is told twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.repair.regraded import (
    ACTOR,
    NEW,
    OLD,
    begin,
    cancel,
    fault_kinds,
    graded,
    last_regrade,
    regrades_of,
)
from tests.server.builders import INVALID_GRADE, Desk, callback_url, change_queue, grade, lms_body
from xqueue_server.errors import Conflict, NotFound, WrongKey
from xqueue_server.models.grader import NoSuchGrader
from xqueue_server.models.regrade import RegradeState
from xqueue_server.models.submission import (
    REGRADE_PRIORITY,
    REGRADE_TRANSITIONS,
    TRANSITIONS,
    LeasedSubmission,
    SubmissionEvent,
    SubmissionState,
)
from xqueue_server.repair import regrading
from xqueue_server.storage import capping, outbox
from xqueue_server.storage.attempts import Ending
from xqueue_server.submissions import holding, leasing
from xqueue_server.submissions.leasing import FailureKind

S, E = SubmissionState, SubmissionEvent
FIRST, LATER = "20260101120000", "20260101120100"


# -- the table -----------------------------------------------------------------------------------


def test_no_way_leads_from_a_regrade_to_anything_but_the_queue_or_a_grade() -> None:
    assert set(REGRADE_TRANSITIONS.values()) == {S.QUEUED, S.LEASED, S.GRADED}
    ends = {pair for pair, after in TRANSITIONS.items() if pair[0] in (S.QUEUED, S.LEASED)}
    assert ends <= set(REGRADE_TRANSITIONS), "what can happen to the first grading can here, too"


def test_it_goes_back_to_the_queue_behind_all_learners(desk: Desk) -> None:
    old = graded(desk)
    before = desk.see(old.submission_id)
    batch_id = begin(desk, old.submission_id)
    row = desk.see(old.submission_id)
    assert (row.state, row.priority, row.attempt) == ("queued", REGRADE_PRIORITY, 1)
    assert (row.is_regrade, row.ended_at) == (True, before.ended_at)
    event = desk.events_of(old.submission_id)[-1]
    assert (event.actor, event.why, event.from_state, event.to_state, event.detail) == (
        ACTOR,
        "regrade",
        "graded",
        "queued",
        f"regrade {batch_id}",
    )
    learners = desk.submit(callback_url(user=7))
    assert desk.lease().submission_id == learners
    assert desk.lease().submission_id == old.submission_id


# -- a new result --------------------------------------------------------------------------------


def test_a_changed_score_that_the_lms_has_is_not_sent(desk: Desk) -> None:
    old = graded(desk)
    begin(desk, old.submission_id)
    desk.put(desk.lease(), NEW)
    assert desk.see(old.submission_id).state is S.GRADED
    assert [r.body for r in desk.results_of(old.submission_id)] == [OLD, NEW]
    assert desk.outgoing(old.submission_id) == [("delivered", OLD)]
    regrade = last_regrade(desk, old.submission_id)
    assert (regrade.state, regrade.lms_had_it) == (RegradeState.CHANGED, True)
    assert (regrade.old_score, regrade.new_score) == (0.5, 1.0)
    first, second = desk.results_of(old.submission_id)
    assert (regrade.old_result_id, regrade.new_result_id) == (first.id, second.id)
    assert regrade.finished_at is not None


def test_an_undelivered_grade_is_replaced(desk: Desk) -> None:
    old = graded(desk, is_delivered=False)
    begin(desk, old.submission_id)
    desk.put(desk.lease(), NEW)
    assert desk.outgoing(old.submission_id) == [("cancelled", OLD), ("pending", NEW)]
    assert last_regrade(desk, old.submission_id).lms_had_it is False
    assert desk.deliver(desk.claim_callback())
    assert desk.outgoing(old.submission_id)[-1] == ("delivered", NEW)


def test_a_dead_callback_is_replaced_and_can_not_be_replayed(desk: Desk) -> None:
    old = graded(desk, is_delivered=False)
    due = desk.claim_callback()
    with desk.storage.write() as tx:
        ending = Ending(status=404, error=None, response="", duration_us=1)
        outbox.finish_dead(tx, due, ending, why="refused")
    begin(desk, old.submission_id)
    desk.put(desk.lease(), NEW)
    assert desk.outgoing(old.submission_id) == [("cancelled", OLD), ("pending", NEW)]


def test_a_grade_that_is_being_sent_counts_as_taken(desk: Desk) -> None:
    old = graded(desk, is_delivered=False)
    due = desk.claim_callback()
    begin(desk, old.submission_id)
    desk.put(desk.lease(), NEW)
    assert desk.outgoing(old.submission_id) == [("pending", OLD)]
    assert last_regrade(desk, old.submission_id).lms_had_it is True
    assert desk.deliver(due)
    assert desk.outgoing(old.submission_id) == [("delivered", OLD)]


def test_the_old_grade_is_delivered_while_the_new_one_is_made(desk: Desk) -> None:
    old = graded(desk, is_delivered=False)
    begin(desk, old.submission_id)
    leased = desk.lease()
    assert desk.deliver(desk.claim_callback())
    desk.put(leased, NEW)
    assert desk.outgoing(old.submission_id) == [("delivered", OLD)]
    assert last_regrade(desk, old.submission_id).lms_had_it is True


@pytest.mark.parametrize(
    ("body", "state"),
    [
        (grade(0.5, msg="<p>other words</p>"), RegradeState.SAME),
        (grade(0.5, correct=False), RegradeState.CHANGED),
        (grade(0.25), RegradeState.CHANGED),
        (grade(0.5, correct=1), RegradeState.SAME),
    ],
)
def test_score_and_correctness_are_compared(desk: Desk, body: str, state: RegradeState) -> None:
    old = graded(desk)
    begin(desk, old.submission_id)
    desk.put(desk.lease(), body)
    assert last_regrade(desk, old.submission_id).state is state


def test_what_is_no_grade_is_compared_as_it_is(desk: Desk) -> None:
    """Only a score_update has a score; another dispatch gets whatever the grader says."""
    url = callback_url(dispatch="ungraded_response")
    for body, state in (("first", RegradeState.CHANGED), ("same", RegradeState.SAME)):
        submission_id = desk.submit(url, body="no json", key=body)
        desk.put(desk.lease(), "same" if state is RegradeState.SAME else "other")
        begin(desk, submission_id)
        desk.put(desk.lease(), body)
        regrade = last_regrade(desk, submission_id)
        assert (regrade.state, regrade.old_score, regrade.new_score) == (state, None, None)


def test_a_submission_may_be_regraded_again_and_keeps_every_result(desk: Desk) -> None:
    old = graded(desk)
    for score in (0.6, 0.7):
        begin(desk, old.submission_id)
        desk.put(desk.lease(), grade(score))
    first, second = regrades_of(desk, old.submission_id)
    assert (first.old_score, first.new_score) == (0.5, 0.6)
    assert (second.old_score, second.new_score) == (0.6, 0.7)
    assert len(desk.results_of(old.submission_id)) == 3
    assert desk.outgoing(old.submission_id) == [("delivered", OLD)]


# -- no new result -------------------------------------------------------------------------------

Ending_ = Callable[[Desk, LeasedSubmission], None]


def _grader_failure(desk: Desk, leased: LeasedSubmission) -> None:
    desk.fail(leased, FailureKind.GRADER, "ImportError: nope")


def _no_such_grader(desk: Desk, leased: LeasedSubmission) -> None:
    choice = NoSuchGrader(detail="grader_payload names nobody")
    chosen = replace(leased, choice=choice)
    leasing.hold_for_choice(desk.storage, desk.grader, chosen)


def _invalid_result(desk: Desk, leased: LeasedSubmission) -> None:
    desk.put(leased, INVALID_GRADE)


def _attempts(desk: Desk, leased: LeasedSubmission) -> None:
    for _ in range(2):
        desk.sweep_after(601)
        assert desk.lease().submission_id == leased.submission_id
    assert desk.sweep_after(601).held == 0


def _platform(desk: Desk, leased: LeasedSubmission) -> None:
    change_queue(desk.storage, max_platform_failures=1)
    desk.fail(leased, FailureKind.PLATFORM, "no docker")


@pytest.mark.parametrize(
    ("fail", "fault", "says"),
    [
        (_grader_failure, "grader", "grader_failure: ImportError: nope"),
        (_no_such_grader, "unknown_grader", "grader_failure: grader_payload names nobody"),
        (_invalid_result, "invalid_result", "reject: the result lacks 'msg'"),
        (_attempts, "attempts", "exhaust: 3 leases expired without a result"),
        (_platform, None, "platform_exhaust: no docker"),
    ],
)
@pytest.mark.parametrize("is_delivered", [True, False])
def test_a_regrade_that_fails_leaves_the_old_grade_alone(
    desk: Desk, fail: Ending_, fault: str | None, says: str, is_delivered: bool
) -> None:
    old = graded(desk, is_delivered=is_delivered)
    before = desk.see(old.submission_id)
    begin(desk, old.submission_id)
    fail(desk, desk.lease())
    row = desk.see(old.submission_id)
    assert (row.state, row.held_reason, row.held_at) == (S.GRADED, None, None)
    assert (row.accepted_key, row.ended_at) == (before.accepted_key, before.ended_at)
    state = "delivered" if is_delivered else "pending"
    assert desk.outgoing(old.submission_id) == [(state, OLD)]
    regrade = last_regrade(desk, old.submission_id)
    assert (regrade.state, regrade.detail, regrade.new_result_id) == (
        RegradeState.FAILED,
        says,
        None,
    )
    assert fault_kinds(desk) == ([fault] if fault else [])
    assert desk.sweep_after(10**7).given_up == 0
    assert len(desk.callbacks_of(old.submission_id)) == 1


def test_one_lost_lease_or_platform_failure_is_only_another_try(desk: Desk) -> None:
    old = graded(desk)
    begin(desk, old.submission_id)
    desk.lease()
    desk.sweep_after(601)
    leased = desk.lease()
    assert leased.attempt == 2
    desk.fail(leased, FailureKind.PLATFORM)
    assert desk.see(old.submission_id).state is S.QUEUED
    desk.clock.advance(2)
    desk.put(desk.lease(), NEW)
    assert last_regrade(desk, old.submission_id).state is RegradeState.CHANGED


# -- the learner, and people ---------------------------------------------------------------------


@pytest.mark.parametrize("is_leased", [True, False])
@pytest.mark.parametrize("is_delivered", [True, False])
def test_a_newer_submission_ends_the_regrade_and_not_the_grade(
    desk: Desk, is_leased: bool, is_delivered: bool
) -> None:
    old = graded(desk, made_at=FIRST, is_delivered=is_delivered)
    begin(desk, old.submission_id)
    leased = desk.lease() if is_leased else None
    newer = desk.submit(body=lms_body(LATER))
    assert desk.see(old.submission_id).state is S.GRADED
    regrade = last_regrade(desk, old.submission_id)
    assert (regrade.state, regrade.detail) == (
        RegradeState.CANCELLED,
        f"supersede: by submission {newer}",
    )
    state = "delivered" if is_delivered else "cancelled"
    assert desk.outgoing(old.submission_id) == [(state, OLD)]
    if leased:
        with pytest.raises(WrongKey):
            desk.put(leased, NEW)
    assert desk.lease().submission_id == newer


def test_an_overtaken_grade_is_not_regraded(desk: Desk) -> None:
    old = graded(desk, made_at=FIRST, is_delivered=False)
    desk.submit(body=lms_body(LATER))
    with pytest.raises(Conflict, match="was overtaken: the learner submitted again"):
        begin(desk, old.submission_id)
    assert regrades_of(desk, old.submission_id) == []


@pytest.mark.parametrize("is_leased", [True, False])
def test_a_person_may_cancel_it(desk: Desk, is_leased: bool) -> None:
    old = graded(desk)
    begin(desk, old.submission_id)
    leased = desk.lease() if is_leased else None
    cancel(desk, old.submission_id)
    assert desk.see(old.submission_id).state is S.GRADED
    assert last_regrade(desk, old.submission_id).state is RegradeState.CANCELLED
    assert desk.try_lease() is None
    if leased:
        with pytest.raises(WrongKey):
            desk.put(leased, NEW)
    assert [r.body for r in desk.results_of(old.submission_id)] == [OLD]
    with pytest.raises(Conflict, match="is not being graded anew"):
        cancel(desk, old.submission_id)


def test_the_first_grading_can_not_be_cancelled(desk: Desk) -> None:
    submission_id = desk.submit()
    with pytest.raises(Conflict, match="is not being graded anew"):
        cancel(desk, submission_id)
    desk.lease()
    with pytest.raises(Conflict, match="is not being graded anew"):
        cancel(desk, submission_id)


def test_only_what_has_a_grade_is_regraded(desk: Desk) -> None:
    waiting = desk.submit(callback_url(user=1))
    with pytest.raises(Conflict, match=f"Submission {waiting} is queued, not graded"):
        begin(desk, waiting)
    desk.fail(desk.lease(), FailureKind.GRADER)
    with pytest.raises(Conflict, match="is held, not graded"):
        begin(desk, waiting)
    holding.give_up(desk.storage, waiting, actor=ACTOR)
    with pytest.raises(Conflict, match="is given_up, not graded"):
        begin(desk, waiting)
    older = desk.submit(callback_url(user=2), body=lms_body(FIRST))
    desk.submit(callback_url(user=2), body=lms_body(LATER))
    with pytest.raises(Conflict, match="is superseded, not graded"):
        begin(desk, older)
    with pytest.raises(NotFound):
        begin(desk, 10_000)


def test_one_regrade_of_a_submission_waits_at_a_time(desk: Desk) -> None:
    old = graded(desk)
    begin(desk, old.submission_id)
    with pytest.raises(Conflict, match="is being graded anew already"):
        begin(desk, old.submission_id)
    assert len(regrades_of(desk, old.submission_id)) == 1


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501])
def test_a_reason_is_asked_for(desk: Desk, reason: str) -> None:
    request = regrading.Request(reason=reason, selection="", actor=ACTOR)
    with pytest.raises(Conflict, match="needs a reason of 1 to 500 characters"):
        regrading.begin_batch(desk.storage, request)


def test_a_regrade_does_not_count_to_the_learners_cap(desk: Desk) -> None:
    change_queue(desk.storage, learner_cap=1)
    old = graded(desk)
    begin(desk, old.submission_id)
    assert desk.see(old.submission_id).is_capped is False
    another = desk.submit(callback_url("1" * 32))
    assert desk.see(another).is_blocked is False
    assert desk.lease().submission_id == another
    assert desk.lease().submission_id == old.submission_id
    with desk.storage.read() as tx:
        assert not capping.has_blocked_in_vain(tx)


# -- keys ----------------------------------------------------------------------------------------


def test_a_late_result_of_this_regrade_counts(desk: Desk) -> None:
    old = graded(desk)
    begin(desk, old.submission_id)
    late = desk.lease()
    desk.sweep_after(601)
    assert desk.see(old.submission_id).state is S.QUEUED
    desk.put(late, NEW)
    assert last_regrade(desk, old.submission_id).new_score == 1.0
    assert desk.put(late, NEW) is None


def test_a_late_result_of_before_the_regrade_does_not(desk: Desk) -> None:
    desk.submit()
    early = desk.lease()
    desk.sweep_after(601)
    current = desk.lease()
    desk.put(current, OLD)
    desk.clock.advance(1)
    begin(desk, current.submission_id)
    for _ in range(2):  # in line, and being graded
        with pytest.raises(WrongKey):
            desk.put(early, grade(0))
        desk.lease() if desk.see(current.submission_id).state is S.QUEUED else None
    assert last_regrade(desk, current.submission_id).state is RegradeState.WAITING
    assert len(desk.results_of(current.submission_id)) == 1


@pytest.mark.parametrize("is_leased", [True, False])
def test_the_old_graders_repetition_changes_nothing(desk: Desk, is_leased: bool) -> None:
    old = graded(desk)
    begin(desk, old.submission_id)
    if is_leased:
        desk.lease()
    state = desk.see(old.submission_id).state
    assert desk.put(old, OLD) is None
    assert desk.see(old.submission_id).state is state
    assert len(desk.results_of(old.submission_id)) == 1


def test_the_old_grader_may_amend_what_was_not_delivered(desk: Desk) -> None:
    old = graded(desk, is_delivered=False)
    begin(desk, old.submission_id)
    amended = grade(0.75)
    desk.put(old, amended)
    assert desk.outgoing(old.submission_id) == [("cancelled", OLD), ("pending", amended)]
    assert desk.see(old.submission_id).state is S.QUEUED
    desk.put(desk.lease(), NEW)
    regrade = last_regrade(desk, old.submission_id)
    assert (regrade.old_score, regrade.new_score) == (0.75, 1.0)
    assert desk.outgoing(old.submission_id)[-1] == ("pending", NEW)


def test_after_it_the_old_key_is_worth_nothing(desk: Desk) -> None:
    old = graded(desk)
    begin(desk, old.submission_id)
    desk.put(desk.lease(), NEW)
    with pytest.raises(WrongKey):
        desk.put(old, grade(0))


def test_an_invalid_result_sent_again_changes_nothing(desk: Desk) -> None:
    old = graded(desk)
    begin(desk, old.submission_id)
    leased = desk.lease()
    desk.put(leased, INVALID_GRADE)
    events = len(desk.events_of(old.submission_id))
    assert desk.put(leased, INVALID_GRADE) is None
    assert len(desk.events_of(old.submission_id)) == events
    with pytest.raises(WrongKey):
        desk.put(leased, NEW)


@pytest.mark.parametrize("is_delivered", [True, False])
def test_an_amendment_of_the_new_result_goes_the_new_results_way(
    desk: Desk, is_delivered: bool
) -> None:
    old = graded(desk, is_delivered=is_delivered)
    begin(desk, old.submission_id)
    leased = desk.lease()
    desk.put(leased, NEW)
    desk.put(leased, grade(0.5, msg="<p>as before</p>"))
    regrade = last_regrade(desk, old.submission_id)
    assert (regrade.state, regrade.new_score) == (RegradeState.SAME, 0.5)
    assert regrade.new_result_id == desk.results_of(old.submission_id)[-1].id
    sent = desk.outgoing(old.submission_id)
    assert sent[0] == ("delivered" if is_delivered else "cancelled", OLD)
    assert len(sent) == (1 if is_delivered else 3)


def _die(*_args: object, **_given: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "step", ["regrades.finish", "callbacks.withdraw", "callbacks.insert", "transitions.change"]
)
def test_a_crash_at_any_step_of_the_new_result_leaves_all_as_it_was(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    old = graded(desk, is_delivered=False)
    begin(desk, old.submission_id)
    leased = desk.lease()
    with monkeypatch.context() as patched:
        patched.setattr(f"xqueue_server.storage.{step}", _die)
        with pytest.raises(KeyboardInterrupt):
            desk.put(leased, NEW)
    assert desk.see(old.submission_id).state is S.LEASED
    assert last_regrade(desk, old.submission_id).state is RegradeState.WAITING
    assert desk.outgoing(old.submission_id) == [("pending", OLD)]
    assert len(desk.results_of(old.submission_id)) == 1
    desk.put(leased, NEW)
    assert desk.outgoing(old.submission_id) == [("cancelled", OLD), ("pending", NEW)]


def test_a_crash_while_it_fails_leaves_it_to_be_tried_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = graded(desk)
    begin(desk, old.submission_id)
    leased = desk.lease()
    with monkeypatch.context() as patched:
        patched.setattr("xqueue_server.storage.regrades.end_without_grade", _die)
        with pytest.raises(KeyboardInterrupt):
            desk.fail(leased, FailureKind.GRADER)
    assert desk.see(old.submission_id).state is S.LEASED
    assert fault_kinds(desk) == []
    desk.fail(leased, FailureKind.GRADER)
    assert last_regrade(desk, old.submission_id).state is RegradeState.FAILED


def test_a_stale_sweeper_can_not_end_it(desk: Desk) -> None:
    """What read the row before the regrade finds it changed, by state and attempt."""
    old = graded(desk)
    begin(desk, old.submission_id)
    leased = desk.lease()
    desk.renew(leased)
    assert desk.sweep_after(1).held == 0
    desk.put(leased, NEW)
    assert desk.sweep_after(10_000).held == 0
    assert desk.see(old.submission_id).state is S.GRADED
