"""A scrape costs what the backlog is, however long the history."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import postgresql

from tests.server.builders import QUEUE, Desk
from xqueue_server.storage import state_counts

HISTORY = 20_000
KEPT = "queue, arrived_at, request_id, submitted_by, callback_url, lms_key"
OF_SUBMISSIONS = {"queued": state_counts._READY, **state_counts._OTHERS}


@pytest.fixture
def aged(desk: Desk) -> Desk:
    """Long in use: much is graded, one waits."""
    desk.submit()
    with desk.storage.write() as tx:
        tx.run(
            text(
                f"INSERT INTO submissions ({KEPT}, state, priority, attempt, platform_failures) "
                f"SELECT {KEPT}, 'graded', 0, 1, 0 "
                "FROM submissions, generate_series(1, :history)"
            ),
            history=HISTORY,
        )
        tx.run(text("ANALYZE submissions"))
    return desk


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("state", OF_SUBMISSIONS)
def test_counting_walks_a_partial_index(aged: Desk, state: str) -> None:
    compiled = OF_SUBMISSIONS[state].compile(dialect=postgresql.dialect())
    statement = re.sub(r"%\(\w+\)s", "NULL", str(compiled))  # "now", which the database knows
    with aged.storage.read() as tx:
        plan = "\n".join(row[0] for row in tx.all(text(f"EXPLAIN {statement}")))
        assert state_counts.count(tx).depth == {(QUEUE, "queued"): 1}
    assert "Seq Scan" not in plan, plan
    assert re.search(r"ix_submissions_\w+", plan), plan
