"""Which queues and courses an account may see and repair. Denied unless granted.

A grant is for a queue (or all) or, for viewers, operators and proctors, for one course on whatever
queue. Exams belong to courses, so of what is granted on queues only that for all of them counts.
What is outside of an account's scope does not exist for it.
"""

from __future__ import annotations

from xqueue_server.models.account import ALL_QUEUES, Account, Role
from xqueue_server.models.scope import EVERYTHING, Scope
from xqueue_server.storage import Transaction, course_grants

SEE = frozenset({Role.VIEWER, Role.OPERATOR, Role.ADMIN})
"""Submissions, callbacks, load, workers."""
SEE_GRADERS = SEE | {Role.AUTHOR}
"""Graders and their faults."""
REPAIR = frozenset({Role.OPERATOR, Role.ADMIN})
PUBLISH = REPAIR | {Role.AUTHOR}
"""Choosing which version of a grader is used."""
ADMINISTER = frozenset({Role.ADMIN})
SEE_EXAMS = SEE | {Role.PROCTOR}
"""Exams and their attempts; names of learners only with `JUDGE`."""
JUDGE = REPAIR | {Role.PROCTOR}
"""Acting on attempts, and judging them."""


def scope_of(tx: Transaction, account: Account, roles: frozenset[Role]) -> Scope:
    """Where any of `roles` is granted."""
    queues = {grant.queue for grant in account.grants if grant.role in roles}
    if ALL_QUEUES in queues:
        return EVERYTHING
    courses = {g.course for g in course_grants.of_account(tx, account.id) if g.role in roles}
    return Scope(queues=frozenset(queues), courses=frozenset(courses))


def is_granted_everywhere(account: Account, roles: frozenset[Role]) -> bool:
    """For what belongs to no queue: accounts, tokens, hosts."""
    return account.may(roles, ALL_QUEUES)
