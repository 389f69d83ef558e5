"""Selections stay fast with a long history: by which index each is found, on both databases."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Select, text

from tests.server.builders import Desk
from xqueue_server.models.scope import EVERYTHING, Scope
from xqueue_server.models.selection import parse
from xqueue_server.storage import Storage, selecting

ROWS = 6_000
FIRST_AT = datetime(2026, 1, 1, tzinfo=UTC)
FIRST_US = round(FIRST_AT.timestamp() * 1_000_000)
WHOLE_TABLE = re.compile(
    r"Seq Scan on (submissions|contents|callbacks|regrades)\b"
    r"|^SCAN (submissions|contents|callbacks|regrades|each)(?!.*USING)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Case:
    filters: dict[str, str]
    indexes: tuple[str, ...]
    """Each must be in the plan; `PK` stands for the primary key of submissions."""
    scope: Scope = EVERYTHING
    is_sorted: bool = False
    """By being read in the order of the ids: nothing is collected first."""


CASES = {
    "everything": Case({}, ("PK",), is_sorted=True),
    "of a queue": Case({"queue": "q1"}, ("PK",), is_sorted=True),
    "graded ones": Case({"state": "graded"}, ("PK",), is_sorted=True),
    "of a problem": Case(
        {"problem": "block-v1:a+b+c+type@problem+block@7"}, ("ix_contents_problem",)
    ),
    "of a learner": Case({"learner": "17"}, ("ix_contents_learner",)),
    "of a course": Case({"course": "course-v1:rare"}, ("ix_contents_course",)),
    "of a course alone that one may see": Case(
        {}, ("ix_contents_course",), scope=Scope(courses=frozenset({"course-v1:rare"}))
    ),
    "held ones": Case({"state": "held"}, ("ix_submissions_held",)),
    "held for a reason": Case({"held_reason": "grader"}, ("ix_submissions_held",)),
    "being graded": Case({"state": "leased"}, ("ix_submissions_leased",)),
    "waiting": Case(
        {"state": "queued"},
        ("ix_submissions_line", "ix_submissions_delayed", "ix_submissions_blocked"),
    ),
    "unfinished": Case(
        {"state": "queued,leased,held"},
        ("ix_submissions_line", "ix_submissions_leased", "ix_submissions_held"),
    ),
    "with a dead callback": Case({"callback": "dead"}, ("ix_callbacks_dead",)),
    "of a batch": Case({"batch": "3"}, ("ix_regrades_batch_id",)),
    "being regraded": Case({"regrade": "waiting"}, ("uq_regrades_waiting",)),
    "some": Case({"id": "3,4,5"}, ("PK",)),
}
PRIMARY_KEYS = (
    "pk_submissions",
    "submissions_pkey",
    "USING INTEGER PRIMARY KEY",
    "SCAN submissions",
)


@pytest.fixture
def crowded(desk: Desk) -> Storage:
    """Much that is over, little that is not."""
    rare = {10: "held", 20: "leased", 30: "queued", 40: "delayed", 50: "blocked"}
    rows = [_row(i, rare.get(i % 1000, "graded")) for i in range(1, ROWS + 1)]
    is_postgres = desk.storage.engine.dialect.name == "postgresql"
    with desk.storage.write() as tx:
        if is_postgres:  # what neighbours have deleted leaves holes, and rows in no order
            tx.run(text("TRUNCATE submissions, contents, callbacks, regrades CASCADE"))
        tx.run_many(text(_SUBMISSIONS), rows)
        tx.run_many(text(_CONTENTS), rows)
        tx.run_many(text(_CALLBACKS), rows)
        tx.run_many(text(_REGRADES), rows)
    with desk.storage.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as c:
        # All that PostgreSQL's own housekeeping would do, at a moment that it would choose.
        c.exec_driver_sql("VACUUM (ANALYZE)" if is_postgres else "ANALYZE")
    return desk.storage


def test_every_selection_is_found_by_its_index(crowded: Storage) -> None:
    """One test for all: filling the database takes longer than the questions."""
    wrong = []
    for name, case in CASES.items():
        plan = _plan(crowded, case)
        missing = [each for each in case.indexes if not _has(plan, each)]
        if missing or (WHOLE_TABLE.search(plan) and not _walks_the_key(plan, case)):
            wrong.append(f"{name} lacks {missing}:\n{plan}")
        if case.is_sorted and re.search(r"\bSort\b|USE TEMP B-TREE FOR ORDER", plan):
            wrong.append(f"{name} sorts:\n{plan}")
    assert not wrong, "\n\n".join(wrong)


def test_a_time_becomes_bounds_of_the_ids_in_a_few_probes(
    crowded: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes: list[int] = []
    with crowded.read() as tx:
        one = tx.one
        monkeypatch.setattr(tx, "one", lambda *a, **k: probes.append(1) or one(*a, **k))
        assert selecting.id_at(tx, FIRST_AT + timedelta(seconds=4000)) == 4000
    assert len(probes) <= ROWS.bit_length() + 1
    plan = _plan(crowded, Case({"since": (FIRST_AT + timedelta(seconds=5000)).isoformat()}, ()))
    assert _has(plan, "PK")
    assert re.search(r"Index Cond: .*id >=|rowid>\?", plan), plan


def _has(plan: str, index: str) -> bool:
    return any(name in plan for name in PRIMARY_KEYS) if index == "PK" else index in plan


def _walks_the_key(plan: str, case: Case) -> bool:
    """SQLite calls a walk over the ids from the newest on a scan, and it ends with the page."""
    return case.is_sorted and "USE TEMP B-TREE" not in plan and "Seq Scan" not in plan


def _plan(storage: Storage, case: Case) -> str:
    is_postgres = storage.engine.dialect.name == "postgresql"
    with storage.read() as tx:
        found = selecting._find(tx, parse(case.filters), case.scope)
        assert found is not None
        statement: Select[Any] = found.newest_first(None).limit(50)
    compiled = statement.compile(
        dialect=storage.engine.dialect, compile_kwargs={"render_postcompile": True}
    )
    written = compiled._bind_processors  # instants as the database has them
    given = compiled.construct_params()
    bound = {name: written[name](v) if name in written else v for name, v in given.items()}
    values: Any = (
        tuple(bound[name] for name in compiled.positiontup) if compiled.positiontup else bound
    )
    explain = "EXPLAIN " if is_postgres else "EXPLAIN QUERY PLAN "
    with storage.engine.connect() as connection:
        rows = connection.exec_driver_sql(explain + str(compiled), values).all()
    return "\n".join(str(row[-1]) for row in rows)


def _row(i: int, state: str) -> dict[str, Any]:
    at = FIRST_US + i * 1_000_000
    return {
        "id": i,
        "queue": f"q{i % 3}",
        "state": "queued" if state in ("delayed", "blocked") else state,
        "available_at": at if state == "delayed" else None,
        "is_blocked": state == "blocked",
        "lease_until": at if state == "leased" else None,
        "held_at": at if state == "held" else None,
        "held_reason": "grader" if state == "held" else None,
        "at": at,
        "course": "course-v1:rare" if i % 500 == 0 else f"course-v1:{i % 3}",
        "learner": str(i % 400),
        "problem": f"block-v1:a+b+c+type@problem+block@{i % 300}",
        "callback": "dead" if i % 700 == 0 else "delivered",
        "batch": i // 20,
        "regrade": "waiting" if i % 1000 == 0 else "same",
        "empty": b"",
        "key": b"%016d" % i,
    }


_SUBMISSIONS = """
    INSERT INTO submissions (id, queue, state, priority, attempt, platform_failures, available_at,
        arrived_at, request_id, submitted_by, callback_url, lms_key, lease_until, held_at,
        held_reason, course, learner, is_blocked)
    VALUES (:id, :queue, :state, 0, 1, 0, :available_at, :at, 'r', 'lms', :empty, :empty,
        :lease_until, :held_at, :held_reason, :course, :learner, :is_blocked)"""
_CONTENTS = """
    INSERT INTO contents (submission_id, header, body, course, learner, problem)
    VALUES (:id, :empty, :empty, :course, :learner, :problem)"""
_CALLBACKS = """
    INSERT INTO callbacks (submission_id, kind, url, origin, order_key, header, body, state,
        attempt, created_at, retry_from)
    VALUES (:id, 'result', :empty, 'o', :key, :empty, :empty, :callback, 1, :at, :at)"""
_REGRADES = """
    INSERT INTO regrades (batch_id, submission_id, state, started_at)
    VALUES (:batch, :id, :regrade, :at)"""
