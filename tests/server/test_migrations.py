"""The migrations make exactly the schema that the code believes in, once, whoever starts first."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.event import listen
from sqlalchemy.exc import IntegrityError

from tests.support import postgres
from xqueue_server import settings
from xqueue_server.app import create_app
from xqueue_server.errors import StorageUnavailable
from xqueue_server.models.account import Grant, Role
from xqueue_server.storage import (
    Storage,
    accounts,
    leases,
    migration,
    open_storage,
    queues,
    submissions,
)
from xqueue_server.storage.schema import metadata

INDEXES = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
    "postgresql": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
}
UPGRADE = """
import sys
from xqueue_server.storage import migration, open_storage
migration.upgrade(open_storage(sys.argv[1]))
"""
TABLES_SQLITE = "SELECT name, sql FROM sqlite_master WHERE type = 'table'"


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/new.db"
        return
    with postgres.database() as url:
        yield url


@pytest.fixture
def empty(empty_url: str) -> Iterator[Storage]:
    storage = open_storage(empty_url)
    yield storage
    storage.close()


def test_an_empty_database_is_not_current_and_a_migrated_one_is(empty: Storage) -> None:
    assert migration.current(empty) is None
    assert not migration.is_current(empty)
    migration.upgrade(empty)
    assert migration.current(empty) == migration.head()
    assert migration.is_current(empty)


def test_the_migrated_schema_is_the_one_that_the_code_believes_in(empty: Storage) -> None:
    migration.upgrade(empty)
    # SQLite has no IDENTITY: there the comparison of defaults reports every id.
    opts = {"compare_server_default": empty.engine.dialect.name == "postgresql"}
    with empty.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True} | opts)
        assert compare_metadata(context, metadata) == []


def test_indexes_and_their_conditions_are_those_of_the_code(empty: Storage, tmp_path: Path) -> None:
    """Autogeneration does not compare what a partial index covers, nor the order of its columns."""
    migration.upgrade(empty)
    backend = empty.engine.dialect.name
    if backend == "sqlite":
        believed = open_storage(f"sqlite:///{tmp_path}/believed.db")
        metadata.create_all(believed.engine)
        assert _listed(believed, INDEXES[backend]) == _listed(empty, INDEXES[backend])
        believed.close()
    else:
        with postgres.database() as url:
            believed = open_storage(url)
            metadata.create_all(believed.engine)
            theirs = _listed(believed, INDEXES[backend])
            believed.close()
        mine = _listed(empty, INDEXES[backend])
        mine.pop("alembic_version_pkc")
        assert theirs == mine


def test_sqlite_never_gives_an_id_twice(empty: Storage) -> None:
    if empty.engine.dialect.name != "sqlite":
        return
    migration.upgrade(empty)
    tables = _listed(empty, TABLES_SQLITE)
    for name in ("submissions", "accounts", "callbacks", "api_tokens", "trials", "faults"):
        assert "AUTOINCREMENT" in tables[name].upper(), name


def test_migrating_twice_does_nothing_the_second_time(empty: Storage) -> None:
    migration.upgrade(empty)
    with empty.write() as tx:
        tx.run(
            text(
                "INSERT INTO queues (name, lease_s, max_attempts, give_up_after_s,"
                " max_platform_failures, created_at) VALUES ('q', 1, 1, 1, 1, 1)"
            )
        )
    migration.upgrade(empty)
    with empty.read() as tx:
        assert tx.scalar(text("SELECT count(*) FROM queues")) == 1


def test_a_program_works_with_a_later_schema_as_long_as_that_one_lets_it(empty: Storage) -> None:
    migration.upgrade(empty)
    with empty.write() as tx:
        tx.run(text("UPDATE alembic_version SET version_num = '9999'"))
        tx.run(text("UPDATE schema_compatibility SET works_from = :ours"), ours=migration.head())
    assert migration.is_current(empty)
    migration.upgrade(empty)  # by an old program: it does not go back
    assert migration.current(empty) == "9999"
    with empty.write() as tx:
        tx.run(text("UPDATE schema_compatibility SET works_from = '9999'"))
    assert not migration.is_current(empty)


def test_the_step_before_is_enough_for_the_programs_of_this_version(empty: Storage) -> None:
    migration.upgrade(empty, until=migration.Step.BEFORE)
    assert migration.current(empty) == migration.needed()
    assert migration.is_current(empty)


def test_several_hosts_may_migrate_at_the_same_time(empty_url: str) -> None:
    """As processes: Alembic keeps the running migration in module globals."""
    upgrade = [sys.executable, "-c", UPGRADE, empty_url]
    hosts = [subprocess.Popen(upgrade, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [host.communicate(timeout=300)[1] for host in hosts] == [""] * 3
    assert [host.returncode for host in hosts] == [0] * 3
    storage = open_storage(empty_url)
    assert migration.is_current(storage)
    storage.close()


def test_all_revisions_are_one_transaction_so_that_no_other_host_comes_between_two(
    empty: Storage,
) -> None:
    empty.engine.connect().close()
    ends: list[str] = []
    listen(empty.engine, "commit", lambda _: ends.append("commit"))
    listen(empty.engine, "rollback", lambda _: ends.append("rollback"))
    migration.upgrade(empty)
    assert ends.count("commit") == 1
    assert migration.is_current(empty)


@pytest.fixture
def previous() -> Iterator[Storage]:
    """A database at the revision before, as programs find it when this version comes."""
    with postgres.database() as url, closing(open_storage(url)) as storage:
        config = migration._config()
        with storage.engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "0002")
            connection.commit()
        yield storage


WAITING = text(
    "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
    " WHERE datname = current_database() AND mode = 'AccessExclusiveLock' AND NOT granted"
)


@pytest.mark.parametrize("held", ["submissions", "grants"])
@pytest.mark.parametrize("wanted", ["accounts", "grants", "submissions"])
def test_a_program_at_work_is_waited_for_and_never_ended_by_a_deadlock(
    previous: Storage, held: str, wanted: str
) -> None:
    """It has read a table and reads another, which the migration may have taken in between."""
    count = "SELECT count(*) FROM "
    with ExitStack() as stack:
        program = stack.enter_context(previous.engine.connect())
        onlooker = stack.enter_context(previous.engine.connect())
        program.execute(text(count + held))
        upgrade = stack.enter_context(ThreadPoolExecutor(1)).submit(migration.upgrade, previous)
        while not (onlooker.scalar(WAITING) or upgrade.done()):
            pass
        program.execute(text(count + wanted))
        program.rollback()
        upgrade.result(timeout=120)
    assert migration.is_current(previous)


def test_who_has_the_tables_in_use_for_too_long_is_told_of_and_nothing_has_changed(
    previous: Storage,
) -> None:
    with previous.engine.connect() as connection:
        connection.execute(text("SELECT count(*) FROM submissions"))
        with pytest.raises(StorageUnavailable, match="for 0 s others have had its tables in use"):
            migration.upgrade(previous, patience_s=0)
    assert migration.current(previous) == "0002"
    migration.upgrade(previous)
    assert migration.is_current(previous)


def test_a_migration_takes_what_it_changes_before_it_changes_anything(previous: Storage) -> None:
    """Or it could still wait for a program that waits for it."""
    taken: list[str] = []

    def note(_connection, _cursor, statement, _parameters, _context, _many) -> None:
        if statement.startswith("LOCK TABLE"):
            taken.append("all")
        elif statement.startswith(("ALTER", "CREATE", "DROP")):
            taken.append("changed")

    listen(previous.engine, "before_cursor_execute", note)
    migration.upgrade(previous)
    assert taken[0] == "all"
    assert set(taken[1:]) == {"changed"}


def test_a_database_that_another_host_is_just_making_is_waited_for(tmp_path: Path) -> None:
    """Changing to the write-ahead log is refused at once while somebody writes."""
    path = tmp_path / "new.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("CREATE TABLE theirs (x)")
        with ThreadPoolExecutor(1) as pool, closing(open_storage(f"sqlite:///{path}")) as storage:
            ours = pool.submit(migration.upgrade, storage)
            with pytest.raises(TimeoutError):
                ours.result(timeout=0.3)
            other.execute("COMMIT")
            ours.result()
            assert migration.is_current(storage)


def test_a_migration_leaves_no_settings_behind_on_its_connection(empty: Storage) -> None:
    if empty.engine.dialect.name != "postgresql":
        return
    migration.upgrade(empty)
    with empty.read() as tx:
        assert tx.scalar(text("SHOW statement_timeout")) == "30s"
        assert tx.scalar(text("SHOW lock_timeout")) == "0"


def test_a_server_is_ready_only_when_its_database_is_migrated(
    empty: Storage, empty_url: str, tmp_path: Path
) -> None:
    loaded = settings.load(
        {
            "XQUEUE_DATA_DIR": str(tmp_path),
            "XQUEUE_DATABASE_URL": empty_url,
            "XQUEUE_SECRET_KEY": "s" * 32,
        }
    )
    client = create_app(loaded, empty).test_client()
    not_yet = client.get("/readyz")
    assert (not_yet.status_code, not_yet.json) == (
        503,
        {
            "status": "unavailable",
            "why": "the database is not migrated; run `xqueue-server db upgrade`",
        },
    )
    assert client.get("/healthz").status_code == 200
    migration.upgrade(empty)
    assert client.get("/readyz").status_code == 200


def test_a_request_before_the_migration_gets_an_answer_and_no_crash(
    empty: Storage, empty_url: str, tmp_path: Path
) -> None:
    loaded = settings.load(
        {
            "XQUEUE_DATA_DIR": str(tmp_path),
            "XQUEUE_DATABASE_URL": empty_url,
            "XQUEUE_SECRET_KEY": "s" * 32,
        }
    )
    client = create_app(loaded, empty).test_client()
    answer = client.post("/xqueue/login/", data={"username": "a", "password": "b"})
    assert answer.status_code == 200
    assert '"return_code": 1' in answer.text


def _listed(storage: Storage, query: str) -> dict[str, str]:
    """name -> definition, with white space evened out."""
    with storage.read() as tx:
        return {row[0]: " ".join(row[1].replace('"', "").split()) for row in tx.all(text(query))}


# -- from the first release ----------------------------------------------------------------------

FIRST_RELEASE = (
    (
        "INSERT INTO accounts (name, password_hash, credential_version, active, created_at)"
        " VALUES ('both', 'hash', 1, true, 1)"
    ),
    (
        "INSERT INTO accounts (name, password_hash, credential_version, active, created_at)"
        " VALUES ('gone', 'hash', 1, true, 1)"
    ),
    "INSERT INTO grants VALUES (1, 'lms', '*'), (1, 'grader', 'q'), (2, 'operator', '*')",
    "INSERT INTO queues VALUES ('q', 600, 3, 86400, 50, 1)",
    (
        "INSERT INTO submissions (queue, state, priority, attempt, platform_failures, arrived_at,"
        " request_id, submitted_by, callback_url, lms_key)"
        " VALUES ('q', 'queued', 0, 1, 0, 1, 'r', 'both', :text, :text)"
    ),
    "INSERT INTO contents (submission_id, header, body) VALUES (1, :text, :text)",
)


@pytest.fixture
def first_release(empty: Storage) -> Storage:
    """A database of revision 0001 with something in it."""
    _migrate(empty, command.upgrade, "0001")
    with empty.write() as tx:
        for statement in FIRST_RELEASE:
            tx.run(text(statement), **({"text": b"{}"} if ":text" in statement else {}))
    return empty


def test_what_the_first_release_has_stored_is_kept_and_used(first_release: Storage) -> None:
    migration.upgrade(first_release)
    with first_release.read() as tx:
        both = accounts.get(tx, "both")
        assert both.grants == (
            Grant(role=Role.GRADER, queue="q"),
            Grant(role=Role.LMS, queue="*"),
        )
        assert queues.get(tx, "q").lease_s == 600
        assert leases.has_ready(tx, "q")
        assert submissions.contents_of(tx, 1).body == "{}"
    with first_release.write() as tx:
        accounts.grant(tx, "both", [Grant(role=Role.AUTHOR, queue="q")], actor="test")
    with pytest.raises(IntegrityError), first_release.write() as tx:
        tx.run(text("INSERT INTO grants VALUES (1, 'king', '*')"))
    with pytest.raises(IntegrityError), first_release.write() as tx:
        tx.run(text("INSERT INTO grants VALUES (1, 'lms', '*')"))
    with pytest.raises(IntegrityError), first_release.write() as tx:
        tx.run(text("INSERT INTO grants VALUES (9, 'lms', '*')"))


def test_grants_still_go_with_their_account(first_release: Storage) -> None:
    migration.upgrade(first_release)
    with first_release.write() as tx:
        accounts.remove(tx, "gone", actor="test")
    with first_release.read() as tx:
        assert tx.scalar(text("SELECT count(*) FROM grants")) == 2


def test_going_back_keeps_all_but_what_the_first_release_does_not_know(
    first_release: Storage,
) -> None:
    migration.upgrade(first_release)
    with first_release.write() as tx:
        accounts.grant(tx, "both", [Grant(role=Role.AUTHOR, queue="q")], actor="test")
    _migrate(first_release, command.downgrade, "0001")
    assert migration.current(first_release) == "0001"
    with first_release.read() as tx:
        assert tx.scalar(text("SELECT count(*) FROM grants")) == 3
        assert tx.scalar(text("SELECT count(*) FROM submissions")) == 1
    with pytest.raises(IntegrityError), first_release.write() as tx:
        tx.run(text("INSERT INTO grants VALUES (1, 'author', '*')"))
    migration.upgrade(first_release)


def _migrate(storage: Storage, act: Callable[[Config, str], None], revision: str) -> None:
    config = migration._config()
    with storage.engine.connect() as connection:
        config.attributes["connection"] = connection
        act(config, revision)
        connection.commit()
