"""Sessions at the proctors' console, as hashes of their secrets. A row gone is a session ended."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import BigInteger, bindparam, delete, insert, select

from xqueue_server.instant import micros
from xqueue_server.storage.engine import NOW, ONCE_NOW, Transaction
from xqueue_server.storage.proctoring_schema import console_sessions

_C = console_sessions.c
_INSERT = insert(console_sessions).values(expires_at=NOW + bindparam("lasts_us", type_=BigInteger))
_FIND = select(
    _C.account_id, _C.credential_version, _C.lms, _C.course_id, _C.who, _C.reviewer
).where(_C.hash == bindparam("of_hash"), _C.expires_at > ONCE_NOW)
_END = delete(console_sessions).where(_C.hash == bindparam("of_hash"))
_END_OF = delete(console_sessions).where(_C.account_id == bindparam("of_account"))
_END_OF_LMS = delete(console_sessions).where(_C.lms == bindparam("of_lms"))
_FORGET = delete(console_sessions).where(_C.expires_at <= ONCE_NOW)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSession:
    """Of an account, whose rights are looked up each time; or of somebody whom an LMS has sent,
    for one course."""

    account_id: int | None = None
    credential_version: int | None = None
    lms: str = ""
    course_id: str = ""
    who: str = ""
    """For the records, without a name."""
    reviewer: str = ""
    """The address by which the LMS knows who reviews."""


def add(tx: Transaction, hashed: bytes, session: ConsoleSession, *, lasts_s: float) -> None:
    """Also removes what has expired, of anybody."""
    tx.run(_FORGET, now=tx.now)
    tx.run(_INSERT, hash=hashed, lasts_us=micros(lasts_s), now=tx.now, **asdict(session))


def find(tx: Transaction, hashed: bytes) -> ConsoleSession | None:
    row = tx.one(_FIND, of_hash=hashed, now=tx.now)
    return ConsoleSession(**row._mapping) if row else None


def end(tx: Transaction, hashed: bytes) -> None:
    tx.run(_END, of_hash=hashed)


def end_of_account(tx: Transaction, account_id: int) -> None:
    tx.run(_END_OF, of_account=account_id)


def end_of_lms(tx: Transaction, lms: str) -> None:
    """Of everybody whom it has sent."""
    tx.run(_END_OF_LMS, of_lms=lms)
