"""What accounts may do on the submissions of one course. Changes are recorded as events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, delete, insert, select

from xqueue_server.errors import Conflict, InvalidRequest
from xqueue_server.models.account import Role
from xqueue_server.storage import accounts, events
from xqueue_server.storage.engine import Transaction
from xqueue_server.storage.operations_schema import course_grants

ROLES = frozenset({Role.VIEWER, Role.OPERATOR, Role.PROCTOR})
MOST_CHARS = 255

_C = course_grants.c
_OF_ACCOUNT = (
    select(_C.role, _C.course).where(_C.account_id == bindparam("of")).order_by(_C.course, _C.role)
)
_ALL = select(_C.account_id, _C.role, _C.course).order_by(_C.course, _C.role)
_INSERT = insert(course_grants)
_REVOKE = delete(course_grants).where(
    _C.account_id == bindparam("of"),
    _C.role == bindparam("of_role"),
    _C.course == bindparam("of_course"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CourseGrant:
    role: Role
    """One of `ROLES`."""
    course: str
    """As in callback URLs, e.g. course-v1:Org+Course+Run."""


def of_account(tx: Transaction, account_id: int) -> Sequence[CourseGrant]:
    return [_grant(row) for row in tx.all(_OF_ACCOUNT, of=account_id)]


def of_all(tx: Transaction) -> Mapping[int, Sequence[CourseGrant]]:
    """By account id; of those that have any."""
    found: dict[int, list[CourseGrant]] = {}
    for row in tx.all(_ALL):
        found.setdefault(row.account_id, []).append(_grant(row))
    return found


def grant(tx: Transaction, name: str, given: CourseGrant, *, actor: str) -> None:
    """Nothing happens if the account has it. Raises: NotFound (account); InvalidRequest."""
    account = accounts.get(tx, name)
    _require_usable(given)
    if given not in of_account(tx, account.id):
        tx.run(_INSERT, account_id=account.id, role=given.role, course=given.course)
        _record(tx, name, given, actor, "granted")


def revoke(tx: Transaction, name: str, taken: CourseGrant, *, actor: str) -> None:
    """Raises: NotFound (account); Conflict: it has no such grant."""
    account = accounts.get(tx, name)
    if not tx.run(_REVOKE, of=account.id, of_role=taken.role, of_course=taken.course):
        raise Conflict(f"Account '{name}' is not {taken.role} on course {taken.course}")
    _record(tx, name, taken, actor, "revoked")


def _require_usable(given: CourseGrant) -> None:
    if given.role not in ROLES:
        raise InvalidRequest(f"On a course a role is one of {', '.join(sorted(ROLES))}")
    course = given.course
    if not 0 < len(course) <= MOST_CHARS or not course.isprintable() or " " in course:
        raise InvalidRequest("A course is written like course-v1:Org+Course+Run")


def _grant(row: Any) -> CourseGrant:
    return CourseGrant(role=Role(row.role), course=row.course)


def _record(tx: Transaction, name: str, grant: CourseGrant, actor: str, why: str) -> None:
    detail = f"{grant.role} on course {grant.course}"
    events.append(tx, subject=f"account {name}", actor=actor, why=why, detail=detail)
