"""Checks the histories of attempts: whether anybody has edited one in the database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from proctoring_hooks.attempt import Learner
from proctoring_hooks.history import ERASE, LEARNER, first_flaw, learner_digest
from proctoring_hooks.store import NotFound
from xqueue_server.storage.proctoring import ProctoringStore, browsing
from xqueue_server.storage.proctoring.browsing import Chain

TOLD = {
    "exam_id": None,
    "started_at": None,
    "expires_at": None,
    "completed_at": None,
    "was_submitted": False,
    "is_judged_by_a_person": False,
    "mark_factor": 1.0,
}
"""What of an attempt its history tells with each change, and what it is before the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    attempt_id: int
    rows: int
    flaw: str | None
    """In words, with the row; None: nobody has edited it."""


def check_all(store: ProctoringStore) -> Iterator[Checked]:
    """Of every attempt, removed ones too, a batch in memory at a time. What seems to be wrong is
    looked at again: attempts go on meanwhile."""
    after = 0
    while True:
        with store.read() as session:
            batch = [_checked(store, chain) for chain in browsing.chains(session.tx, after=after)]
        if not batch:
            return
        for each in batch:
            with suppress(NotFound):  # it was old, and is gone
                yield each if each.flaw is None else check_one(store, each.attempt_id)
        after = batch[-1].attempt_id


def check_one(store: ProctoringStore, attempt_id: int) -> Checked:
    """Raises: NotFound."""
    with store.write() as session:
        chain = browsing.chain_of(session.tx, attempt_id)
    if chain is None:
        raise NotFound(f"No attempt {attempt_id}")
    return _checked(store, chain)


def _checked(store: ProctoringStore, chain: Chain) -> Checked:
    attempt = chain.attempt
    flaw = first_flaw(
        store.history_key, chain.rows, head=attempt.history_head, version=attempt.version
    )
    flaw = flaw or _contradiction(chain) or _stranger(store.history_key, chain)
    return Checked(attempt_id=attempt.id, rows=len(chain.rows), flaw=flaw)


def _stranger(key: bytes, chain: Chain) -> str | None:
    """Where the attempt is another learner's than its history says, or nobody's without a word."""
    of = chain.attempt
    if any(row.change.action == ERASE for row in chain.rows):
        return "it was erased, but has a learner" if of.learner != Learner() else None
    told = json.loads(chain.rows[0].change.facts).get(LEARNER)
    made = learner_digest(key, of.lms, of.learner.user_id, of.learner.obscured_id)
    return "its learner is not the one of row 1" if told != made else None


def _contradiction(chain: Chain) -> str | None:
    """Where a sound history and the attempt tell different things."""
    last = chain.rows[-1].change
    status = "removed" if chain.is_removed else chain.attempt.status.value
    if last.after != status:
        return f"its status is {status}, but row {last.version} made it {last.after}"
    told: dict[str, tuple[int, Any]] = {name: (1, value) for name, value in TOLD.items()}
    for row in chain.rows:
        facts = json.loads(row.change.facts)
        told |= {name: (row.change.version, facts[name]) for name in TOLD if name in facts}
    for name, (version, value) in told.items():
        now = getattr(chain.attempt, name)
        if (now.isoformat() if isinstance(now, datetime) else now) != value:
            return f"its {name} is {now}, but row {version} made it {value}"
    return None
