"""Who signs in elsewhere, and whose account that is here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, insert, select, update

from xqueue_server.storage.engine import NOW, Transaction
from xqueue_server.storage.operations_schema import identities

_C = identities.c
_THIS = (_C.issuer == bindparam("of_issuer"), _C.subject == bindparam("of_subject"))
_FIND = select(_C.account_id).where(*_THIS)
_INSERT = insert(identities).values(created_at=NOW, last_used_at=NOW)
_USED = update(identities).where(*_THIS).values(last_used_at=NOW)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    issuer: str
    subject: str
    created_at: datetime
    last_used_at: datetime | None


_OF_ACCOUNT = (
    select(*[_C[name] for name in Identity.__dataclass_fields__])
    .where(_C.account_id == bindparam("of"))
    .order_by(_C.issuer, _C.subject)
)


def account_of(tx: Transaction, issuer: str, subject: str) -> int | None:
    """The account's id."""
    found: int | None = tx.scalar(_FIND, of_issuer=issuer, of_subject=subject)
    return found


def add(tx: Transaction, issuer: str, subject: str, account_id: int) -> None:
    tx.run(_INSERT, issuer=issuer, subject=subject, account_id=account_id, now=tx.now)


def note_use(tx: Transaction, issuer: str, subject: str) -> None:
    tx.run(_USED, of_issuer=issuer, of_subject=subject, now=tx.now)


def of_account(tx: Transaction, account_id: int) -> Sequence[Identity]:
    return [Identity(**row._mapping) for row in tx.all(_OF_ACCOUNT, of=account_id)]
