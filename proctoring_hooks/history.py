"""The history of an attempt: one row for each change, chained so that nobody can edit it unseen.

Each row's digest covers the row and the head before it, keyed with a secret of this server: who
can write to the database but has not that secret can not make a chain that holds. The head is made
with the same secret from the newest row's digest, and kept by the attempt alone, over the one
before. So rows missing at the end are seen, too, even where the attempt was put back to what it was
before them; but not where somebody puts back a copy of all that he made of it at that time.

Whose attempt it is and what a person wrote as a reason are covered by keyed digests only, so that
both can be erased, and nobody without the key can try out what they were. An erasure is a row of
its own (see `ERASE`, `FORGET`): what is gone without one has been tampered with.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

NO_HEAD = b""
"""Before an attempt's first row."""
ERASE = "erase"
"""The action of the row by which an attempt became nobody's: its learner and all reasons before."""
FORGET = "forget"
"""The same of old reasons alone."""
LEARNER = "learner"
"""Among the facts of the first row: `learner_digest`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One row. Instants are aware and exact to the microsecond."""

    attempt_id: int
    version: int
    """Of the attempt after it, from 1."""
    at: datetime
    actor: str
    """The kind of actor (see `transitions`), or "staff", …"""
    who: str
    """The account or LMS that did it; never a learner's name."""
    action: str
    before: str
    """A status; "" at the beginning."""
    after: str
    """A status, or "removed"."""
    request_id: str
    facts: str
    """JSON of what else was changed: {"expires_at": …}."""
    reason_digest: str = ""
    """HMAC-SHA256 in hex of the reason (see `row_of`); "" if none was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    change: Change
    reason: str | None = field(repr=False)
    """None: none was given, or it has been erased."""
    digest: bytes
    head: bytes = b""
    """What the attempt keeps while this is its newest row. It is not stored with the row."""


def row_of(key: bytes, head: bytes, change: Change, reason: str | None) -> Row:
    """The row that follows on a head."""
    change = replace(change, reason_digest=reason_digest(key, change, reason))
    digest = digest_of(key, head, change)
    return Row(change=change, reason=reason, digest=digest, head=head_of(key, digest))


def reason_digest(key: bytes, change: Change, reason: str | None) -> str:
    """Of this row alone: the same words in another have another digest."""
    return _keyed(key, "reason", change.attempt_id, change.version, reason) if reason else ""


def learner_digest(key: bytes, lms: str, user_id: str, obscured_id: str) -> str:
    return _keyed(key, "learner", lms, user_id, obscured_id)


def _keyed(key: bytes, *said: str | int) -> str:
    return hmac.new(key, json.dumps(said).encode(), hashlib.sha256).hexdigest()


def head_of(key: bytes, digest: bytes) -> bytes:
    """32 bytes; of a row's digest, which can be read, nobody makes them without the key."""
    return hmac.new(key, b"head" + digest, hashlib.sha256).digest()


def digest_of(key: bytes, head: bytes, change: Change) -> bytes:
    """32 bytes."""
    fields = [
        change.attempt_id,
        change.version,
        change.at.isoformat(),
        change.actor,
        change.who,
        change.action,
        change.before,
        change.after,
        change.request_id,
        change.facts,
        change.reason_digest,
    ]
    return hmac.new(key, head + json.dumps(fields).encode(), hashlib.sha256).digest()


def first_flaw(key: bytes, rows: Sequence[Row], *, head: bytes, version: int) -> str | None:
    """What is wrong with an attempt's rows (oldest first), in words; None: the chain holds."""
    reached = NO_HEAD
    erased_until = max((r.change.version for r in rows if is_forgetting(r.change)), default=0)
    for expected, row in enumerate(rows, start=1):
        if row.change.version != expected:
            return f"row {expected} is missing"
        if not hmac.compare_digest(row.digest, digest_of(key, reached, row.change)):
            return f"row {expected} was changed"
        if (flaw := _flaw_of_reason(key, row, erased_until)) is not None:
            return f"the reason of row {expected} was {flaw}"
        reached = head_of(key, row.digest)
    if len(rows) != version or not hmac.compare_digest(reached, head):
        return f"rows after {len(rows)} are missing, or the attempt was changed without one"
    return None


def _flaw_of_reason(key: bytes, row: Row, erased_until: int) -> str | None:
    change = row.change
    if row.reason is not None:
        is_right = reason_digest(key, change, row.reason) == change.reason_digest
        return None if is_right else "changed"
    was_given = change.reason_digest != ""
    return "removed" if was_given and change.version > erased_until else None


def is_forgetting(change: Change) -> bool:
    """It took away the reasons of all rows before it."""
    return change.action in (ERASE, FORGET)
