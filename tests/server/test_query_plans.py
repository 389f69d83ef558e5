"""The hot statements walk the partial indexes, however long the backlog and the history are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.sql.expression import Executable

from tests.server.builders import Desk
from xqueue_server.instant import DatabaseClock
from xqueue_server.models.submission import Line
from xqueue_server.storage import (
    Storage,
    capping,
    counting,
    holds,
    leases,
    ordering,
    outbox,
    submissions,
    superseding,
)

HISTORY = 6_000
BACKLOG = 3_000
SLOW = re.compile(
    r"Seq Scan on (submissions|callbacks|results|leases|contents)\b"
    r"|^(SEARCH|SCAN) (submissions|callbacks|results|leases|contents)(?!.*INDEX|.*PRIMARY KEY)"
    r"|\bSort\b|USE TEMP B-TREE|Filter: .*clock_timestamp",
    re.MULTILINE,
)
SORTS = r"|\bSort\b|USE TEMP B-TREE"
SLOW_BUT_FOR_SORTS = re.compile(SLOW.pattern.replace(SORTS, ""), re.MULTILINE)
KEY = b"k" * 32


@dataclass(frozen=True, slots=True)
class Hot:
    """A statement of the hot paths, its parameters, and the index that it must use."""

    statement: Executable
    params: dict[str, Any]
    index: str
    may_sort: bool = False
    """Where it is little that was found by the index, it may be sorted."""


HOT = {
    "a look for ready work": Hot(leases._NEXT[Line.LEARNERS], {"q": "q1"}, "ix_submissions_line"),
    "a look for ready work, trials too": Hot(
        leases._NEXT[Line.ALL], {"q": "q1"}, "ix_submissions_line"
    ),
    "a look for trials": Hot(leases._NEXT[Line.TRIALS], {"q": "q1"}, "ix_submissions_line"),
    "the watcher's probe, trials too": Hot(
        leases._ready_among(2, Line.ALL), {"q0": "q1", "q1": "empty"}, "ix_submissions_line"
    ),
    "the watcher's probe": Hot(
        leases._ready_among(2, Line.LEARNERS), {"q0": "q1", "q1": "empty"}, "ix_submissions_line"
    ),
    "the queue length": Hot(
        counting._COUNT_UP_TO, {"q": "q1", "most": 1001}, "ix_submissions_line"
    ),
    "the full count": Hot(counting._COUNT, {"q": "q1"}, "ix_submissions_"),
    "what is next in several queues": Hot(
        leases._heads_among(2, Line.LEARNERS), {"q0": "q1", "q1": "empty"}, "ix_submissions_line"
    ),
    "those before one of higher priority": Hot(
        counting._COUNT_HIGHER, {"q": "q1", "than": 0, "most": 10_000}, "ix_submissions_line"
    ),
    "those before one": Hot(
        counting._COUNT_BEFORE,
        {"q": "q1", "than": 0, "turn": 1_000, "of": 7_000, "most": 10_000},
        "ix_submissions_line",
        may_sort=True,
    ),
    "a turn in a course with a backlog": Hot(
        ordering._TURN_FOR,
        {"of_queue": "q1", "of_priority": 0, "of_course": "large"},
        "ix_submissions_course",
    ),
    "the head for a course without": Hot(
        ordering._TURN_FOR,
        {"of_queue": "q1", "of_priority": 0, "of_course": "absent"},
        "ix_submissions_line",
    ),
    "what counts to a cap": Hot(
        capping._COUNT,
        {"of_queue": "q1", "of_learner": "7", "of_course": "large"},
        "ix_submissions_capped",
    ),
    "what is blocked": Hot(
        capping._BLOCKED,
        {"of_queue": "q1", "of_learner": "7", "of_course": "large", "most": 1},
        "ix_submissions_blocked",
    ),
    "a look for the blocked in vain": Hot(
        capping._BLOCKED_IN_VAIN, {"most": 100}, "ix_submissions_blocked", may_sort=True
    ),
    "a look for expired leases": Hot(leases._HAS_EXPIRED, {}, "ix_submissions_leased"),
    "taking expired leases": Hot(leases._EXPIRED, {"most": 100}, "ix_submissions_leased"),
    "a look for ended back-offs": Hot(leases._HAS_DUE, {}, "ix_submissions_delayed"),
    "ending back-offs": Hot(leases._PROMOTE, {"most": 1000}, "ix_submissions_delayed"),
    "a look for old holds": Hot(holds._HOLDS_TO_END, {"most": 1}, "ix_submissions_held"),
    "what a submission supersedes": Hot(
        superseding._BEFORE,
        {"key": b"%016d" % 7, "until": 1, "problem": "p", "queue": "q1"},
        "ix_contents_supersede_key",
    ),
    "a look for due callbacks": Hot(outbox._HAS_DUE, {}, "ix_callbacks_due"),
    "renewing": Hot(leases._RENEW, {"of": 17, "key_hash": KEY, "length_us": 1}, "submissions"),
    "the lease of a retry": Hot(leases._PRESENT, {"of": 17, "key_hash": KEY}, "submissions"),
    "an issued key": Hot(leases._FIND, {"key_hash": KEY}, "leases"),
}


@pytest.fixture
def crowded(desk: Desk) -> Storage:
    """Much history, much backlog, little in flight; the clock is the database's own."""
    with desk.storage.write() as tx:
        now = 1_800_000_000_000_000
        base = {
            "priority": 0, "attempt": 1, "platform_failures": 0, "arrived_at": now,
            "request_id": "r0", "submitted_by": "lms", "url": b"u", "lms_key": b"k",
        }  # fmt: skip
        states = (
            [("graded", "q1")] * HISTORY
            + [("queued", f"q{i % 3}") for i in range(BACKLOG)]
            + [("delayed", "q1"), ("leased", "q1"), ("held", "q1"), ("blocked", "q1")] * 400
        )
        rows = [base | _row(state, queue, now + i) for i, (state, queue) in enumerate(states)]
        if desk.storage.engine.dialect.name == "postgresql":
            # What neighbours have deleted leaves holes, and rows in no order.
            tx.run(text("TRUNCATE submissions, contents, callbacks, results, leases CASCADE"))
        tx.run_many(text(_FILL), rows)
        tx.run_many(
            text(_FILL_CONTENTS),
            [{"of": i, "key": b"%016d" % i} for i in range(1, len(rows) + 1)],
        )
        tx.run_many(text(_FILL_QUEUES), [{"name": f"q{i}"} for i in range(3)] + [{"name": "empty"}])
        tx.run_many(text(_FILL_RESULTS), [{"of": i} for i in range(1, HISTORY)])
        tx.run_many(
            text(_FILL_CALLBACKS),
            [{"of": i, "now": now, **_callback(i, now)} for i in range(1, HISTORY)],
        )
        tx.run_many(
            text(_FILL_LEASES), [{"key": b"%032d" % i, "of": i, "now": now} for i in range(HISTORY)]
        )
    with desk.storage.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as c:
        c.exec_driver_sql("ANALYZE")
    return Storage(desk.storage.engine, DatabaseClock())


def test_hot_statements_use_their_partial_indexes_and_never_sort(crowded: Storage) -> None:
    """One test for all: filling the database takes longer than the questions."""
    by_course = "ix_submissions_course"
    hot = HOT | {
        "a claim": _claim(crowded),
        "an arrival in a course with a backlog": _arrival(crowded, "large", by_course),
        "an arrival in one of many courses": _arrival(crowded, "c7", by_course),
        "an arrival behind the head": _arrival(crowded, "absent", "ix_submissions_line"),
    }
    plans = {name: _plan(crowded, each) for name, each in hot.items()}
    slow = [
        f"{name}:\n{plan}"
        for name, plan in plans.items()
        if hot[name].index not in plan
        or (SLOW_BUT_FOR_SORTS if hot[name].may_sort else SLOW).search(plan)
    ]
    assert not slow, "\n\n".join(slow)


def _claim(storage: Storage) -> Hot:
    is_postgres = storage.engine.dialect.name == "postgresql"
    return Hot(
        (leases._CLAIM_POSTGRES if is_postgres else leases._CLAIM_SQLITE)[Line.LEARNERS],
        {"q": "q1", "key_hash": KEY, "length_us": 1, "account": "a"}
        | ({"event_actor": "a", "event_request": "r"} if is_postgres else {}),
        "ix_submissions_line",
    )


def _arrival(storage: Storage, course: str, index: str) -> Hot:
    is_postgres = storage.engine.dialect.name == "postgresql"
    row = {
        "queue": "q1", "priority": 0, "request_id": "r", "submitted_by": "lms",
        "callback_url": "u", "lms_key": "k", "learner_submitted_at": None, "course": course,
        "learner": "7", "has_learner": True, "exam_id": None,
    }  # fmt: skip
    contents = dict.fromkeys(submissions._CONTENT_FIELDS, None) | {
        "header": "", "body": "", "course": course, "learner": "7", "problem": "",
    }  # fmt: skip
    return Hot(
        submissions._INSERT_AT_ONCE if is_postgres else submissions._INSERT,
        row | (contents | {"event_actor": "a", "event_request": "r"} if is_postgres else {}),
        index,
    )


def _plan(storage: Storage, hot: Hot) -> str:
    """As the database would run it in production: with its own clock, on PostgreSQL."""
    is_postgres = storage.engine.dialect.name == "postgresql"
    compiled = hot.statement.compile(dialect=storage.engine.dialect)
    given = {"now": None if is_postgres else 1_800_000_000_000_000} | hot.params
    with storage.engine.connect() as connection:
        bound = compiled.construct_params({k: v for k, v in given.items() if k in compiled.params})
        explain = "EXPLAIN " if is_postgres else "EXPLAIN QUERY PLAN "
        values: Any = (
            tuple(bound[name] for name in compiled.positiontup) if compiled.positiontup else bound
        )
        rows = connection.exec_driver_sql(explain + str(compiled), values).all()
    return "\n".join(str(row[-1]) for row in rows)


def _row(state: str, queue: str, at: int) -> dict[str, Any]:
    return {
        "queue": queue,
        "state": "queued" if state in ("delayed", "blocked") else state,
        "course": f"c{at % 100}" if at % 2 else "large",
        "learner": str(at % 500),
        "turn": at % BACKLOG,
        "is_capped": state in ("blocked", "queued", "leased"),
        "is_blocked": state == "blocked",
        "available_at": at if state == "delayed" else None,
        "lease_until": at if state == "leased" else None,
        "lease_key": KEY if state == "leased" else None,
        "held_at": at if state == "held" else None,
    }


def _callback(i: int, now: int) -> dict[str, Any]:
    is_pending = i % 20 == 0
    return {
        "state": "pending" if is_pending else "delivered",
        "next_at": now if is_pending else None,
        "key": b"%016d" % i,
    }


_FILL = """
    INSERT INTO submissions (queue, state, priority, attempt, platform_failures, available_at,
        arrived_at, request_id, submitted_by, callback_url, lms_key, lease_key,
        lease_until, held_at, course, learner, turn, is_capped, is_blocked)
    VALUES (:queue, :state, :priority, :attempt, :platform_failures, :available_at, :arrived_at,
        :request_id, :submitted_by, :url, :lms_key, :lease_key, :lease_until,
        :held_at, :course, :learner, :turn, :is_capped, :is_blocked)"""
_FILL_QUEUES = """
    INSERT INTO queues (name, lease_s, max_attempts, give_up_after_s, max_platform_failures,
        created_at, learner_cap)
    VALUES (:name, 600, 3, 86400, 50, 0, 2)"""
_FILL_CONTENTS = """
    INSERT INTO contents (submission_id, header, body, supersede_key) VALUES (:of, '', '', :key)"""
_FILL_RESULTS = """
    INSERT INTO results (submission_id, key_hash, body, disposition, sent_by, received_at)
    VALUES (:of, '', '', 'accepted', 'g', 0)"""
_FILL_CALLBACKS = """
    INSERT INTO callbacks (submission_id, kind, url, origin, order_key, header,
        body, state, attempt, next_at, created_at, retry_from)
    VALUES (:of, 'result', '', 'o', :key, '', '', :state, 0, :next_at, :now, :now)"""
_FILL_LEASES = "INSERT INTO leases VALUES (:key, :of, 1, 'g', :now)"
