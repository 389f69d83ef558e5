"""API tokens as hashes, and the account that one stands for now."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, or_, select, update

from xqueue_server.errors import Conflict, NotFound
from xqueue_server.instant import micros
from xqueue_server.models.account import Account, Grant, Role
from xqueue_server.models.api_token import ApiToken, narrowed
from xqueue_server.storage import accounts, events
from xqueue_server.storage.engine import NOW, ONCE_NOW, Transaction
from xqueue_server.storage.grader_schema import api_tokens, token_scopes
from xqueue_server.storage.schema import accounts as accounts_table

USE_NOTED_EVERY_S = 60

_T, _S = api_tokens.c, token_scopes.c
_INSERT = insert(api_tokens).values(created_at=NOW).returning(_T.id)
_INSERT_SCOPE = insert(token_scopes)
_IS_GOOD = (_T.revoked_at.is_(None), _T.expires_at > ONCE_NOW)
_BY_HASH = (
    select(_T.id, _T.account_id, _S.role, _S.queue)
    .join(token_scopes, _S.token_id == _T.id)
    .where(_T.hash == bindparam("of_hash"), *_IS_GOOD)
)
_USED = (
    update(api_tokens)
    .where(
        _T.id == bindparam("of"),
        or_(_T.last_used_at.is_(None), _T.last_used_at <= ONCE_NOW - micros(USE_NOTED_EVERY_S)),
    )
    .values(last_used_at=NOW)
)
_NEEDS_NOTE = select(_T.id).where(
    _T.id == bindparam("of"),
    or_(_T.last_used_at.is_(None), _T.last_used_at <= ONCE_NOW - micros(USE_NOTED_EVERY_S)),
)
_ALL = (
    select(
        _T.id,
        accounts_table.c.name.label("account"),
        _T.created_at,
        _T.created_by,
        _T.expires_at,
        _T.last_used_at,
        _T.revoked_at,
        _S.role,
        _S.queue,
    )
    .select_from(api_tokens)
    .join(accounts_table, accounts_table.c.id == _T.account_id)
    .join(token_scopes, _S.token_id == _T.id)
    .order_by(_T.id, _S.role, _S.queue)
)
_REVOKE = (
    update(api_tokens)
    .where(_T.id == bindparam("of"), _T.revoked_at.is_(None))
    .values(revoked_at=NOW)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenHolder:
    """An account as far as one of its tokens allows."""

    token_id: int
    account: Account


def holder(tx: Transaction, hashed: bytes) -> TokenHolder | None:
    """Who acts with this token now; None if it does not count (any more)."""
    rows = tx.all(_BY_HASH, of_hash=hashed, now=tx.now)
    account = accounts.by_id(tx, rows[0].account_id) if rows else None
    if account is None or not account.active:
        return None
    scopes = tuple(Grant(role=Role(row.role), queue=row.queue) for row in rows)
    return TokenHolder(
        token_id=rows[0].id, account=replace(account, grants=narrowed(account, scopes))
    )


def use_is_to_be_noted(tx: Transaction, token_id: int) -> bool:
    return tx.one(_NEEDS_NOTE, of=token_id, now=tx.now) is not None


def note_use(tx: Transaction, token_id: int) -> None:
    tx.run(_USED, of=token_id, now=tx.now)


def add(
    tx: Transaction,
    account_name: str,
    scopes: Collection[Grant],
    *,
    hashed: bytes,
    expires_at: datetime,
    actor: str,
) -> int:
    """Keep a new token's hash; returns its id.

    Raises:
        NotFound: no such account.
        Conflict: the account may not do itself what the token should allow.
    """
    account = accounts.get(tx, account_name)
    for scope in scopes:
        if scope not in narrowed(account, (scope,)):
            raise Conflict(
                f"Account '{account_name}' is not {scope.role} on {scope.queue} itself; first: "
                f"xqueue-server account grant {account_name} --role {scope.role} "
                f"--queue {scope.queue}"
            )
    token_id = int(
        tx.scalar(
            _INSERT,
            hash=hashed,
            account_id=account.id,
            expires_at=expires_at,
            created_by=actor,
            now=tx.now,
        )
    )
    rows = [{"token_id": token_id, "role": s.role, "queue": s.queue} for s in set(scopes)]
    tx.run_many(_INSERT_SCOPE, rows)
    described = ", ".join(sorted(f"{s.role} on {s.queue}" for s in scopes))
    _record(tx, account_name, actor, "token created", f"token {token_id}: {described}")
    return token_id


def all_tokens(tx: Transaction) -> Sequence[ApiToken]:
    """Every token, the oldest first."""
    found: dict[int, list[Any]] = {}
    for row in tx.all(_ALL):
        found.setdefault(row.id, []).append(row)
    return [_token(rows) for rows in found.values()]


def revoke(tx: Transaction, token_id: int, *, actor: str) -> None:
    """Refuse a token from now on. Raises: NotFound; Conflict if it was revoked before."""
    token = next((t for t in all_tokens(tx) if t.id == token_id), None)
    if token is None:
        raise NotFound(f"Token {token_id} not found")
    if not tx.run(_REVOKE, of=token_id, now=tx.now):
        raise Conflict(f"Token {token_id} was revoked before")
    _record(tx, token.account, actor, "token revoked", f"token {token_id}")


def _token(rows: list[Any]) -> ApiToken:
    first = rows[0]
    return ApiToken(
        id=first.id,
        account=first.account,
        scopes=tuple(Grant(role=Role(row.role), queue=row.queue) for row in rows),
        created_at=first.created_at,
        created_by=first.created_by,
        expires_at=first.expires_at,
        last_used_at=first.last_used_at,
        revoked_at=first.revoked_at,
    )


def _record(tx: Transaction, account: str, actor: str, why: str, detail: str) -> None:
    events.append(tx, subject=f"account {account}", actor=actor, why=why, detail=detail)
