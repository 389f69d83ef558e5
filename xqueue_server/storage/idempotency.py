"""Requests that may come again: who has begun one under which key, and what was answered.

Neither keys nor requests are stored, only their hashes. A row without an answer stands for work
that is being done, or that broke off; nobody does it again under the same key.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, delete, select, update

from xqueue_server.instant import micros
from xqueue_server.storage.engine import NOW, ONCE_NOW, Transaction
from xqueue_server.storage.operations_schema import idempotency_keys
from xqueue_server.storage.upsert import Upsert

KEPT_S = 24 * 3600

_C = idempotency_keys.c
_THIS = _C.hash == bindparam("of")
_IS_OLD = _C.began_at <= ONCE_NOW - micros(KEPT_S)
_BEGIN = Upsert(
    idempotency_keys,
    {"hash": bindparam("hash"), "request_hash": bindparam("request_hash"), "began_at": NOW},
    conflict=["hash"],
    change=None,
    returning=(_C.hash,),
)
_FIND = select(_C.request_hash, _C.status, _C.body, _C.location).where(_THIS)
_ANSWER = (
    update(idempotency_keys)
    .where(_THIS)
    .values({name: bindparam(f"the_{name}") for name in ("status", "body", "location")})
)
_FORGET = delete(idempotency_keys).where(_THIS)
_FORGET_THIS_OLD = delete(idempotency_keys).where(_THIS, _IS_OLD)
_FORGET_OLD = delete(idempotency_keys).where(_IS_OLD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    body: bytes
    location: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was begun under a key before."""

    request_hash: bytes
    answer: Answer | None
    """None: it is being done, or it broke off."""


def begin(tx: Transaction, hashed: bytes, request_hash: bytes) -> Known | None:
    """None: it is ours to do, and whoever comes with the key from the commit on is told so.

    `hashed`: of the caller and the key, 32 bytes. Of several at once one begins, the others wait
    for its commit.
    """
    tx.run(_FORGET_THIS_OLD, of=hashed, now=tx.now)
    row = None
    while row is None:  # that one was forgotten just now
        if tx.one(_BEGIN.on(tx), hash=hashed, request_hash=request_hash, now=tx.now):
            return None
        row = tx.one(_FIND, of=hashed)
    answer = (
        None
        if row.status is None
        else Answer(status=row.status, body=row.body, location=row.location)
    )
    return Known(request_hash=row.request_hash, answer=answer)


def finish(tx: Transaction, hashed: bytes, answer: Answer) -> None:
    """Keep the answer for whoever comes with the same key and request."""
    tx.run(
        _ANSWER,
        of=hashed,
        the_status=answer.status,
        the_body=answer.body,
        the_location=answer.location,
    )


def forget(tx: Transaction, hashed: bytes) -> None:
    """Nothing was done: the key is free again."""
    tx.run(_FORGET, of=hashed)


def forget_old(tx: Transaction) -> int:
    """Remove what is older than a day; how many."""
    return tx.run(_FORGET_OLD, now=tx.now)
