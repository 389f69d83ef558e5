"""Mark sheets: who may write to one, and what stands in it (see `proctoring_hooks.mark_sheet`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import BigInteger, bindparam, func, or_, select, tuple_, update

from proctoring_hooks.grades import ExamSubmission, GradeState, Standing
from proctoring_hooks.marks import Batch, Candidate, Mark, NewMark, mark_of
from proctoring_hooks.store import Overtaken
from xqueue_server.instant import micros
from xqueue_server.models.lms_interface import grade_in
from xqueue_server.models.submission import SubmissionState
from xqueue_server.storage.engine import NOW, ONCE_NOW, Transaction
from xqueue_server.storage.proctoring_schema import (
    IS_UNWRITTEN,
    exam_submissions,
    mark_sheets,
    marks,
)
from xqueue_server.storage.results import Disposition
from xqueue_server.storage.schema import contents, results, submissions
from xqueue_server.storage.upsert import Upsert

# -- who may write -------------------------------------------------------------------------------

_SHEET = mark_sheets.c
_TTL = bindparam("ttl_us", type_=BigInteger)
_IS_THERE = select(_SHEET.exam_id).where(_SHEET.exam_id == bindparam("of"))
_MAKE = Upsert(
    mark_sheets,
    {"exam_id": bindparam("of"), "token": 0, "holder": "", "held_until": None},
    conflict=["exam_id"],
    change=None,
)
_ACQUIRE = (
    update(mark_sheets)
    .where(
        _SHEET.exam_id == bindparam("of"),
        or_(_SHEET.held_until.is_(None), _SHEET.held_until <= ONCE_NOW),
    )
    .values(token=_SHEET.token + 1, holder=bindparam("by"), held_until=NOW + _TTL)
    .returning(_SHEET.token)
)
_MINE = (
    update(mark_sheets)
    .where(
        _SHEET.exam_id == bindparam("of"),
        _SHEET.token == bindparam("given"),
        _SHEET.held_until.is_not(None),
    )
    .values()
)
_RENEW = _MINE.values(held_until=NOW + _TTL)
_GIVE_BACK = _MINE.values(held_until=None, holder="")

# -- what stands in it ---------------------------------------------------------------------------

_M = marks.c
_ENTRY = tuple(f.name for f in fields(NewMark))
_NEW: dict[str, Any] = {name: bindparam(f"new_{name}", type_=_M[name].type) for name in _ENTRY}
_ALL: dict[str, Any] = _NEW | {"token": bindparam("given"), "written_at": NOW}
_KEY = ("exam_id", "learner", "problem")
_WRITE = Upsert(
    marks,
    _ALL | {"exam_id": bindparam("of")},
    conflict=_KEY,
    change={name: value for name, value in _ALL.items() if name not in _KEY},
)
_OF_EXAM = (
    select(*[_M[f.name] for f in fields(Mark)])
    .where(_M.exam_id == bindparam("of"))
    .order_by(_M.learner, _M.problem)
)

# -- what is new ---------------------------------------------------------------------------------

_X, _C, _S, _R = exam_submissions.c, contents.c, submissions.c, results.c
_IDS = bindparam("ids", expanding=True, type_=BigInteger)
_UNWRITTEN_EXAMS = select(_X.exam_id).where(IS_UNWRITTEN).distinct().order_by(_X.exam_id)
# A grade that is being decided at this moment is new again afterwards.
_TAKE = (
    update(exam_submissions)
    .where(
        _X.submission_id.in_(
            select(_X.submission_id)
            .where(_X.exam_id == bindparam("of"), IS_UNWRITTEN)
            .order_by(_X.submission_id)
            .limit(bindparam("most"))
            .with_for_update(skip_locked=True)
        )
    )
    .values(is_unwritten=False)
    .returning(_X.submission_id)
)
_WHOSE = (
    select(_C.learner, _C.problem)
    .where(_C.submission_id.in_(_IDS), _C.learner != "")
    .distinct()
    .order_by(_C.learner, _C.problem)
)
_CANDIDATES = (
    select(
        *[_X[name] for name in ("submission_id", "exam_id", "attempt_id", "factor")],
        _X.standing,
        _X.state,
        _S.arrived_at,
        _S.learner_submitted_at,
        _C.learner,
        _C.problem,
    )
    .join(contents, _C.submission_id == _X.submission_id)
    .join(submissions, _S.id == _X.submission_id)
    .where(
        _X.exam_id == bindparam("of"),
        _X.standing != Standing.PREVIEW.value,
        _S.state != SubmissionState.SUPERSEDED.value,
        tuple_(_C.learner, _C.problem).in_(bindparam("whose", expanding=True)),
    )
    .order_by(_X.submission_id)
)
_COUNTING = (
    select(func.max(_R.id))
    .where(
        _R.submission_id.in_(_IDS),
        _R.disposition.in_([Disposition.ACCEPTED.value, Disposition.AMENDED.value]),
    )
    .group_by(_R.submission_id)
)
_RESULTS = select(_R.submission_id, _R.body).where(_R.id.in_(_COUNTING))


class Marks:
    """`proctoring_hooks.store.Marks` in one transaction."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def acquire(self, exam_id: int, holder: str, *, ttl_s: float) -> int | None:
        asked = {"of": exam_id, "by": holder, "ttl_us": micros(ttl_s), "now": self._tx.now}
        token: int | None = self._tx.scalar(_ACQUIRE, **asked)
        if token is None and self._tx.one(_IS_THERE, of=exam_id) is None:
            self._tx.run(_MAKE.on(self._tx), of=exam_id)
            token = self._tx.scalar(_ACQUIRE, **asked)
        return token

    def write(self, exam_id: int, entries: Sequence[NewMark], token: int, *, ttl_s: float) -> None:
        asked = {"of": exam_id, "given": token, "ttl_us": micros(ttl_s), "now": self._tx.now}
        if not self._tx.run(_RENEW, **asked):
            raise Overtaken(f"the mark sheet of exam {exam_id} has another writer by now")
        self._tx.run_many(
            _WRITE.on(self._tx),
            [
                {"of": exam_id, "given": token, "now": self._tx.now}
                | {f"new_{name}": getattr(entry, name) for name in _ENTRY}
                for entry in entries
            ],
        )

    def release(self, exam_id: int, token: int) -> bool:
        return bool(self._tx.run(_GIVE_BACK, of=exam_id, given=token))

    def of_exam(self, exam_id: int) -> Sequence[Mark]:
        rows = self._tx.all(_OF_EXAM, of=exam_id)
        return [Mark(**{**row._mapping, "state": GradeState(row.state)}) for row in rows]

    def exams_to_write(self) -> Sequence[int]:
        return [row.exam_id for row in self._tx.all(_UNWRITTEN_EXAMS)]

    def unwritten(self, exam_id: int, *, limit: int) -> Batch:
        taken = [row.submission_id for row in self._tx.all(_TAKE, of=exam_id, most=limit)]
        whose = self._tx.all(_WHOSE, ids=taken) if taken else []
        found = self._candidates(exam_id, [(row.learner, row.problem) for row in whose])
        return Batch(
            entries=[mark_of(of_pair) for of_pair in found.values()], is_last=len(taken) < limit
        )

    def _candidates(
        self, exam_id: int, whose: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], list[Candidate]]:
        rows = self._tx.all(_CANDIDATES, of=exam_id, whose=whose) if whose else []
        scores = self._scores([row.submission_id for row in rows])
        found: dict[tuple[str, str], list[Candidate]] = {}
        for row in rows:
            submission = ExamSubmission(
                submission_id=row.submission_id,
                exam_id=row.exam_id,
                attempt_id=row.attempt_id,
                standing=Standing(row.standing),
                state=GradeState(row.state),
                arrived_at=row.arrived_at,
                factor=row.factor,
            )
            candidate = Candidate(
                learner=row.learner,
                problem=row.problem,
                submission=submission,
                made_at=row.learner_submitted_at or row.arrived_at,
                score=scores.get(row.submission_id),
            )
            found.setdefault((row.learner, row.problem), []).append(candidate)
        return found

    def _scores(self, submission_ids: Sequence[int]) -> dict[int, float]:
        rows = self._tx.all(_RESULTS, ids=list(submission_ids)) if submission_ids else []
        graded = {row.submission_id: grade_in(row.body) for row in rows}
        return {of: grade.score for of, grade in graded.items() if grade is not None}
