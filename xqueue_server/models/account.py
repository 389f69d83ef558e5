"""Accounts of LMSes, graders and operators, and what each may do on which queue."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

ALL_QUEUES = "*"
"""A grant for every queue, those added later included."""


class Role(StrEnum):
    LMS = "lms"
    """May submit and ask for the queue length."""
    GRADER = "grader"
    """May ask for the queue length, lease, renew, report and answer."""
    VIEWER = "viewer"
    """May see, and change nothing. This and the following are not roles of the wire protocol."""
    AUTHOR = "author"
    """May publish graders and see their faults."""
    OPERATOR = "operator"
    """May see and repair."""
    ADMIN = "admin"
    """May do everything, accounts, tokens and workers included."""
    PROCTOR = "proctor"
    """May see, act on and judge attempts at exams. Granted on courses alone."""


QUEUE_ROLES = tuple(role for role in Role if role is not Role.PROCTOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    role: Role
    queue: str
    """A queue's name, or `ALL_QUEUES`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    id: int
    name: str
    password_hash: str
    credential_version: int
    """Raised by every change of password or activity; a session names the one it was made for."""
    active: bool
    grants: tuple[Grant, ...]
    email: str | None = field(default=None, repr=False)
    """By which an LMS knows the person."""

    def may(self, roles: frozenset[Role], queue: str) -> bool:
        """Whether any of `roles` is granted on `queue`. Denied unless granted."""
        return any(g.role in roles and g.queue in (queue, ALL_QUEUES) for g in self.grants)
