"""A PostgreSQL for the tests: the one named by TEST_POSTGRES_URL, or the local server."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import MetaData, create_engine, text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import OperationalError

from tests.support.services import missing_service

ROLE = f"xqueue_test_{secrets.token_hex(6)}"
"""Sessions that were killed leave theirs, and process ids come back."""
GROWN_BYTES = 512 * 1024
OBJECT_IN_USE = "55006"


def server_url() -> URL:
    """A URL whose role may create databases."""
    given = os.environ.get("TEST_POSTGRES_URL")
    if given:
        return make_url(given).set(drivername="postgresql+psycopg")
    return _local_server()


_local: URL | None = None


def _local_server() -> URL:
    global _local
    if _local is None:
        password = secrets.token_hex(8)
        if os.geteuid() != 0 or not shutil.which("psql") or not _create_role(password):
            missing_service("PostgreSQL")
        _local = URL.create("postgresql+psycopg", ROLE, password, "127.0.0.1", 5432, "postgres")
    return _local


def _create_role(password: str) -> bool:
    sql = f"CREATE ROLE {ROLE} LOGIN SUPERUSER PASSWORD '{password}'"
    made = subprocess.run(
        ["su", "postgres", "-c", "psql -q -v ON_ERROR_STOP=1"],
        input=sql,
        text=True,
        capture_output=True,
        check=False,
        cwd="/",
    )
    return made.returncode == 0


@contextmanager
def database() -> Iterator[str]:
    """A fresh, empty database; dropped at the end. Yields its URL."""
    admin = create_engine(server_url(), isolation_level="AUTOCOMMIT")
    name = f"xq_{secrets.token_hex(6)}"
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        # Tests kill clients of the server, never the machine under it.
        connection.execute(text(f"ALTER DATABASE {name} SET synchronous_commit = off"))
    try:
        yield server_url().set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            _drop(connection, name)
        admin.dispose()


def _drop(connection: Connection, name: str) -> None:
    """PostgreSQL gives those it cuts off five seconds to go, which a busy machine may exceed."""
    for tries_left in range(5, -1, -1):
        try:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
            return
        except OperationalError as error:
            if not tries_left or getattr(error.orig, "sqlstate", None) != OBJECT_IN_USE:
                raise


def empty(connection: Connection, metadata: MetaData) -> None:
    """Remove all rows, and let ids begin at 1 again.

    To truncate a table makes new files for it and its indexes, a hundred times the cost of deleting
    what a usual test leaves; only what has grown is worth that.
    """
    sizes = "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relname = ANY(:names)"
    grown = connection.scalars(
        text(f"{sizes} AND pg_relation_size(oid) > {GROWN_BYTES}"),
        {"names": list(metadata.tables)},
    ).all()
    if grown:
        connection.execute(text(f"TRUNCATE {', '.join(grown)} CASCADE"))
    deletes = [f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables)]
    restart = "SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'"
    connection.exec_driver_sql("; ".join([*deletes, restart]))


def forget_role() -> None:
    """Remove the role made by `_local_server`."""
    if _local is not None:
        subprocess.run(
            ["su", "postgres", "-c", "psql -q"],
            input=f"DROP ROLE IF EXISTS {ROLE}",
            text=True,
            capture_output=True,
            check=False,
            cwd="/",
        )
