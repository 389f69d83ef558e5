"""Accounts and their grants. Every change is recorded as an event in the same transaction.

Names are unique and never reused for another identity by accident: ids are not given twice, so a
session of a removed account can not come to life again with a new account.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import groupby

from sqlalchemy import Row, bindparam, delete, insert, select, update

from xqueue_server.errors import Conflict, InvalidRequest, NotFound
from xqueue_server.models.account import ALL_QUEUES, QUEUE_ROLES, Account, Grant, Role
from xqueue_server.storage import events, queues
from xqueue_server.storage.engine import NOW, Transaction
from xqueue_server.storage.schema import accounts, grants

NAME = re.compile(r"[\w.@+-]{1,128}")
"""What Django allows as a user name, so that accounts of the reference server can be imported."""
EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
LONGEST_EMAIL = 254
WIRE_ROLES = frozenset({Role.LMS, Role.GRADER})

_FIELDS = ("id", "name", "password_hash", "credential_version", "active", "email")
# The account with its grants in one statement: every authenticated request runs one of these.
_SELECT = select(*[accounts.c[f] for f in _FIELDS], grants.c.role, grants.c.queue).select_from(
    accounts.outerjoin(grants, grants.c.account_id == accounts.c.id)
)
_BY_ID = _SELECT.where(accounts.c.id == bindparam("of_id"))
_BY_NAME = _SELECT.where(accounts.c.name == bindparam("of_name"))
_ALL = _SELECT.order_by(accounts.c.name, grants.c.role, grants.c.queue)
_INSERT = insert(accounts).values(active=True, credential_version=1, created_at=NOW)
_SET_PASSWORD = (
    update(accounts)
    .where(accounts.c.id == bindparam("of_id"))
    .values(
        password_hash=bindparam("new_hash"),
        credential_version=accounts.c.credential_version + 1,
    )
)
_SET_ACTIVE = (
    update(accounts)
    .where(accounts.c.id == bindparam("of_id"), accounts.c.active != bindparam("now_active"))
    .values(
        active=bindparam("now_active"),
        credential_version=accounts.c.credential_version + 1,
    )
)
_SET_EMAIL = (
    update(accounts).where(accounts.c.id == bindparam("of_id")).values(email=bindparam("new_email"))
)
_REHASH = (
    update(accounts)
    .where(accounts.c.id == bindparam("of_id"), accounts.c.password_hash == bindparam("old_hash"))
    .values(password_hash=bindparam("new_hash"))
)
_REMOVE = delete(accounts).where(accounts.c.id == bindparam("of_id"))
_GRANT = insert(grants)
_REVOKE = delete(grants).where(
    grants.c.account_id == bindparam("of_id"),
    grants.c.role == bindparam("of_role"),
    grants.c.queue == bindparam("of_queue"),
)


def by_id(tx: Transaction, account_id: int) -> Account | None:
    return _one_of(tx.all(_BY_ID, of_id=account_id))


def by_name(tx: Transaction, name: str) -> Account | None:
    """The account, whatever text a client gave as its name."""
    if not NAME.fullmatch(name):  # a NUL, for one, would be an error of the database
        return None
    return _one_of(tx.all(_BY_NAME, of_name=name))


def get(tx: Transaction, name: str) -> Account:
    """Raises: NotFound."""
    account = by_name(tx, name)
    if account is None:
        raise NotFound(f"Account '{name}' not found")
    return account


def all_accounts(tx: Transaction) -> Sequence[Account]:
    """Every account, by name."""
    rows = tx.all(_ALL)
    return [_account(list(of_one)) for _, of_one in groupby(rows, key=lambda row: row.id)]


def valid_queue_names(tx: Transaction, account: Account) -> list[str]:
    """The existing queues on which this account may do anything at all over the wire, sorted."""
    return [q.name for q in queues.all_queues(tx) if account.may(WIRE_ROLES, q.name)]


def add(
    tx: Transaction,
    *,
    name: str,
    password_hash: str,
    grants: Collection[Grant],
    actor: str,
    email: str | None = None,
) -> Account:
    """A new active account.

    Raises:
        InvalidRequest: the name, or the e-mail address, can not be used.
        Conflict: the name is taken.
        NotFound: a grant is for a queue that does not exist.
    """
    if not NAME.fullmatch(name):
        raise InvalidRequest(
            f"{name!r} can not be an account's name: up to 128 letters, digits and . @ + - _"
        )
    if by_name(tx, name):
        raise Conflict(f"Account '{name}' exists already")
    _require_queues(tx, grants)
    tx.run(_INSERT, now=tx.now, name=name, password_hash=password_hash)
    account = get(tx, name)
    _insert_grants(tx, account, grants)
    _record(tx, account, actor, "added", _described(grants))
    if email is not None:
        set_email(tx, name, email, actor=actor)
    return get(tx, name)


def grant(tx: Transaction, name: str, grants: Collection[Grant], *, actor: str) -> None:
    """Give what the account does not have yet. Raises: NotFound (account or queue)."""
    account = get(tx, name)
    _require_queues(tx, grants)
    missing = set(grants) - set(account.grants)
    if missing:
        _insert_grants(tx, account, missing)
        _record(tx, account, actor, "granted", _described(missing))


def revoke(tx: Transaction, name: str, grants: Collection[Grant], *, actor: str) -> None:
    """Take exactly these grants back. It counts from the account's next request on.

    Raises:
        NotFound: no such account.
        Conflict: one of the grants is not there, so that nobody believes to have taken away
            what a grant for all queues still gives.
    """
    account = get(tx, name)
    absent = set(grants) - set(account.grants)
    if absent:
        raise Conflict(
            f"Account '{name}' has no grant {_described(absent)}; "
            f"it has {_described(account.grants) or 'none'}"
        )
    for taken in set(grants):
        tx.run(_REVOKE, of_id=account.id, of_role=taken.role, of_queue=taken.queue)
    _record(tx, account, actor, "revoked", _described(grants))


def set_password(tx: Transaction, name: str, password_hash: str, *, actor: str) -> None:
    """Also ends every session of the account. Raises: NotFound."""
    account = get(tx, name)
    tx.run(_SET_PASSWORD, of_id=account.id, new_hash=password_hash)
    _record(tx, account, actor, "password set")


def is_email(text: str) -> bool:
    """Whether an account can have it as its address: one @, nothing that can not be printed."""
    fits = len(text) <= LONGEST_EMAIL and text.isprintable()
    return fits and EMAIL.fullmatch(text) is not None


def set_email(tx: Transaction, name: str, email: str | None, *, actor: str) -> None:
    """None takes it away. That it was changed is recorded, the address is not: records stay.

    Raises:
        NotFound: no such account.
        InvalidRequest: it is no e-mail address.
    """
    if email is not None and not is_email(email):
        raise InvalidRequest(
            f"That is no e-mail address: like jane@example.org, {LONGEST_EMAIL} characters at most"
        )
    account = get(tx, name)
    if account.email != email:
        tx.run(_SET_EMAIL, of_id=account.id, new_email=email)
        _record(tx, account, actor, "e-mail set" if email else "e-mail removed")


def rehash(tx: Transaction, account: Account, password_hash: str, *, actor: str) -> bool:
    """Store the same password under a better hash; sessions live on.

    Returns False, and does nothing, if somebody changed the password in the meantime.
    """
    done = tx.run(_REHASH, of_id=account.id, old_hash=account.password_hash, new_hash=password_hash)
    if done:
        _record(tx, account, actor, "password rehashed")
    return bool(done)


def set_active(tx: Transaction, name: str, active: bool, *, actor: str) -> None:
    """Enable or disable; a change also ends every session of the account. Raises: NotFound."""
    account = get(tx, name)
    if tx.run(_SET_ACTIVE, of_id=account.id, now_active=active):
        _record(tx, account, actor, "enabled" if active else "disabled")


def remove(tx: Transaction, name: str, *, actor: str) -> None:
    """Raises: NotFound."""
    account = get(tx, name)
    tx.run(_REMOVE, of_id=account.id)  # its grants go by ON DELETE CASCADE
    _record(tx, account, actor, "removed")


def _one_of(rows: Sequence[Row[tuple[object, ...]]]) -> Account | None:
    return _account(rows) if rows else None


def _account(rows: Sequence[Row[tuple[object, ...]]]) -> Account:
    """One account from its rows: one for each grant, or a single one without a grant."""
    first = rows[0]
    return Account(
        id=first.id,
        name=first.name,
        password_hash=first.password_hash,
        credential_version=first.credential_version,
        active=first.active,
        email=first.email,
        grants=tuple(Grant(role=Role(r.role), queue=r.queue) for r in rows if r.role is not None),
    )


def _insert_grants(tx: Transaction, account: Account, given: Collection[Grant]) -> None:
    rows = [{"account_id": account.id, "role": g.role, "queue": g.queue} for g in set(given)]
    tx.run_many(_GRANT, rows)


def _require_queues(tx: Transaction, wanted: Collection[Grant]) -> None:
    if not {grant.role for grant in wanted} <= set(QUEUE_ROLES):
        raise InvalidRequest("proctor is a role on courses, not on queues")
    existing = {q.name for q in queues.all_queues(tx)}
    unknown = sorted({g.queue for g in wanted} - existing - {ALL_QUEUES})
    if unknown:
        raise NotFound(
            f"Queue '{unknown[0]}' not found; there are: {', '.join(sorted(existing)) or 'none'}"
        )


def _described(described: Collection[Grant]) -> str:
    return ", ".join(sorted(f"{g.role} on {g.queue}" for g in described))


def _record(
    tx: Transaction, account: Account, actor: str, why: str, detail: str | None = None
) -> None:
    events.append(
        tx, subject=f"account {account.name}", actor=actor, why=why, detail=detail or None
    )
