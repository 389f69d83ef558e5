"""The outbox as everyone but the deliverer sees it: adding, cancelling, reading, replaying.

Claiming, sending and finishing is `outbox`, beside this module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    Row,
    Select,
    and_,
    bindparam,
    exists,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy import insert as insert_into

from xqueue_server.errors import Conflict, NotFound
from xqueue_server.models.callback import (
    Callback,
    CallbackKind,
    CallbackState,
    NewCallback,
    read_addressing,
)
from xqueue_server.storage import events
from xqueue_server.storage.engine import NOW, ONCE_NOW, Transaction
from xqueue_server.storage.schema import (
    IS_DEAD,
    IS_PENDING,
    IS_WITHHELD,
    callback_attempts,
    callbacks,
)

REPLAY_BATCH = 500
"""Rows of one replay transaction: a longer one would keep SQLite's other writers waiting."""

_C = callbacks.c
_NEW_FIELDS = tuple(NewCallback.__dataclass_fields__)
TOLD_IN_ORDER = (CallbackKind.LMS, CallbackKind.PROVIDER, CallbackKind.EVENT)
_PENDING, _WITHHELD = CallbackState.PENDING, CallbackState.WITHHELD
_CANCELLED, _DEAD = CallbackState.CANCELLED, CallbackState.DEAD

_ADD = insert_into(callbacks).values(attempt=0, created_at=NOW, retry_from=NOW).returning(_C.id)
_INSERT = {_PENDING: _ADD.values(next_at=NOW), _WITHHELD: _ADD.values(next_at=None)}
_CANCEL = (
    update(callbacks)
    .values(state=_CANCELLED.value, next_at=None, claim_token=None, finished_at=NOW)
    .returning(_C.id, _C.submission_id)
)
# A claim whose time is over (its sender died) counts as not being sent.
_CANCEL_UNSENT = _CANCEL.where(
    IS_PENDING,
    _C.submission_id == bindparam("of"),
    or_(_C.claim_token.is_(None), _C.next_at <= ONCE_NOW),
)
_CANCEL_WITHHELD = _CANCEL.where(IS_WITHHELD, _C.submission_id == bindparam("of"))
_CANCEL_DEAD = _CANCEL.where(IS_DEAD, _C.submission_id == bindparam("of"))
_RELEASE = (
    update(callbacks)
    .where(IS_WITHHELD, _C.submission_id == bindparam("of"))
    .values(state=_PENDING.value, next_at=NOW, retry_from=NOW)
    .returning(_C.id, _C.submission_id, _C.kind, _C.url, _C.body)
)
_REWORD = update(callbacks).where(_C.id == bindparam("of")).values(body=bindparam("new_body"))
_HAS_TAKEN = (
    select(_C.id)
    .where(
        _C.submission_id == bindparam("of"),
        _C.state.in_([_PENDING.value, CallbackState.DELIVERED.value]),
    )
    .limit(1)
)
_CANCEL_IDS = [
    (state, _CANCEL.where(predicate, _C.id.in_(bindparam("ids", expanding=True))))
    for state, predicate in ((_PENDING, IS_PENDING), (_WITHHELD, IS_WITHHELD))
]


# -- adding and cancelling -----------------------------------------------------------------------


def insert(tx: Transaction, new: NewCallback) -> int:
    """Put a message into the outbox, due at once or withheld; returns its id."""
    fields = {name: getattr(new, name) for name in _NEW_FIELDS}
    return int(tx.scalar(_INSERT[new.state], now=tx.now, **fields))


def cancel_unsent(tx: Transaction, submission_id: int, *, actor: str, why: str) -> int:
    """Cancel a submission's pending and withheld callbacks, except one that is being sent right
    now."""
    pending = tx.all(_CANCEL_UNSENT, now=tx.now, of=submission_id)
    withheld = tx.all(_CANCEL_WITHHELD, now=tx.now, of=submission_id)
    return _cancelled(tx, _PENDING, pending, actor, why) + _cancelled(
        tx, _WITHHELD, withheld, actor, why
    )


def cancel_superseded(tx: Transaction, ids: Sequence[int], *, actor: str) -> int:
    """Cancel those of these callbacks that are pending or withheld, even one that is being sent
    right now.

    Its sender then finds it cancelled, and records the attempt but no new state.
    """
    return sum(
        _cancelled(tx, state, tx.all(cancel, now=tx.now, ids=list(ids)), actor, "superseded")
        for state, cancel in (_CANCEL_IDS if ids else ())
    )


def reword(tx: Transaction, callback_id: int, body: str) -> None:
    """What of it is sent from the next try on."""
    tx.run(_REWORD, of=callback_id, new_body=body)


def withdraw(tx: Transaction, submission_id: int, *, actor: str, why: str) -> bool:
    """Cancel what of a submission the LMS has not got, dead callbacks, too: nobody shall replay
    what has been replaced. Returns whether the LMS has got nothing, as far as is known: one that
    is being sent right now counts as taken.
    """
    cancel_unsent(tx, submission_id, actor=actor, why=why)
    for row in tx.all(_CANCEL_DEAD, now=tx.now, of=submission_id):
        state_changed(tx, row.id, row.submission_id, _DEAD, _CANCELLED, actor=actor, why=why)
    return tx.one(_HAS_TAKEN, of=submission_id) is None


def release(
    tx: Transaction,
    submission_id: int,
    *,
    actor: str,
    why: str,
    reword: Callable[[str, str], str] | None = None,
) -> bool:
    """Send what of a submission was withheld; False if nothing was. `reword` makes of a callback's
    URL and a result's body the body that is sent."""
    rows = tx.all(_RELEASE, now=tx.now, of=submission_id)
    for row in rows:
        if reword is not None and row.kind == CallbackKind.RESULT:
            tx.run(_REWORD, of=row.id, new_body=reword(row.url, row.body))
        state_changed(tx, row.id, row.submission_id, _WITHHELD, _PENDING, actor=actor, why=why)
    return bool(rows)


def _cancelled(
    tx: Transaction, before: CallbackState, rows: Sequence[Row[Any]], actor: str, why: str
) -> int:
    for row in rows:
        state_changed(tx, row.id, row.submission_id, before, _CANCELLED, actor=actor, why=why)
    return len(rows)


def state_changed(
    tx: Transaction,
    callback_id: int,
    submission_id: int | None,
    from_state: CallbackState,
    to_state: CallbackState,
    *,
    actor: str,
    why: str,
    detail: str | None = None,
) -> None:
    """Record one change of a callback's state, in the transaction that makes it."""
    events.append(
        tx,
        subject=f"callback {callback_id}",
        submission_id=submission_id,
        from_state=from_state.value,
        to_state=to_state.value,
        actor=actor,
        why=why,
        detail=detail,
    )


# -- reading -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try to send a callback."""

    started_at: datetime
    duration_ms: int
    status: int | None
    """None: no answer came."""
    error: str | None
    response: str | None
    """The first 2 KB of the answer's body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How many callbacks of an origin are in one of the states that want attention."""

    origin: str
    state: CallbackState
    count: int
    oldest_at: datetime


_IN_HEADER = ("recipient", "purpose")
SELECT = select(
    *[_C[name] for name in Callback.__dataclass_fields__ if name not in _IN_HEADER], _C.header
)
"""Rows for `callback_of`."""
_BY_ID = SELECT.where(_C.id == bindparam("of"))
_OF_SUBMISSION = SELECT.where(_C.submission_id == bindparam("of")).order_by(_C.id)
_A = callback_attempts.c
_ATTEMPTS = (
    select(*[_A[name] for name in Attempt.__dataclass_fields__])
    .where(_A.callback_id == bindparam("of"))
    .order_by(_A.id)
)
# Delivered ones are left out on purpose: counting them reads the whole table.
_BACKLOG = [
    select(
        _C.origin,
        literal_column(f"'{state}'").label("state"),
        func.count().label("count"),
        func.min(_C.created_at).label("oldest_at"),
    )
    .where(predicate)
    .group_by(_C.origin)
    .order_by(_C.origin)
    for state, predicate in ((_PENDING, IS_PENDING), (_DEAD, IS_DEAD))
]


def find(tx: Transaction, callback_id: int) -> Callback | None:
    row = tx.one(_BY_ID, of=callback_id)
    return callback_of(row) if row else None


def get(tx: Transaction, callback_id: int) -> Callback:
    """Raises: NotFound."""
    found = find(tx, callback_id)
    if found is None:
        raise NotFound(f"Callback {callback_id} not found")
    return found


def of_submission(tx: Transaction, submission_id: int) -> Sequence[Callback]:
    """A submission's callbacks, oldest first."""
    return [callback_of(row) for row in tx.all(_OF_SUBMISSION, of=submission_id)]


def latest(
    tx: Transaction,
    *,
    state: CallbackState | None = None,
    origin: str | None = None,
    limit: int = 100,
    before: int | None = None,
) -> Sequence[Callback]:
    """Callbacks, newest first; `before` is the id that the previous page ended with."""
    params = {"page": limit, "origin": origin, "before": before}
    given = {name: value for name, value in params.items() if value is not None}
    statement = _latest(state, origin is not None, before is not None)
    return [callback_of(row) for row in tx.all(statement, **given)]


@cache
def _latest(state: CallbackState | None, of_origin: bool, is_paged: bool) -> Select[Any]:
    statement = SELECT.order_by(_C.id.desc()).limit(bindparam("page"))
    if state is not None:  # a literal, so that the partial indexes count
        statement = statement.where(_C.state == literal_column(f"'{state}'"))
    if of_origin:
        statement = statement.where(_C.origin == bindparam("origin"))
    return statement.where(_C.id < bindparam("before")) if is_paged else statement


def attempts_of(tx: Transaction, callback_id: int) -> Sequence[Attempt]:
    """Every try to send it, oldest first."""
    return [Attempt(**row._mapping) for row in tx.all(_ATTEMPTS, of=callback_id)]


def backlog(tx: Transaction) -> Sequence[Backlog]:
    """Pending and dead callbacks, counted per origin."""
    return [
        Backlog(**{**row._mapping, "state": CallbackState(row.state)})
        for statement in _BACKLOG
        for row in tx.all(statement)
    ]


def callback_of(row: Row[Any]) -> Callback:
    fields = dict(row._mapping)
    fields["state"] = CallbackState(fields["state"])
    fields["kind"] = CallbackKind(fields["kind"])
    addressing = read_addressing(fields["kind"], fields.pop("header"))
    if addressing is not None:
        fields |= {name: getattr(addressing, name) for name in _IN_HEADER}
    return Callback(**fields)


# -- replaying -----------------------------------------------------------------------------------

# Attempts begin anew, and with them the schedule; the old ones stay listed.
_REPLAY = (
    update(callbacks)
    .values(
        state=_PENDING.value,
        attempt=0,
        next_at=NOW,
        retry_from=NOW,
        finished_at=None,
        claim_token=None,
    )
    .returning(_C.id, _C.submission_id)
)
_newer = callbacks.alias("newer")
# Of an attempt its LMS and its provider know the newest; told the older one after it, they would go
# back to that. Who has subscribed gets all: each message says which version of it it is about.
_IS_OVERTAKEN = and_(
    _C.kind.in_([kind.value for kind in TOLD_IN_ORDER]),
    exists(
        select(literal_column("1"))
        .select_from(_newer)
        .where(
            _newer.c.attempt_id == _C.attempt_id,
            _newer.c.kind == _C.kind,
            _newer.c.order_key == _C.order_key,
            _newer.c.id > _C.id,
            _newer.c.state == CallbackState.DELIVERED.value,
        )
        .correlate(_C.id.table)
    ),
)
_REPLAY_ONE = _REPLAY.where(IS_DEAD, _C.id == bindparam("of"), ~_IS_OVERTAKEN)
_DEAD_OF_ORIGIN = (
    select(_C.id)
    .where(
        IS_DEAD,
        _C.origin == bindparam("to_origin"),
        _C.finished_at.between(bindparam("since"), bindparam("until")),
        ~_IS_OVERTAKEN,
    )
    .order_by(_C.id)
    .limit(REPLAY_BATCH)
    .with_for_update(skip_locked=True)
)
_REPLAY_ORIGIN = _REPLAY.where(IS_DEAD, _C.id.in_(_DEAD_OF_ORIGIN))
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def replay(tx: Transaction, callback_id: int, *, actor: str) -> None:
    """Send a dead callback again.

    Raises:
        NotFound
        Conflict: it is not dead, or has been overtaken (see `_IS_OVERTAKEN`).
    """
    rows = tx.all(_REPLAY_ONE, now=tx.now, of=callback_id)
    if not rows:
        state = get(tx, callback_id).state
        if state is CallbackState.DEAD:
            raise Conflict(
                f"Callback {callback_id} has been overtaken: its recipient was told something "
                "newer of the same attempt since"
            )
        raise Conflict(f"Callback {callback_id} is {state}; only a dead one can be replayed")
    _replayed(tx, rows, actor)


def replay_origin(
    tx: Transaction, origin: str, *, actor: str, since: datetime | None, until: datetime
) -> int:
    """Send an origin's callbacks that died between these moments again, oldest first.

    At most `REPLAY_BATCH` in one transaction: `delivery.replay_origin` repeats until done.
    """
    rows = tx.all(_REPLAY_ORIGIN, now=tx.now, to_origin=origin, since=since or _EPOCH, until=until)
    return _replayed(tx, rows, actor)


def _replayed(tx: Transaction, rows: Sequence[Row[Any]], actor: str) -> int:
    for row in rows:
        state_changed(tx, row.id, row.submission_id, _DEAD, _PENDING, actor=actor, why="replayed")
    return len(rows)
