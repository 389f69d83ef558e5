"""What must be true of a submission in the end, whatever was killed meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select

from tests.worker.fakes import eventually
from xqueue_server.models.callback import CallbackState
from xqueue_server.models.regrade import WITH_RESULT, RegradeState
from xqueue_server.models.submission import (
    REGRADE_TRANSITIONS,
    TRANSITIONS,
    Submission,
    SubmissionEvent,
    SubmissionState,
)
from xqueue_server.storage import (
    Storage,
    Transaction,
    callbacks,
    events,
    regrades,
    results,
    submissions,
)
from xqueue_server.storage.events import Event
from xqueue_server.storage.results import Disposition
from xqueue_server.storage.schema import leases
from xqueue_server.storage.schema import submissions as table

SETTLE_S = 60.0
GRADED = SubmissionState.GRADED


class Ledger:
    """Reads the database that the programs work on."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def submissions_to(self, callback_url: str) -> Sequence[int]:
        statement = select(table.c.id).where(table.c.callback_url == callback_url)
        with self._storage.read() as tx:
            return [row.id for row in tx.all(statement.order_by(table.c.id))]

    def wait_for(self, submission_id: int, state: SubmissionState) -> None:
        self.wait_for_any(submission_id, state)

    def wait_for_any(self, submission_id: int, *states: SubmissionState) -> SubmissionState:
        eventually(lambda: self._see(submission_id).state in states, SETTLE_S)
        return self._see(submission_id).state

    def assert_ended_well(self, submission_id: int, state: SubmissionState = GRADED) -> None:
        """One end, one accepted result if any, one callback, and a history without a gap."""
        self.wait_for(submission_id, state)
        eventually(lambda: self._is_delivered(submission_id), SETTLE_S)
        row = self._see(submission_id)
        assert (row.lease_key, row.lease_until, row.leased_by) == (None, None, None)
        with self._storage.read() as tx:
            kept = results.of_submission(tx, submission_id)
            assert_history(tx, row)
        accepted = [r for r in kept if r.disposition is Disposition.ACCEPTED]
        assert len(accepted) == (1 if state is GRADED else 0)

    def assert_regraded(self, submission_id: int, outcome: RegradeState) -> None:
        """Once, with this outcome; the LMS was sent the old grade and nothing else."""
        self.wait_for(submission_id, GRADED)
        with self._storage.read() as tx:
            found = regrades.of_submission(tx, submission_id)
            kept = results.of_submission(tx, submission_id)
            assert_history(tx, self._see(submission_id))
        assert [each.state for each in found] == [outcome]
        assert {each.disposition for each in kept} == {Disposition.ACCEPTED}
        assert len(kept) == (2 if outcome in WITH_RESULT else 1)
        assert self._is_delivered(submission_id)

    def assert_superseded(self, submission_id: int) -> None:
        """And the LMS is told nothing about it."""
        row = self._see(submission_id)
        assert row.state is SubmissionState.SUPERSEDED
        with self._storage.read() as tx:
            assert callbacks.of_submission(tx, submission_id) == []
            assert_history(tx, row)

    def _see(self, submission_id: int) -> Submission:
        with self._storage.read() as tx:
            found = submissions.find(tx, submission_id)
        assert found is not None
        return found

    def _is_delivered(self, submission_id: int) -> bool:
        with self._storage.read() as tx:
            states = [c.state for c in callbacks.of_submission(tx, submission_id)]
        assert len(states) == 1, "one callback for one submission"
        return states == [CallbackState.DELIVERED]


def assert_history(tx: Transaction, submission: Submission) -> None:
    """The events lead step by step to where the submission and its callbacks are."""
    history = events.of_submission(tx, submission.id)
    own = [e for e in history if e.subject == f"submission {submission.id}"]
    assert_chain(own, submission)
    keys = tx.scalar(select(func.count()).where(leases.c.submission_id == submission.id))
    assert keys == len([e for e in own if e.why == SubmissionEvent.LEASE]), "a key for each lease"
    for callback in callbacks.of_submission(tx, submission.id):
        steps = [e for e in history if e.subject == f"callback {callback.id}"]
        states = [CallbackState.PENDING, *(e.to_state for e in steps)]
        assert [e.from_state for e in steps] == states[:-1]
        assert callback.state == states[-1]


def assert_chain(history: Sequence[Event], submission: Submission) -> None:
    state: SubmissionState | None = None
    attempt, is_regrade = 1, False
    for event in history:
        assert event.from_state == state
        why = SubmissionEvent(event.why)
        table = REGRADE_TRANSITIONS if is_regrade else TRANSITIONS
        state = table[state, why]  # type: ignore[index] - what has a grade has arrived
        assert event.to_state == state
        if why is SubmissionEvent.EXPIRE:
            attempt += 1
        if why in (SubmissionEvent.RELEASE, SubmissionEvent.REGRADE):
            attempt = 1
        is_regrade = why is SubmissionEvent.REGRADE or (is_regrade and state is not GRADED)
    assert (submission.state, submission.attempt) == (state, attempt)
