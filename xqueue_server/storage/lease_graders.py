"""Which version of a grader was handed out with which lease."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select

from xqueue_server.models.grader import FORGEABLE
from xqueue_server.storage.engine import NOW, Transaction
from xqueue_server.storage.grader_schema import lease_graders
from xqueue_server.storage.upsert import Upsert

_C = lease_graders.c
_FIELDS = ("submission_id", "attempt", "grader", "version", "isolation")
_GIVEN: dict[str, Any] = {name: bindparam(name) for name in _FIELDS}
_RECORD = Upsert(
    lease_graders,
    {"key_hash": bindparam("key_hash"), "at": NOW} | _GIVEN,
    conflict=["key_hash"],
    # A retry of the request whose first answer never left us: what it says now counts.
    change={name: bindparam(name) for name in ("grader", "version", "isolation")},
)
_HANDED_OUT = select(*(_C[name] for name in _FIELDS), _C.at)
_OF_LEASE = _HANDED_OUT.where(_C.key_hash == bindparam("key_hash"))
_OF_SUBMISSION = _HANDED_OUT.where(_C.submission_id == bindparam("of")).order_by(_C.at, _C.attempt)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOut:
    submission_id: int
    attempt: int
    grader: str
    version: int
    """0: a trial's."""
    isolation: str | None
    """None: the default of the host."""
    at: datetime

    @property
    def is_forgeable(self) -> bool:
        return self.isolation == FORGEABLE


def record(
    tx: Transaction,
    *,
    key_hash: bytes,
    submission_id: int,
    attempt: int,
    grader: str,
    version: int,
    isolation: str | None,
) -> None:
    tx.run(
        _RECORD.on(tx),
        key_hash=key_hash,
        submission_id=submission_id,
        attempt=attempt,
        grader=grader,
        version=version,
        isolation=isolation,
        now=tx.now,
    )


def of_lease(tx: Transaction, key_hash: bytes) -> HandedOut | None:
    row = tx.one(_OF_LEASE, key_hash=key_hash)
    return HandedOut(**row._mapping) if row else None


def of_submission(tx: Transaction, submission_id: int) -> Sequence[HandedOut]:
    """Of each attempt that was handed out with a published grader, oldest first."""
    return [HandedOut(**row._mapping) for row in tx.all(_OF_SUBMISSION, of=submission_id)]
