"""What is known of learners as persons, and by what they are known."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import bindparam, case, column, select, text, union
from sqlalchemy.sql.expression import Select

from proctoring_hooks.attempt import Learner
from proctoring_hooks.lms import Lms
from proctoring_hooks.obscuring import obscured_id
from proctoring_hooks.web.exam_service_store import awaited_id
from xqueue_server.storage.engine import NOW, Transaction
from xqueue_server.storage.proctoring.exams import read_terms
from xqueue_server.storage.proctoring_schema import (
    exam_allowances,
    exam_attempts,
    exam_course_staff,
    exam_courses,
    exam_learners,
    exams,
    marks,
)
from xqueue_server.storage.schema import Utf8
from xqueue_server.storage.upsert import Upsert

_N = exam_learners.c
_NAMES = {name: bindparam(name, type_=Utf8) for name in ("full_name", "email", "username")}
_KEPT_UNLESS_GIVEN = {
    name: case((given == "", _N[name]), else_=given) for name, given in _NAMES.items()
}
_TELL = Upsert(
    exam_learners,
    {"lms": bindparam("of_lms"), "learner": bindparam("of"), "told_at": NOW, **_NAMES},
    conflict=["lms", "learner"],
    change={"told_at": NOW, **_KEPT_UNLESS_GIVEN},
)


class Learners:
    """`proctoring_hooks.store.Learners` in one transaction."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def tell(
        self, lms: str, learner: str, *, full_name: str, email: str, username: str = ""
    ) -> None:
        self._tx.run(
            _TELL.on(self._tx),
            of_lms=lms,
            of=learner,
            full_name=full_name,
            email=email,
            username=username,
            now=self._tx.now,
        )


# -- all that one learner is known by ------------------------------------------------------------

_A, _E, _C = exam_attempts.c, exams.c, exam_courses.c
_LMS: Select[tuple[int]] = select(exams.c.id).where(exams.c.lms == bindparam("of_lms"))
_USER_IDS = union(
    select(_A.user_id.label("id")).where(_A.lms == bindparam("of_lms")),
    select(_N.learner).where(_N.lms == bindparam("of_lms")),
    select(exam_allowances.c.user_id).where(exam_allowances.c.exam_id.in_(_LMS)),
    select(exam_course_staff.c.user_id).where(exam_course_staff.c.lms == bindparam("of_lms")),
    select(marks.c.learner).where(marks.c.exam_id.in_(_LMS)),
)
# One step on the index for each learner, however much each has submitted.
_WHO_SUBMITTED = text("""
    WITH RECURSIVE one (id) AS (
        SELECT min(learner) FROM contents WHERE learner > ''
        UNION ALL
        SELECT (SELECT min(learner) FROM contents WHERE learner > one.id)
        FROM one WHERE one.id IS NOT NULL
    )
    SELECT id FROM one WHERE id IS NOT NULL
""").columns(column("id"))
_PERSONS = select(_N.email, _N.username).where(
    _N.lms == bindparam("of_lms"), _N.learner.in_(bindparam("ids", expanding=True))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """One learner of one LMS."""

    lms: str
    ids: frozenset[str] = field(repr=False)
    """The number of his user, the obscured id; never "". Also what stands for his names (see
    `awaited_id`) where staff gave him time before he came."""
    names: frozenset[str] = field(repr=False)
    """User names and e-mail addresses."""
    course_id: str | None = None
    """None: all of them. With a course only what is that course's."""

    @property
    def known_by(self) -> frozenset[str]:
        return self.ids | self.names


def user_id_of(tx: Transaction, lms: Lms, obscured: str) -> str | None:
    """The number of the user that the LMS obscures so. No table has it: of all whom we have ever
    heard of it is tried out. None: nobody, or the LMS's key is not stored."""
    if not lms.obfuscation_key:
        return None
    for user_id in _user_ids(tx, lms.name):
        if user_id.isdecimal() and obscured_id(lms.obfuscation_key, user_id, lms.backend) == (
            obscured
        ):
            return user_id
    return None


def _user_ids(tx: Transaction, lms: str) -> Iterator[str]:
    for statement, given in ((_USER_IDS, {"of_lms": lms}), (_WHO_SUBMITTED, {})):
        for row in tx.all(statement, **given):
            yield row.id


def whose(
    tx: Transaction,
    lms: Lms,
    learner: Learner,
    *,
    names: Collection[str] = (),
    course_id: str | None = None,
) -> Whose:
    """`names`: under which he may be known, beside those that the LMS has told us."""
    if learner.user_id and not learner.obscured_id and lms.obfuscation_key:
        made = obscured_id(lms.obfuscation_key, learner.user_id, lms.backend)
        learner = replace(learner, obscured_id=made)
    ids = {learner.user_id, learner.obscured_id} - {""}
    persons = tx.all(_PERSONS, of_lms=lms.name, ids=sorted(ids))
    known = {name for row in persons for name in (row.email, row.username)}
    known |= {name.strip() for name in names}
    known.discard("")
    return Whose(
        lms=lms.name,
        ids=frozenset(ids | {awaited_id(name) for name in known}),
        names=frozenset(known),
        course_id=course_id,
    )


def attempts_of(tx: Transaction, of: Whose, *, lock: bool = False) -> Sequence[int]:
    """Ids of his attempts, removed ones too."""
    ids = sorted(of.ids)
    statement = (
        select(_A.id)
        .where(_A.lms == of.lms, _A.user_id.in_(ids) | _A.obscured_id.in_(ids))
        .order_by(_A.id)
    )
    if of.course_id is not None:
        statement = statement.where(_A.course_id == of.course_id)
    return [row.id for row in tx.all(statement.with_for_update() if lock else statement)]


def tried(tx: Transaction, of: Whose) -> Sequence[Mapping[str, Any]]:
    """Exams ({exam_id, course_id}) and courses ({course_id}) whose staff have put him among those
    who try an exam."""
    found = []
    for statement, course_id in (
        (select(_E.course_id, _E.id.label("exam_id"), _E.terms), _E.course_id),
        (select(_C.course_id, _C.terms), _C.course_id),
    ):
        lms = course_id.table.c.lms
        wanted = statement.where(lms == of.lms)
        if of.course_id is not None:
            wanted = wanted.where(course_id == of.course_id)
        for row in tx.all(wanted):
            told = dict(row._mapping)
            if not of.ids.isdisjoint(read_terms(told.pop("terms")).staff):
                found.append(told)
    return found
