"""Putting a backlog into the database: rows as `submit` writes them, in bulk.

They belong to `COURSES` courses that take turns, as if these had arrived one after the other.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from tests.bench import requests
from tests.bench.database import Database, native_url
from xqueue_server.storage.ordering import STEP

BATCH = 50_000
COURSES = 50
COLUMNS = (
    "queue, state, priority, attempt, platform_failures, arrived_at, request_id, submitted_by, "
    "callback_url, lms_key, learner_submitted_at, course, learner, turn"
)
ARRIVED_AT = 1_772_366_400_000_000
EVENT_COLUMNS = "at, submission_id, subject, actor, to_state, why, request_id"


def ready(database: Database, queue: str) -> int:
    """How many submissions of the queue wait."""
    with _open(database) as rows:
        return rows.ready(queue)


def add_history(database: Database, queue: str, wanted: int) -> None:
    """Make at least `wanted` submissions be there, graded where there were fewer, and settle."""
    with _open(database) as rows:
        first = rows.last_id() + 1
        for start in range(first, wanted + 1, BATCH):
            rows.insert(queue, start, min(BATCH, wanted + 1 - start), state="graded")
        if first <= wanted:
            rows.settle()


def top_up(database: Database, queue: str, wanted: int) -> None:
    """Make at least `wanted` submissions wait in the queue, and let the database settle.

    Settling folds SQLite's log into the file, and on PostgreSQL vacuums and checkpoints: what
    the bulk insert has left behind is not what the next phase is to measure.
    """
    with _open(database) as rows:
        missing = wanted - rows.ready(queue)
        if missing <= 0:
            return
        first = rows.last_id() + 1
        for start in range(0, missing, BATCH):
            rows.insert(queue, first + start, min(BATCH, missing - start))
        rows.settle()


@contextmanager
def _open(database: Database) -> Iterator[_Sqlite | _Postgres]:
    if database.kind == "sqlite":
        with closing(sqlite3.connect(str(make_url(database.url).database), timeout=60)) as opened:
            yield _Sqlite(opened)
    else:
        with psycopg.connect(native_url(database), autocommit=True) as connection:
            yield _Postgres(connection)


def _texts(queue: str, state: str) -> dict[str, str]:
    callback_url = requests.CALLBACK.format(user=requests.USER_MARK, block=requests.BLOCK)
    return {
        "queue": queue,
        "state": state,
        "url": callback_url,
        "header": requests.submission_header(queue, requests.USER_MARK),
        "body": requests.BODY,
        "mark": requests.USER_MARK,
    }


class _Sqlite:
    def __init__(self, connection: sqlite3.Connection) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA synchronous=OFF")
        self._connection = connection

    def ready(self, queue: str) -> int:
        sql = (
            "SELECT count(*) FROM submissions"
            " WHERE queue=? AND state='queued' AND available_at IS NULL"
        )
        return int(self._connection.execute(sql, (queue,)).fetchone()[0])

    def last_id(self) -> int:
        return self._connection.execute("SELECT max(id) FROM submissions").fetchone()[0] or 0

    def insert(self, queue: str, first: int, count: int, *, state: str = "queued") -> None:
        values = _texts(queue, state) | {"first": first, "last": first + count - 1}
        numbers = (
            "WITH RECURSIVE n(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i < :last) "
        )
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute(
            f"INSERT INTO submissions (id, {COLUMNS}) {numbers} "
            f"SELECT i, :queue, :state, 0, 1, 0, {ARRIVED_AT} + i, printf('%016x', i), 'lms', "
            "CAST(replace(:url, :mark, i) AS BLOB), CAST('\"seeded-' || i || '\"' AS BLOB), "
            f"{ARRIVED_AT}, 'course ' || i % {COURSES}, i, i / {COURSES} * {STEP} FROM n",
            values,
        )
        self._connection.execute(
            f"INSERT INTO contents (submission_id, header, body, supersede_key) {numbers} "
            "SELECT i, CAST(replace(:header, :mark, i) AS BLOB), CAST(:body AS BLOB), "
            "randomblob(16) FROM n",
            values,
        )
        self._connection.execute(
            f"INSERT INTO events ({EVENT_COLUMNS}) {numbers} "
            f"SELECT {ARRIVED_AT} + i, i, 'submission ' || i, 'account lms', 'queued', 'arrive', "
            "printf('%016x', i) FROM n",
            values,
        )
        self._connection.execute("COMMIT")

    def settle(self) -> None:
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


class _Postgres:
    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def ready(self, queue: str) -> int:
        sql = (
            "SELECT count(*) FROM submissions"
            " WHERE queue=%s AND state='queued' AND available_at IS NULL"
        )
        row = self._connection.execute(sql, (queue,)).fetchone()
        assert row is not None
        return int(row[0])

    def last_id(self) -> int:
        row = self._connection.execute("SELECT coalesce(max(id), 0) FROM submissions").fetchone()
        assert row is not None
        return int(row[0])

    def insert(self, queue: str, first: int, count: int, *, state: str = "queued") -> None:
        values = _texts(queue, state) | {"first": first, "last": first + count - 1}
        self._connection.execute(
            f"WITH made AS (INSERT INTO submissions ({COLUMNS}) "
            f"SELECT %(queue)s, %(state)s, 0, 1, 0, {ARRIVED_AT} + i, lpad(to_hex(i), 16, '0'), "
            "'lms', convert_to(replace(%(url)s, %(mark)s, i::text), 'UTF8'), "
            "convert_to('\"seeded-' || i || '\"', 'UTF8'), "
            f"{ARRIVED_AT}, 'course ' || mod(i, {COURSES}), i, i / {COURSES} * {STEP} "
            "FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS i RETURNING id), "
            "kept AS (INSERT INTO contents (submission_id, header, body, supersede_key) "
            "SELECT id, convert_to(replace(%(header)s, %(mark)s, id::text), 'UTF8'), "
            "convert_to(%(body)s, 'UTF8'), uuid_send(gen_random_uuid()) FROM made) "
            f"INSERT INTO events ({EVENT_COLUMNS}) "
            f"SELECT {ARRIVED_AT} + id, id, 'submission ' || id, 'account lms', 'queued', "
            "'arrive', lpad(to_hex(id), 16, '0') FROM made",
            values,
        )

    def settle(self) -> None:
        self._connection.execute("VACUUM (ANALYZE) submissions, contents, events")
        self._connection.execute("CHECKPOINT")


def size_bytes(database: Database) -> int:
    """Of the whole database on disk."""
    if database.kind == "sqlite":
        path = Path(str(make_url(database.url).database))
        return sum(f.stat().st_size for f in path.parent.glob(path.name + "*"))
    with psycopg.connect(native_url(database)) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        assert row is not None
        return int(row[0])
