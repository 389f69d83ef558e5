"""What the proctors' console and learners' pages show: a few statements each, none that locks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Select, String, bindparam, case, func, or_, select, type_coerce

from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import ClockOwner, Exam, Terms
from proctoring_hooks.grades import GradeState, Standing
from proctoring_hooks.statuses import BEFORE_START, IN_PROGRESS, JUDGED, Status
from xqueue_server.models.scope import Scope
from xqueue_server.storage.engine import Transaction
from xqueue_server.storage.proctoring.attempts import FIELDS as ATTEMPT_FIELDS
from xqueue_server.storage.proctoring.attempts import attempt_of
from xqueue_server.storage.proctoring.browsing import Name, is_course_in_scope
from xqueue_server.storage.proctoring.exams import FIELDS as EXAM_FIELDS
from xqueue_server.storage.proctoring.exams import exam_of, read_terms
from xqueue_server.storage.proctoring_schema import (
    exam_attempts,
    exam_incidents,
    exam_learners,
    exam_submissions,
    exams,
)
from xqueue_server.storage.schema import contents, submissions

_E, _A, _S, _I, _L = (
    exams.c,
    exam_attempts.c,
    exam_submissions.c,
    exam_incidents.c,
    exam_learners.c,
)
MOST_EXAMS = 500

# -- exams, and how many attempts of each are where ----------------------------------------------

_COUNTS = (
    select(
        _A.exam_id,
        _A.status,
        func.count().label("how_many"),
        func.sum(case((_A.is_flagged, 1), else_=0)).label("flagged"),
    )
    .where(_A.exam_id.in_(bindparam("ids", expanding=True)), _A.removed_at.is_(None))
    .group_by(_A.exam_id, _A.status)
)
_HELD = (
    select(_S.exam_id, func.count().label("how_many"))
    .where(_S.exam_id.in_(bindparam("ids", expanding=True)), _S.state == GradeState.FLAGGED.value)
    .group_by(_S.exam_id)
)


@dataclass(slots=True, kw_only=True)
class Counts:
    """Of one exam."""

    by_status: dict[Status, int] = field(default_factory=dict)
    flagged: int = 0
    held: int = 0
    """Submissions that staff have yet to accept."""

    def _of(self, statuses: frozenset[Status]) -> int:
        return sum(self.by_status.get(status, 0) for status in statuses)

    @property
    def waiting(self) -> int:
        return self._of(BEFORE_START)

    @property
    def writing(self) -> int:
        return self._of(IN_PROGRESS)

    @property
    def to_judge(self) -> int:
        return self._of(
            frozenset({Status.SUBMITTED, Status.TIMED_OUT, Status.SECOND_REVIEW_REQUIRED})
        )

    @property
    def judged(self) -> int:
        return self._of(JUDGED)

    @property
    def failed(self) -> int:
        return self.by_status.get(Status.ERROR, 0)


def exams_of(
    tx: Transaction, scope: Scope, *, lms: str | None = None, course_id: str | None = None
) -> Sequence[Exam]:
    """By course, the active ones first."""
    statement = select(*[_E[name] for name in EXAM_FIELDS]).where(
        is_course_in_scope(_E.course_id, scope)
    )
    for column, wanted in ((_E.lms, lms), (_E.course_id, course_id)):
        if wanted is not None:
            statement = statement.where(column == wanted)
    ordered = statement.order_by(_E.course_id, _E.lms, _E.is_active.desc(), _E.id.desc())
    return [exam_of(row) for row in tx.all(ordered.limit(MOST_EXAMS))]


def counts_of(tx: Transaction, exam_ids: Sequence[int]) -> Mapping[int, Counts]:
    found = {exam_id: Counts() for exam_id in exam_ids}
    if not exam_ids:
        return found
    for row in tx.all(_COUNTS, ids=exam_ids):
        found[row.exam_id].by_status[Status(row.status)] = row.how_many
        found[row.exam_id].flagged += int(row.flagged)
    for row in tx.all(_HELD, ids=exam_ids):
        found[row.exam_id].held = row.how_many
    return found


# -- attempts ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Of an exam's attempts. None: whatever it is."""

    statuses: frozenset[Status] | None = None
    is_flagged: bool | None = None
    learners: Sequence[str] | None = None
    """User ids or obscured ids: any of these."""


def attempts_page(
    tx: Transaction, exam_id: int, wanted: Wanted, *, limit: int, page: int
) -> Sequence[Attempt]:
    """The flagged ones first, then the newest. `page` counts from 0."""
    columns = [_A[name] for name in ATTEMPT_FIELDS]
    statement = _wanted(select(*columns), exam_id, wanted)
    ordered = statement.order_by(_A.is_flagged.desc(), _A.id.desc())
    return [attempt_of(row) for row in tx.all(ordered.limit(limit).offset(page * limit))]


def _wanted(statement: Select[Any], exam_id: int, wanted: Wanted) -> Select[Any]:
    statement = statement.where(_A.exam_id == exam_id, _A.removed_at.is_(None))
    if wanted.statuses is not None:
        statement = statement.where(_A.status.in_(sorted(wanted.statuses)))
    if wanted.is_flagged is not None:
        statement = statement.where(_A.is_flagged.is_(wanted.is_flagged))
    if wanted.learners is not None:
        among = list(wanted.learners)
        statement = statement.where(or_(_A.user_id.in_(among), _A.obscured_id.in_(among)))
    return statement


# -- names ---------------------------------------------------------------------------------------

_OF_LEARNERS = (_L.learner, _L.full_name, _L.email, _L.username)
_NAMES = select(*_OF_LEARNERS).where(
    _L.lms == bindparam("of_lms"), _L.learner.in_(bindparam("learners", expanding=True))
)
_NAMES_OF_EXAM = (
    select(*_OF_LEARNERS)
    .where(
        _L.lms == bindparam("of_lms"),
        or_(
            _L.learner.in_(select(_A.user_id).where(_A.exam_id == bindparam("of_exam"))),
            _L.learner.in_(select(_A.obscured_id).where(_A.exam_id == bindparam("of_exam"))),
        ),
    )
    .limit(10_000)
)


def names_of(tx: Transaction, lms: str, attempts: Sequence[Attempt]) -> Mapping[int, Name]:
    """By attempt id, of those whose learner's name we were told."""
    ids = {of for each in attempts for of in (each.learner.user_id, each.learner.obscured_id) if of}
    rows = tx.all(_NAMES, of_lms=lms, learners=sorted(ids)) if ids else []
    known = {row.learner: _name(row) for row in rows}
    found = {
        each.id: known.get(each.learner.user_id) or known.get(each.learner.obscured_id)
        for each in attempts
    }
    return {attempt_id: name for attempt_id, name in found.items() if name}


def learners_called(tx: Transaction, lms: str, exam_id: int, text: str) -> Sequence[str]:
    """Ids of those of an exam whose name or address has the text, in whatever case."""
    wanted = text.casefold()
    return [
        row.learner
        for row in tx.all(_NAMES_OF_EXAM, of_lms=lms, of_exam=exam_id)
        if any(wanted in said.casefold() for said in (row.full_name, row.email, row.username))
    ]


def _name(row: Any) -> Name:
    return Name(full_name=row.full_name, email=row.email, username=row.username)


# -- submissions of an attempt, or of none -------------------------------------------------------

_SUBMISSIONS = (
    select(
        _S.submission_id,
        _S.attempt_id,
        _S.standing,
        _S.state,
        _S.factor,
        _S.decided_by,
        _S.decided_at,
        submissions.c.arrived_at,
        contents.c.learner,
        contents.c.problem,
        submissions.c.state.label("graded"),
    )
    .join(submissions, submissions.c.id == _S.submission_id)
    .outerjoin(contents, contents.c.submission_id == _S.submission_id)
    .order_by(_S.submission_id)
)
_OF_ATTEMPT = _SUBMISSIONS.where(_S.attempt_id == bindparam("of"))
_HELD_OF_EXAM = _SUBMISSIONS.where(
    _S.exam_id == bindparam("of"), _S.state == GradeState.FLAGGED.value
).limit(bindparam("most"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSubmission:
    submission_id: int
    attempt_id: int | None
    standing: Standing
    state: GradeState
    factor: float
    decided_by: str
    decided_at: datetime | None
    arrived_at: datetime
    learner: str | None
    """The LMS's number of who submitted it; None or "": not known."""
    problem: str | None
    """None: what was submitted is no longer kept."""
    graded: str
    """Its state here: queued, graded, …"""


def submissions_of(tx: Transaction, attempt_id: int) -> Sequence[ShownSubmission]:
    return [_submission(row) for row in tx.all(_OF_ATTEMPT, of=attempt_id)]


def held_of_exam(tx: Transaction, exam_id: int, *, limit: int) -> Sequence[ShownSubmission]:
    """Those that staff have yet to accept, oldest first."""
    return [_submission(row) for row in tx.all(_HELD_OF_EXAM, of=exam_id, most=limit)]


def _submission(row: Any) -> ShownSubmission:
    found = dict(row._mapping)
    found["standing"] = Standing(found["standing"])
    found["state"] = GradeState(found["state"])
    return ShownSubmission(**found)


# -- a learner's own page ------------------------------------------------------------------------


def _held(*states: GradeState) -> Any:
    return (
        select(func.count())
        .where(_S.attempt_id == _A.id, _S.state.in_([state.value for state in states]))
        .correlate(exam_attempts)
        .scalar_subquery()
    )


_IS_WARNING = (_I.attempt_id == _A.id) & or_(
    _I.source == "proctor", type_coerce(_I.consequences, String).contains("warn")
)
_OF_LEARNER = (
    select(
        _A.id,
        _A.status,
        _A.version,
        _A.clock_owner,
        _A.is_proctored,
        _A.ready_to_resume,
        _A.is_judged_by_a_person,
        _A.expires_at,
        _A.mark_factor,
        _E.exam_name,
        _E.terms,
        select(func.count())
        .where(_IS_WARNING)
        .correlate(exam_attempts)
        .scalar_subquery()
        .label("warnings"),
        select(_I.kind)
        .where(_IS_WARNING)
        .order_by(_I.id.desc())
        .limit(1)
        .correlate(exam_attempts)
        .scalar_subquery()
        .label("warned_of"),
        _held(GradeState.WAITING).label("waiting"),
        _held(GradeState.FLAGGED).label("flagged"),
        _held(GradeState.WITHHELD).label("withheld"),
        _held(GradeState.RELEASED).label("released"),
    )
    .join(exams, exams.c.id == _A.exam_id)
    .where(_A.id == bindparam("of"), _A.removed_at.is_(None))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnersView:
    """What a learner's page tells, read by one statement: hundreds ask every few seconds."""

    id: int
    status: Status
    version: int
    clock_owner: ClockOwner
    is_proctored: bool
    ready_to_resume: bool
    is_judged_by_a_person: bool
    expires_at: datetime | None
    mark_factor: float
    exam_name: str
    terms: Terms
    warnings: int
    warned_of: str | None
    """The latest, in a word or two."""
    waiting: int
    """Submissions whose grades wait for the attempt."""
    flagged: int
    withheld: int
    released: int


def learners_view(tx: Transaction, attempt_id: int) -> LearnersView | None:
    row = tx.one(_OF_LEARNER, of=attempt_id)
    if row is None:
        return None
    found = dict(row._mapping)
    found["status"] = Status(found["status"])
    found["clock_owner"] = ClockOwner(found["clock_owner"])
    found["terms"] = read_terms(found["terms"])
    return LearnersView(**found)
