"""Sessions of the admin pages, as hashes of their secrets. A row gone is a session ended."""

from __future__ import annotations

from sqlalchemy import BigInteger, bindparam, delete, insert, select

from xqueue_server.instant import micros
from xqueue_server.storage.engine import NOW, ONCE_NOW, Transaction
from xqueue_server.storage.operations_schema import admin_sessions

_C = admin_sessions.c
_INSERT = insert(admin_sessions).values(
    expires_at=NOW + bindparam("lasts_us", type_=BigInteger), created_at=NOW
)
_FIND = select(_C.account_id, _C.credential_version).where(
    _C.hash == bindparam("of_hash"), _C.expires_at > ONCE_NOW
)
_END = delete(admin_sessions).where(_C.hash == bindparam("of_hash"))
_END_ALL = delete(admin_sessions).where(_C.account_id == bindparam("of"))
_FORGET = delete(admin_sessions).where(_C.expires_at <= ONCE_NOW)


def add(
    tx: Transaction, hashed: bytes, *, account_id: int, credential_version: int, lasts_s: float
) -> None:
    """Also removes what has expired, of anybody."""
    tx.run(_FORGET, now=tx.now)
    tx.run(
        _INSERT,
        hash=hashed,
        account_id=account_id,
        credential_version=credential_version,
        lasts_us=micros(lasts_s),
        now=tx.now,
    )


def find(tx: Transaction, hashed: bytes) -> tuple[int, int] | None:
    """Account id and the version of the credentials that it was made for."""
    row = tx.one(_FIND, of_hash=hashed, now=tx.now)
    return (row.account_id, row.credential_version) if row else None


def end(tx: Transaction, hashed: bytes) -> None:
    tx.run(_END, of_hash=hashed)


def end_all(tx: Transaction, account_id: int) -> int:
    return tx.run(_END_ALL, of=account_id)
