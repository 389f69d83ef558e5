"""Which submissions may have a grade that the learner's own code wrote."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import bindparam, literal_column, select, true, union

from xqueue_server.models.grader import FORGEABLE
from xqueue_server.storage.engine import Transaction
from xqueue_server.storage.grader_schema import lease_graders
from xqueue_server.storage.schema import results

_MARKED = [
    select(of.label("submission_id")).where(of.in_(bindparam("ids", expanding=True)), mark)
    for of, mark in (
        (
            lease_graders.c.submission_id,
            lease_graders.c.isolation == literal_column(f"'{FORGEABLE}'"),
        ),
        (results.c.submission_id, results.c.forgeable == true()),
    )
]
_AMONG = union(*_MARKED)


def among(tx: Transaction, submission_ids: Collection[int]) -> frozenset[int]:
    """Those that were handed out with isolation "none", or whose worker said that it ran so."""
    if not submission_ids:
        return frozenset()
    rows = tx.all(_AMONG, ids=sorted(submission_ids))
    return frozenset(row.submission_id for row in rows)
