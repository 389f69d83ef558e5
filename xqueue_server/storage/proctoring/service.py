"""What the exam service keeps beside exams and attempts (see `exam_service_store`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, or_, select, update

from proctoring_hooks.attempt import Attempt
from proctoring_hooks.clock import Allowance, AllowanceKind
from proctoring_hooks.exam import Exam
from proctoring_hooks.web.exam_service_store import Allowed, ExamCourse, Person
from xqueue_server.storage.engine import NOW, Transaction
from xqueue_server.storage.proctoring.attempts import Attempts
from xqueue_server.storage.proctoring.exams import Exams, read_terms, written_terms
from xqueue_server.storage.proctoring.sealing import Sealer
from xqueue_server.storage.proctoring_schema import (
    exam_allowances,
    exam_attempts,
    exam_course_staff,
    exam_courses,
    exam_learners,
    exams,
    signing_keys,
)
from xqueue_server.storage.upsert import Upsert

_C = exam_courses.c
_COURSE = select(_C.provider, _C.escalation_email, _C.terms).where(
    _C.lms == bindparam("of_lms"), _C.course_id == bindparam("of_course")
)
_COURSE_LOCKED = _COURSE.with_for_update()
_GIVEN: dict[str, Any] = {
    name: bindparam(name) for name in ("provider", "escalation_email", "terms")
}
_KEY_OF_COURSE: dict[str, Any] = {"lms": bindparam("of_lms"), "course_id": bindparam("of_course")}
_TOUCH = Upsert(
    exam_courses,
    {**_KEY_OF_COURSE, "provider": "", "escalation_email": "", "terms": ""},
    conflict=["lms", "course_id"],
    change=None,
)
_SET_COURSE = Upsert(
    exam_courses, {**_KEY_OF_COURSE, **_GIVEN}, conflict=["lms", "course_id"], change=_GIVEN
)
_CONTENT = (
    select(exams.c.id)
    .where(
        exams.c.lms == bindparam("of_lms"),
        exams.c.content_id == bindparam("content"),
        exams.c.is_active,
        exams.c.clock_owner == "us",
    )
    .order_by(exams.c.id.desc())
    .limit(1)
)
_A = exam_attempts.c
_OF_EXAM = (_A.exam_id == bindparam("of_exam")) & _A.removed_at.is_(None)
_IDS_OF_EXAM = (
    select(_A.id)
    .where(_OF_EXAM)
    .order_by(_A.id)
    .limit(bindparam("most"))
    .offset(bindparam("after"))
)
_COUNT_OF_EXAM = select(func.count()).select_from(exam_attempts).where(_OF_EXAM)
_IDS_OF_PROVIDER = select(_A.id).where(
    _A.provider_attempt_id == bindparam("theirs"),
    _A.provider_attempt_id != "",
    _A.clock_owner == "us",
    _A.removed_at.is_(None),
)
_L = exam_allowances.c
_ALLOWED = select(_L.id, _L.exam_id, _L.user_id, _L.kind, _L.value)
_ALLOWED_IN = _ALLOWED.where(_L.exam_id.in_(bindparam("of_exams", expanding=True))).order_by(_L.id)
_ALLOWED_BY_ID = _ALLOWED.where(_L.id == bindparam("of"))
_AWAITED = (
    select(_L.id, _L.exam_id)
    .join(exams, exams.c.id == _L.exam_id)
    .where(exams.c.lms == bindparam("of_lms"), _L.user_id.in_(bindparam("awaited", expanding=True)))
    .order_by(_L.id)
)
_HAS = select(_L.id).where(_L.exam_id == bindparam("of_exam"), _L.user_id == bindparam("user"))
_SETTLE = (
    update(exam_allowances)
    .where(_L.id == bindparam("of"))
    .values(user_id=bindparam("settled_user"))
)
_DROP = delete(exam_allowances).where(_L.id == bindparam("of"))
_N = exam_learners.c
_PEOPLE = select(_N.learner, _N.username, _N.email, _N.full_name).where(
    _N.lms == bindparam("of_lms"), _N.learner.in_(bindparam("learners", expanding=True))
)
_FORGET_AWAITED = delete(exam_learners).where(
    _N.lms == bindparam("of_lms"), _N.learner.in_(bindparam("awaited", expanding=True))
)
_NAMED = (
    select(_N.learner)
    .where(
        _N.lms == bindparam("of_lms"),
        or_(_N.username == bindparam("name"), _N.email == bindparam("name")),
        ~_N.learner.startswith("@"),
    )
    .order_by(_N.told_at.desc())
    .limit(1)
)
_S = exam_course_staff.c
_ALL_STAFF = (
    select(_S.user_id)
    .where(_S.lms == bindparam("of_lms"), _S.course_id == bindparam("of_course"))
    .order_by(_S.user_id)
)
_GRANT = Upsert(
    exam_course_staff,
    {
        **_KEY_OF_COURSE,
        "user_id": bindparam("user"),
        "granted_by": bindparam("who"),
        "granted_at": NOW,
    },
    conflict=["lms", "course_id", "user_id"],
    change=None,
)
_REVOKE = delete(exam_course_staff).where(
    _S.lms == bindparam("of_lms"),
    _S.course_id == bindparam("of_course"),
    _S.user_id == bindparam("user"),
)
_K = signing_keys.c
_SIGNING = select(_K.private_key).where(_K.purpose == bindparam("of"))
_SIGN = Upsert(
    signing_keys,
    {"purpose": bindparam("of"), "private_key": bindparam("sealed"), "created_at": NOW},
    conflict=["purpose"],
    change=None,
)


class ServiceRecords:
    """`proctoring_hooks.web.exam_service_store.ServiceRecords` in one transaction."""

    def __init__(self, tx: Transaction, sealer: Sealer) -> None:
        self._tx = tx
        self._sealer = sealer
        self._attempts = Attempts(tx)

    # -- courses ---------------------------------------------------------------------------------

    def course(self, lms: str, course_id: str, *, lock: bool = False) -> ExamCourse:
        if lock:
            self._tx.run(_TOUCH.on(self._tx), of_lms=lms, of_course=course_id)
        statement = _COURSE_LOCKED if lock else _COURSE
        row = self._tx.one(statement, of_lms=lms, of_course=course_id)
        if row is None:
            return ExamCourse()
        return ExamCourse(
            provider=row.provider,
            escalation_email=row.escalation_email,
            terms=read_terms(row.terms),
        )

    def set_course(self, lms: str, course_id: str, course: ExamCourse) -> None:
        self._tx.run(
            _SET_COURSE.on(self._tx),
            of_lms=lms,
            of_course=course_id,
            provider=course.provider,
            escalation_email=course.escalation_email,
            terms=written_terms(course.terms),
        )

    def is_course_staff(self, lms: str, course_id: str, user_id: str) -> bool:
        return Exams(self._tx).is_course_staff(lms, course_id, user_id)

    def course_staff(self, lms: str, course_id: str) -> Sequence[str]:
        """The LMS's user ids."""
        rows = self._tx.all(_ALL_STAFF, of_lms=lms, of_course=course_id)
        return [row.user_id for row in rows]

    def grant_staff(self, lms: str, course_id: str, user_id: str, *, who: str) -> None:
        self._tx.run(
            _GRANT.on(self._tx),
            of_lms=lms,
            of_course=course_id,
            user=user_id,
            who=who,
            now=self._tx.now,
        )

    def revoke_staff(self, lms: str, course_id: str, user_id: str) -> bool:
        """False: there was nothing to take away."""
        return bool(self._tx.run(_REVOKE, of_lms=lms, of_course=course_id, user=user_id))

    # -- exams and attempts ----------------------------------------------------------------------

    def exam_of_content(self, lms: str, content_id: str) -> Exam | None:
        row = self._tx.one(_CONTENT, of_lms=lms, content=content_id)
        return Exams(self._tx).get(row.id) if row else None

    def attempts_of_exam(self, exam_id: int, *, limit: int, offset: int) -> Sequence[Attempt]:
        rows = self._tx.all(_IDS_OF_EXAM, of_exam=exam_id, most=limit, after=offset)
        return [self._attempts.get(row.id) for row in rows]

    def count_of_exam(self, exam_id: int) -> int:
        return int(self._tx.scalar(_COUNT_OF_EXAM, of_exam=exam_id))

    def attempts_of_provider(self, provider_attempt_id: str) -> Sequence[Attempt]:
        rows = self._tx.all(_IDS_OF_PROVIDER, theirs=provider_attempt_id)
        return [self._attempts.get(row.id) for row in rows]

    # -- allowances ------------------------------------------------------------------------------

    def allowances_of(self, exam_ids: Sequence[int]) -> Sequence[Allowed]:
        return [_allowed(row) for row in self._tx.all(_ALLOWED_IN, of_exams=list(exam_ids))]

    def allowance(self, allowance_id: int) -> Allowed | None:
        row = self._tx.one(_ALLOWED_BY_ID, of=allowance_id)
        return _allowed(row) if row else None

    def settle_allowances(self, lms: str, user_id: str, awaited: Sequence[str]) -> None:
        for row in self._tx.all(_AWAITED, of_lms=lms, awaited=list(awaited)):
            if self._tx.one(_HAS, of_exam=row.exam_id, user=user_id) is None:
                self._tx.run(_SETTLE, of=row.id, settled_user=user_id)
            else:
                self._tx.run(_DROP, of=row.id)
        self._tx.run(_FORGET_AWAITED, of_lms=lms, awaited=list(awaited))

    # -- people ----------------------------------------------------------------------------------

    def people(self, lms: str, learners: Sequence[str]) -> Mapping[str, Person]:
        rows = self._tx.all(_PEOPLE, of_lms=lms, learners=list(learners))
        return {
            row.learner: Person(username=row.username, email=row.email, full_name=row.full_name)
            for row in rows
        }

    def person_named(self, lms: str, name: str) -> str | None:
        row = self._tx.one(_NAMED, of_lms=lms, name=name)
        return str(row.learner) if row else None

    # -- keys ------------------------------------------------------------------------------------

    def signing_key(self, purpose: str, make: Callable[[], str]) -> str:
        row = self._tx.one(_SIGNING, of=purpose)
        if row is None:
            sealed = self._sealer.seal({"jwk": make()})
            self._tx.run(_SIGN.on(self._tx), of=purpose, sealed=sealed, now=self._tx.now)
            row = self._tx.one(_SIGNING, of=purpose)  # another's, if that one was first
        assert row is not None, "it was stored just now"
        return self._sealer.open(bytes(row.private_key))["jwk"]


def _allowed(row: Row[Any]) -> Allowed:
    return Allowed(
        id=row.id,
        exam_id=row.exam_id,
        user_id=row.user_id,
        allowance=Allowance(kind=AllowanceKind(row.kind), value=row.value),
    )
