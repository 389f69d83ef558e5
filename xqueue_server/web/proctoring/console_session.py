"""Who is at the console: a session of its own, shorter than that of the admin pages.

People with an account come from the admin pages, where they sign in; what they may is looked up
with every request. Instructors are sent by their LMS, need no account, and may act in the one
course that the LMS vouched for.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field

from flask import Request, Response

from xqueue_server.accounts.access import JUDGE, REPAIR, SEE_EXAMS, scope_of
from xqueue_server.models.account import Account
from xqueue_server.models.scope import Scope
from xqueue_server.settings import Settings
from xqueue_server.storage import Storage, Transaction, accounts
from xqueue_server.storage.proctoring import console_sessions
from xqueue_server.storage.proctoring.console_sessions import ConsoleSession
from xqueue_server.web.admin.security import is_https
from xqueue_server.web.proctoring.paths import CONSOLE

COOKIE = "xqueue_console"
ACCOUNT_LASTS_S = 8 * 3600
INSTRUCTOR_LASTS_S = 4 * 3600
"""As long as an exam; the LMS's link opens another."""
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proctor:
    """Somebody at the console."""

    who: str
    """For records: never a learner's name."""
    shown: str
    """To himself."""
    reviewer: str
    """For reviews."""
    email: str = field(repr=False)
    """By which an LMS knows who reviews; "": not known."""
    secret: str = field(repr=False)
    sees: Scope
    judges: Scope
    removes: Scope
    """Attempts, which is more than to judge them: their learners begin anew."""
    lms: str = ""
    """Only there, and only `course_id`; "": wherever the scopes say."""
    course_id: str = ""

    def may_see(self, lms: str, course_id: str) -> bool:
        return self._is_in(self.sees, lms, course_id)

    def may_judge(self, lms: str, course_id: str) -> bool:
        return self._is_in(self.judges, lms, course_id)

    def may_remove(self, lms: str, course_id: str) -> bool:
        return self._is_in(self.removes, lms, course_id)

    def _is_in(self, scope: Scope, lms: str, course_id: str) -> bool:
        return self.lms in ("", lms) and (scope.is_everything or course_id in scope.courses)

    @property
    def has_account(self) -> bool:
        """Of this server; else an LMS has sent him."""
        return not self.lms

    @property
    def holder(self) -> str:
        """Of the streams of this session."""
        return hashlib.sha256(f"stream {self.secret}".encode()).hexdigest()[:16]


def begin_for_account(storage: Storage, account: Account) -> str:
    """The cookie of a new session."""
    session = ConsoleSession(account_id=account.id, credential_version=account.credential_version)
    return _begun(storage, session, ACCOUNT_LASTS_S)


def begin_for_instructor(
    storage: Storage, *, lms: str, course_id: str, obscured_id: str, email: str
) -> str:
    """The cookie of a new session."""
    who = f"instructor {obscured_id[:64]} of {lms}"
    session = ConsoleSession(lms=lms, course_id=course_id, who=who, reviewer=email)
    return _begun(storage, session, INSTRUCTOR_LASTS_S)


def _begun(storage: Storage, session: ConsoleSession, lasts_s: float) -> str:
    secret = secrets.token_urlsafe(32)
    with storage.write() as tx:
        console_sessions.add(tx, _hash(secret), session, lasts_s=lasts_s)
    return secret


def proctor_of(tx: Transaction, request: Request) -> Proctor | None:
    """None: the session has ended, or there was none."""
    secret = request.cookies.get(COOKIE, "")
    found = console_sessions.find(tx, _hash(secret)) if _SECRET.fullmatch(secret) else None
    if found is None:
        return None
    if found.account_id is None:
        return _instructor(found, secret)
    account = accounts.by_id(tx, found.account_id)
    if account is None or not account.active:
        return None
    if account.credential_version != found.credential_version:
        return None
    return Proctor(
        who=f"account {account.name}",
        shown=account.name,
        reviewer=account.name,
        email=account.email or "",
        secret=secret,
        sees=scope_of(tx, account, SEE_EXAMS),
        judges=scope_of(tx, account, JUDGE),
        removes=scope_of(tx, account, REPAIR),
    )


def _instructor(found: ConsoleSession, secret: str) -> Proctor:
    course = Scope(courses=frozenset({found.course_id}))
    return Proctor(
        who=found.who,
        shown=found.reviewer or "Course staff",
        reviewer=found.who,
        email=found.reviewer,
        secret=secret,
        sees=course,
        judges=course,
        removes=course,
        lms=found.lms,
        course_id=found.course_id,
    )


def end(storage: Storage, request: Request) -> None:
    with storage.write() as tx:
        console_sessions.end(tx, _hash(request.cookies.get(COOKIE, "")))


def set_cookie(response: Response, request: Request, settings: Settings, secret: str) -> None:
    """Until the browser is closed; the stored session ends by itself."""
    response.set_cookie(
        COOKIE,
        secret,
        path=CONSOLE,
        httponly=True,
        samesite="Lax",
        secure=is_https(request, settings),
    )


def drop_cookie(response: Response) -> None:
    response.delete_cookie(COOKIE, path=CONSOLE, httponly=True, samesite="Lax")


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
