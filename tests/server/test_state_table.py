"""The states of a submission: the table, and that storage never leaves it."""

from __future__ import annotations

import itertools

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from tests.server.builders import INVALID_GRADE, Desk, change_queue, lms_body
from xqueue_server.models.submission import (
    TRANSITIONS,
    UNFINISHED,
    HoldReason,
    SubmissionEvent,
    SubmissionState,
)
from xqueue_server.storage import transitions
from xqueue_server.submissions import holding
from xqueue_server.submissions.leasing import FailureKind

S, E = SubmissionState, SubmissionEvent
FINAL = set(S) - set(UNFINISHED)
COLUMNS = {
    E.ACCEPT: {"accepted_key": b"k" * 32},
    E.REJECT: {"held_reason": HoldReason.INVALID_RESULT},
}

ALLOWED = {
    None: {E.ARRIVE: S.QUEUED},
    S.QUEUED: {
        E.LEASE: S.LEASED,
        E.ACCEPT: S.GRADED,
        E.REJECT: S.HELD,
        E.SUPERSEDE: S.SUPERSEDED,
        E.ERASE: S.SUPERSEDED,
    },
    S.LEASED: {
        E.EXPIRE: S.QUEUED,
        E.EXHAUST: S.HELD,
        E.PLATFORM_FAILURE: S.QUEUED,
        E.PLATFORM_EXHAUST: S.HELD,
        E.GRADER_FAILURE: S.HELD,
        E.ACCEPT: S.GRADED,
        E.REJECT: S.HELD,
        E.SUPERSEDE: S.SUPERSEDED,
        E.ERASE: S.SUPERSEDED,
    },
    S.HELD: {
        E.ACCEPT: S.GRADED,
        E.REJECT: S.HELD,
        E.SUPERSEDE: S.SUPERSEDED,
        E.RELEASE: S.QUEUED,
        E.GIVE_UP: S.GIVEN_UP,
        E.ERASE: S.SUPERSEDED,
    },
    S.GRADED: {E.REGRADE: S.QUEUED},
}
"""Written a second time, from the issue, so that a slip in the table shows."""


@pytest.mark.parametrize(
    ("state", "event"), list(itertools.product([None, *S], E)), ids=lambda value: str(value)
)
def test_an_event_leads_where_the_issue_says_or_nowhere(
    state: SubmissionState | None, event: SubmissionEvent
) -> None:
    assert TRANSITIONS.get((state, event)) is ALLOWED.get(state, {}).get(event)


def test_nothing_but_a_regrade_leads_out_of_an_end() -> None:
    assert {S.GRADED, S.SUPERSEDED, S.GIVEN_UP} == FINAL
    assert [pair for pair in TRANSITIONS if pair[0] in FINAL] == [(S.GRADED, E.REGRADE)]


def test_every_state_is_reached() -> None:
    assert set(TRANSITIONS.values()) == set(S)


@pytest.mark.parametrize("state", S)
def test_storage_makes_every_change_of_the_table_and_no_other(
    desk: Desk, state: SubmissionState
) -> None:
    for event in E:
        row = desk.see(_submission_in(desk, state))
        after = TRANSITIONS.get((state, event))
        with desk.storage.write() as tx:
            if after is None:
                with pytest.raises(KeyError):
                    transitions.change(tx, row, event, actor="test")
            else:
                columns = COLUMNS.get(event, {})
                assert transitions.change(tx, row, event, actor="test", **columns)
        now = desk.see(row.id)
        assert now.state is (after or state)
        assert (now.state is S.HELD) == (now.held_at is not None)
        assert now.state is S.LEASED or now.lease_key is None
        if after in (S.GRADED, S.GIVEN_UP):
            assert now.ended_at == desk.events_of(row.id)[-1].at


def test_a_change_of_a_row_that_has_moved_on_does_nothing(desk: Desk) -> None:
    seen = desk.see(_submission_in(desk, S.LEASED))
    with desk.storage.write() as tx:
        assert transitions.change(tx, seen, E.EXPIRE, actor="first", attempt=seen.attempt + 1)
        assert not transitions.change(tx, seen, E.GRADER_FAILURE, actor="second")
    assert desk.see(seen.id).state is S.QUEUED
    assert [e.actor for e in desk.events_of(seen.id)][-1] == "first"


def test_a_change_of_another_attempt_does_nothing(desk: Desk) -> None:
    seen = desk.see(_submission_in(desk, S.LEASED))
    desk.sweep_after(601)
    assert desk.lease().attempt == 2
    with desk.storage.write() as tx:
        assert not transitions.change(tx, seen, E.EXHAUST, actor="slow")
    assert desk.see(seen.id).state is S.LEASED


def test_the_database_itself_refuses_a_state_that_is_not_in_the_table(desk: Desk) -> None:
    submission_id = desk.submit()
    statement = text("UPDATE submissions SET state = 'lost' WHERE id = :of")
    with pytest.raises(IntegrityError), desk.storage.write() as tx:
        tx.run(statement, of=submission_id)


def test_every_change_says_who_from_where_to_where_why_and_when(desk: Desk) -> None:
    change_queue(desk.storage, max_attempts=2)
    submission_id = desk.submit(request_id="r-submit")
    desk.clock.advance(1)
    leased = desk.lease()
    desk.fail(leased, FailureKind.PLATFORM, "docker is gone")
    desk.sweep_after(2)
    desk.lease()
    desk.sweep_after(601)
    desk.lease()
    desk.sweep_after(601)
    holding.release(desk.storage, submission_id, actor="operator ann")
    last = desk.lease()
    desk.put(last, INVALID_GRADE)
    desk.put(last)
    found = desk.events_of(submission_id)
    assert [(e.actor, e.from_state, e.to_state, e.why) for e in found] == [
        ("account lms", None, "queued", "arrive"),
        ("account grader", "queued", "leased", "lease"),
        ("account grader", "leased", "queued", "platform_failure"),
        ("account grader", "queued", "leased", "lease"),
        ("sweeper", "leased", "queued", "expire"),
        ("account grader", "queued", "leased", "lease"),
        ("sweeper", "leased", "held", "exhaust"),
        ("operator ann", "held", "queued", "release"),
        ("account grader", "queued", "leased", "lease"),
        ("account grader", "leased", "held", "reject"),
        ("account grader", "held", "graded", "accept"),
    ]
    assert [e.at for e in found] == sorted(e.at for e in found)
    assert (found[1].at - found[0].at).total_seconds() == 1
    assert {e.subject for e in found} == {f"submission {submission_id}"}
    assert found[0].request_id == "r-submit"
    assert found[2].detail == "docker is gone"
    assert found[9].detail == "the result lacks 'msg'"


def test_events_chain_without_a_gap_whatever_happens(desk: Desk) -> None:
    change_queue(desk.storage, max_attempts=1, give_up_after_s=60)
    older = desk.submit()
    desk.exhaust()
    desk.submit(body=lms_body("20260101120010"))
    desk.exhaust()
    desk.sweep_after(61)
    for submission_id in (older, older + 1):
        chain = [e for e in desk.events_of(submission_id) if e.subject.startswith("submission")]
        states = [(e.from_state, e.to_state) for e in chain]
        assert states[0][0] is None
        assert [to for _, to in states[:-1]] == [before for before, _ in states[1:]]
        assert states[-1][1] == desk.see(submission_id).state


def _submission_in(desk: Desk, state: SubmissionState) -> int:
    """A new submission, led to that state by what really happens."""
    submission_id = desk.submit(body="not json")
    if state is S.QUEUED:
        return submission_id
    if state is S.SUPERSEDED:
        older = desk.submit(f"https://lms.example.org/{submission_id}/score_update")
        newer = lms_body("20260101120500")
        desk.submit(f"https://lms.example.org/{submission_id}/score_update", body=newer)
        return older
    leased = desk.lease()
    while leased.submission_id != submission_id:
        leased = desk.lease()
    if state is S.GRADED:
        desk.put(leased)
    if state in (S.HELD, S.GIVEN_UP):
        desk.fail(leased, FailureKind.GRADER)
    if state is S.GIVEN_UP:
        holding.give_up(desk.storage, submission_id, actor="operator ann")
    return submission_id
