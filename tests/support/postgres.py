"""A PostgreSQL for the tests: the one named by TEST_POSTGRES_URL, or the local server."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url

from tests.support.services import missing_service

ROLE = "xqueue_test"


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
        _local = URL.create(
            "postgresql+psycopg", ROLE + f"_{os.getpid()}", password, "127.0.0.1", 5432, "postgres"
        )
    return _local


def _create_role(password: str) -> bool:
    sql = f"CREATE ROLE {ROLE}_{os.getpid()} LOGIN SUPERUSER PASSWORD '{password}'"
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
    try:
        yield server_url().set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()


def forget_role() -> None:
    """Remove the role made by `_local_server`."""
    if _local is not None:
        subprocess.run(
            ["su", "postgres", "-c", "psql -q"],
            input=f"DROP ROLE IF EXISTS {ROLE}_{os.getpid()}",
            text=True,
            capture_output=True,
            check=False,
            cwd="/",
        )
