"""Exams, allowances, and which submissions belong to which exam."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Row, bindparam, case, delete, exists, insert, select, update
from sqlalchemy.exc import IntegrityError

from proctoring_hooks.clock import Allowance, AllowanceKind
from proctoring_hooks.exam import (
    ClockOwner,
    Exam,
    ExamType,
    NewExam,
    Readying,
    Release,
    Reviewing,
    Terms,
    Unmatched,
)
from proctoring_hooks.store import NotFound, Overtaken
from xqueue_server.storage.engine import NOW, Transaction
from xqueue_server.storage.proctoring_schema import (
    exam_allowances,
    exam_claims,
    exam_course_staff,
    exams,
)
from xqueue_server.storage.upsert import Upsert

_E = exams.c
FIELDS = tuple(f.name for f in fields(Exam))
_GIVEN = tuple(f.name for f in fields(NewExam))
_SELECT = select(*[_E[name] for name in FIELDS])
_BY_ID = _SELECT.where(_E.id == bindparam("of"))
_BY_EXTERNAL = _SELECT.where(_E.lms == bindparam("of_lms"), _E.external_id == bindparam("external"))
_OF_COURSE = _SELECT.where(
    _E.lms == bindparam("of_lms"), _E.course_id == bindparam("course")
).order_by(_E.id)
_ACTIVE_OF_COURSE = _OF_COURSE.where(_E.is_active)
_ACTIVE = _SELECT.where(
    _E.lms == bindparam("of_lms"),
    _E.course_id == bindparam("course"),
    _E.content_id == bindparam("content"),
    _E.is_active,
)
_ANY_ACTIVE = select(exists().where(_E.is_active))
_LATEST = (
    _SELECT.where(
        _E.lms == bindparam("of_lms"),
        _E.course_id == bindparam("course"),
        _E.content_id == bindparam("content"),
        _E.clock_owner == bindparam("owner"),
    )
    .order_by(_E.is_active.desc(), _E.id.desc())
    .limit(1)
)
_INSERT = insert(exams).values(created_at=NOW).returning(_E.id)
_A = exam_allowances.c
_ALLOWANCE = select(_A.kind, _A.value).where(
    _A.exam_id == bindparam("of"), _A.user_id == bindparam("user")
)
_TAKE_AWAY = delete(exam_allowances).where(
    _A.exam_id == bindparam("of"), _A.user_id == bindparam("user")
)
_TERMS: dict[str, Any] = {name: bindparam(name) for name in ("kind", "value", "granted_by")}
_ALLOW = Upsert(
    exam_allowances,
    {"exam_id": bindparam("of"), "user_id": bindparam("user"), "granted_at": NOW, **_TERMS},
    conflict=["exam_id", "user_id"],
    change={**_TERMS, "granted_at": NOW},
)
_S = exam_course_staff.c
_STAFF = select(_S.user_id).where(
    _S.lms == bindparam("of_lms"),
    _S.course_id == bindparam("of_course"),
    _S.user_id == bindparam("user"),
)
_C = exam_claims.c
_named = exams.alias("named")
# An exam that was changed may be another row by now; what it claimed belongs to its successor.
_CLAIMING = (
    _SELECT.join(
        _named,
        (_named.c.lms == _E.lms)
        & (_named.c.course_id == _E.course_id)
        & (_named.c.content_id == _E.content_id),
    )
    .join(exam_claims, _C.exam_id == _named.c.id)
    .where(
        _C.lms == bindparam("of_lms"),
        ((_C.kind == "problem") & (_C.value == bindparam("problem")))
        | ((_C.kind == "queue") & (_C.value == bindparam("queue"))),
        _E.is_active,
    )
    .order_by(case((_C.kind == "problem", 0), else_=1))
    .limit(1)
)
_KINDS = {
    "release": Release,
    "unmatched": Unmatched,
    "review": Reviewing,
    "readying": Readying,
}
_HAS_ANOTHER = "this content has another active exam by now"


class Exams:
    """`proctoring_hooks.store.Exams` in one transaction."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def get(self, exam_id: int) -> Exam:
        return _found(self._tx.one(_BY_ID, of=exam_id), f"exam {exam_id}")

    def by_external_id(self, lms: str, external_id: str) -> Exam:
        row = self._tx.one(_BY_EXTERNAL, of_lms=lms, external=external_id)
        return _found(row, "exam")

    def active(self, lms: str, course_id: str, content_id: str) -> Exam | None:
        row = self._tx.one(_ACTIVE, of_lms=lms, course=course_id, content=content_id)
        return exam_of(row) if row else None

    def latest(
        self, lms: str, course_id: str, content_id: str, clock_owner: ClockOwner
    ) -> Exam | None:
        row = self._tx.one(
            _LATEST, of_lms=lms, course=course_id, content=content_id, owner=clock_owner
        )
        return exam_of(row) if row else None

    def of_course(self, lms: str, course_id: str, *, active_only: bool) -> Sequence[Exam]:
        statement = _ACTIVE_OF_COURSE if active_only else _OF_COURSE
        return [exam_of(row) for row in self._tx.all(statement, of_lms=lms, course=course_id)]

    def add(self, new: NewExam) -> Exam:
        given = {name: getattr(new, name) for name in _GIVEN} | {"terms": written_terms(new.terms)}
        try:
            with self._tx.connection.begin_nested():
                exam_id = int(self._tx.scalar(_INSERT, now=self._tx.now, **given))
        except IntegrityError:
            raise Overtaken(_HAS_ANOTHER) from None
        return self.get(exam_id)

    def change(self, exam_id: int, **fields: Any) -> Exam:
        if "terms" in fields:
            fields["terms"] = written_terms(fields["terms"])
        changing = update(exams).where(_E.id == bindparam("of")).values(fields)
        try:
            with self._tx.connection.begin_nested():
                self._tx.run(changing, of=exam_id)
        except IntegrityError:
            raise Overtaken(_HAS_ANOTHER) from None
        return self.get(exam_id)

    def allowance(self, exam_id: int, user_id: str) -> Allowance | None:
        row = self._tx.one(_ALLOWANCE, of=exam_id, user=user_id)
        return Allowance(kind=AllowanceKind(row.kind), value=row.value) if row else None

    def allow(self, exam_id: int, user_id: str, allowance: Allowance | None, *, who: str) -> None:
        if allowance is None:
            self._tx.run(_TAKE_AWAY, of=exam_id, user=user_id)
            return
        self._tx.run(
            _ALLOW.on(self._tx),
            of=exam_id,
            user=user_id,
            kind=allowance.kind,
            value=allowance.value,
            granted_by=who,
            now=self._tx.now,
        )

    def is_course_staff(self, lms: str, course_id: str, user_id: str) -> bool:
        row = self._tx.one(_STAFF, of_lms=lms, of_course=course_id, user=user_id)
        return row is not None

    def claiming(self, lms: str, problem: str, queue: str) -> Exam | None:
        row = self._tx.one(_CLAIMING, of_lms=lms, problem=problem, queue=queue)
        return exam_of(row) if row else None


def any_active(tx: Transaction) -> bool:
    """Whether there are exams here at all, of any LMS and course."""
    return bool(tx.scalar(_ANY_ACTIVE))


def _found(row: Row[Any] | None, what: str) -> Exam:
    if row is None:
        raise NotFound(f"No such {what}")
    return exam_of(row)


def exam_of(row: Row[Any]) -> Exam:
    found = dict(row._mapping)
    found["exam_type"] = ExamType(found["exam_type"])
    found["clock_owner"] = ClockOwner(found["clock_owner"])
    found["terms"] = read_terms(found["terms"])
    return Exam(**found)


def written_terms(terms: Terms) -> str:
    """JSON, for `read_terms`."""
    return json.dumps(asdict(terms))


def read_terms(text: str) -> Terms:
    """Of what `written_terms` has made; a later version's unknown terms are left out."""
    given = json.loads(text) if text else {}
    known = {name: given[name] for name in Terms.__dataclass_fields__ if name in given}
    for name, kind in _KINDS.items():
        if name in known:
            known[name] = kind(known[name])
    if "staff" in known:
        known["staff"] = tuple(known["staff"])
    return Terms(**known)
