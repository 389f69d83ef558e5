"""Submissions that belong to exams, and the grades that wait here until they may go."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, bindparam, insert, select, update

from proctoring_hooks.grades import ExamSubmission, GradeState, Standing, marked_down_words
from proctoring_hooks.store import NotFound
from xqueue_server.models.marked_down import marked_down
from xqueue_server.storage import callbacks, events
from xqueue_server.storage.engine import NOW, Transaction
from xqueue_server.storage.proctoring_schema import exam_submissions
from xqueue_server.storage.schema import submissions

_S = exam_submissions.c
_SELECT = select(
    _S.submission_id,
    _S.exam_id,
    _S.attempt_id,
    _S.standing,
    _S.state,
    _S.factor,
    submissions.c.arrived_at,
).join(submissions, submissions.c.id == _S.submission_id)
_OF_ATTEMPT = _SELECT.where(_S.attempt_id == bindparam("of")).order_by(_S.submission_id)
_BY_ID = _SELECT.where(_S.submission_id == bindparam("of"))
_FLAGGED = (
    _SELECT.where(_S.exam_id == bindparam("of"), _S.state == GradeState.FLAGGED.value)
    .where(_S.submission_id > bindparam("after"))
    .order_by(_S.submission_id)
    .limit(bindparam("most"))
)
_AMONG = _SELECT.where(_S.submission_id.in_(bindparam("ids", expanding=True)))
_INSERT = insert(exam_submissions).values(decided_by="")
_DECIDED: dict[str, Any] = {"decided_by": bindparam("who"), "decided_at": NOW, "is_unwritten": True}
_RELEASE = (
    update(exam_submissions)
    .where(_S.submission_id == bindparam("of"), _S.state != GradeState.RELEASED.value)
    .values(state=GradeState.RELEASED.value, factor=bindparam("new_factor"), **_DECIDED)
)
# What was released may be on its way, or with the LMS, which keeps it.
_WITHHOLD = (
    update(exam_submissions)
    .where(_S.submission_id == bindparam("of"), _S.state == GradeState.WAITING.value)
    .values(state=GradeState.WITHHELD.value, **_DECIDED)
)
_REFUSE = (
    update(exam_submissions)
    .where(_S.submission_id == bindparam("of"), _S.state == GradeState.FLAGGED.value)
    .values(state=GradeState.WITHHELD.value, **_DECIDED)
)
_HAS_NEWS = (
    update(exam_submissions)
    .where(_S.submission_id == bindparam("of"))
    .values(is_unwritten=_S.standing != Standing.PREVIEW.value)
    .returning(_S.state, _S.factor)
)

BY_RULE = "exam"
"""Who decides where nobody is asked: the exam's policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    state: GradeState
    factor: float


class Grades:
    """`proctoring_hooks.store.Grades` in one transaction."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def add(
        self,
        submission_id: int,
        exam_id: int,
        attempt_id: int | None,
        standing: Standing,
        state: GradeState,
        *,
        factor: float,
    ) -> None:
        """A submission that has just arrived."""
        self._tx.run(
            _INSERT,
            submission_id=submission_id,
            exam_id=exam_id,
            attempt_id=attempt_id,
            standing=standing,
            state=state,
            factor=factor,
            is_unwritten=standing is not Standing.PREVIEW,
        )

    def has_news(self, submission_id: int) -> Decided:
        """A result of it is there: to be written in the mark sheet, and sent as was decided.

        Locked against another decision until the transaction ends: else a grade that is stored and
        one that is released at the same moment would miss each other. Raises: NotFound.
        """
        row = self._tx.one(_HAS_NEWS, of=submission_id)
        if row is None:
            raise NotFound(f"Submission {submission_id} belongs to no exam")
        return Decided(state=GradeState(row.state), factor=row.factor)

    def find(self, submission_id: int) -> ExamSubmission | None:
        row = self._tx.one(_BY_ID, of=submission_id)
        return _of(row) if row else None

    def among(self, submission_ids: Collection[int]) -> dict[int, ExamSubmission]:
        """Of these submissions those that belong to exams, by id."""
        rows = self._tx.all(_AMONG, ids=sorted(submission_ids)) if submission_ids else []
        return {row.submission_id: _of(row) for row in rows}

    def flagged(self, exam_id: int, *, after: int = 0, limit: int) -> Sequence[ExamSubmission]:
        rows = self._tx.all(_FLAGGED, of=exam_id, after=after, most=limit)
        return [_of(row) for row in rows]

    def of_attempt(self, attempt_id: int) -> Sequence[ExamSubmission]:
        return [_of(row) for row in self._tx.all(_OF_ATTEMPT, of=attempt_id)]

    def release(
        self,
        submission_id: int,
        *,
        factor: float,
        why: str,
        who: str = BY_RULE,
        reason: str | None = None,
    ) -> bool:
        if not self._tx.run(
            _RELEASE, of=submission_id, new_factor=factor, who=who, now=self._tx.now
        ):
            return False
        words = marked_down_words(factor)
        callbacks.release(
            self._tx,
            submission_id,
            actor=who,
            why=why,
            reword=(lambda url, body: marked_down(url, body, factor, words))
            if factor < 1
            else None,
        )
        self._note(submission_id, "exam_released", who, reason or why)
        return True

    def withhold(self, submission_id: int, *, why: str) -> bool:
        is_new = bool(self._tx.run(_WITHHOLD, of=submission_id, who=BY_RULE, now=self._tx.now))
        if is_new:
            self._note(submission_id, "exam_withheld", BY_RULE, why)
        return is_new

    def refuse(self, submission_id: int, *, who: str, reason: str) -> bool:
        is_new = bool(self._tx.run(_REFUSE, of=submission_id, who=who, now=self._tx.now))
        if is_new:
            self._note(submission_id, "exam_withheld", who, reason)
        return is_new

    def _note(self, submission_id: int, why: str, who: str, detail: str) -> None:
        events.append(
            self._tx,
            subject=f"submission {submission_id}",
            submission_id=submission_id,
            actor=who,
            why=why,
            detail=detail,
        )


def _of(row: Row[Any]) -> ExamSubmission:
    found = dict(row._mapping)
    found["standing"] = Standing(found["standing"])
    found["state"] = GradeState(found["state"])
    return ExamSubmission(**found)
