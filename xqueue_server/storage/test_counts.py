"""How often each test of a grader's version ended how. Nothing of what learners wrote."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import bindparam, select

from xqueue_server.models.grader import MAX_TESTS
from xqueue_server.storage.engine import Transaction
from xqueue_server.storage.grader_schema import test_counts
from xqueue_server.storage.upsert import Upsert

_C = test_counts.c
_FIELDS = ("queue", "grader", "version", "test_id", "status")
_ADD = Upsert(
    test_counts,
    {name: bindparam(name) for name in _FIELDS} | {"count": 1},
    conflict=_FIELDS,
    change={"count": _C["count"] + 1},
)
_OF_VERSION = (
    select(_C.test_id, _C.status, _C["count"].label("times"))
    .where(
        _C.queue == bindparam("of_queue"),
        _C.grader == bindparam("of_grader"),
        _C.version == bindparam("of_version"),
    )
    .order_by(_C.test_id, _C.status)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GraderKey:
    queue: str
    grader: str
    version: int


def add(tx: Transaction, of: GraderKey, statuses: Mapping[str, str]) -> None:
    """Count one submission's tests: id -> status. A version has at most `MAX_TESTS` of them."""
    known = of_version(tx, of)
    new = [test_id for test_id in statuses if test_id not in known]
    counted = (statuses.keys() & known.keys()) | set(new[: max(0, MAX_TESTS - len(known))])
    # In one order everywhere: two results that count the same rows must not wait for each other.
    rows = [
        {
            "queue": of.queue,
            "grader": of.grader,
            "version": of.version,
            "test_id": test_id,
            "status": statuses[test_id],
        }
        for test_id in sorted(counted)
    ]
    tx.run_many(_ADD.on(tx), rows)


def of_version(tx: Transaction, of: GraderKey) -> Mapping[str, Mapping[str, int]]:
    """Test id -> status -> count."""
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    rows = tx.all(_OF_VERSION, of_queue=of.queue, of_grader=of.grader, of_version=of.version)
    for row in rows:
        found[row.test_id][row.status] = row.times
    return dict(found)
