"""A database of the bench's own: an SQLite file, or a PostgreSQL cluster on a free port."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from deploy.demo.processes import free_port

START_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    kind: str
    """sqlite or postgresql, as in a URL."""
    url: str
    version: str
    processes: Callable[[], list[int]]
    """Roots of the process trees that do its work; none for SQLite."""


class NoPostgres(Exception):
    """There is no PostgreSQL to measure; says what to do."""


def check(kind: str) -> None:
    """Say at once, not after the other backend's minutes. Raises: NoPostgres."""
    if kind == "postgresql" and not os.environ.get("TEST_POSTGRES_URL"):
        _programs()


@contextmanager
def open_database(kind: str, directory: Path) -> Iterator[Database]:
    """An empty database, gone at the end of the block. Raises: NoPostgres."""
    if kind == "sqlite":
        yield Database(
            kind=kind,
            url=f"sqlite:///{directory}/xqueue.db",
            version=f"SQLite {sqlite3.sqlite_version}",
            processes=list,
        )
        return
    given = os.environ.get("TEST_POSTGRES_URL")
    with _database_of(given) if given else _cluster(directory) as database:
        yield database


def native_url(database: Database) -> str:
    """The URL as psycopg itself takes it."""
    return database.url.replace("+psycopg", "", 1)


# -- a cluster of our own --------------------------------------------------------------------------


@contextmanager
def _cluster(directory: Path) -> Iterator[Database]:
    """A cluster as initdb makes it (fsync on): its CPU is ours alone, whatever else runs here."""
    programs = _programs()
    password, port = secrets.token_hex(16), free_port()
    user = "postgres" if os.geteuid() == 0 else None
    password_file = directory / "postgres-password"
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    if user:
        directory.chmod(0o711)
        shutil.chown(password_file, user)
    data = directory / "postgres"
    data.mkdir(mode=0o700)
    if user:
        shutil.chown(data, user)
    initdb: list[str | Path] = [
        programs / "initdb",
        "-D",
        data,
        "-U",
        "bench",
        "-A",
        "scram-sha-256",
    ]
    initdb += ["-E", "UTF8", "--locale=C.UTF-8", "--pwfile", password_file]
    made = subprocess.run(initdb, user=user, capture_output=True, text=True, cwd="/")
    if made.returncode:
        raise NoPostgres(f"initdb: {made.stderr.strip()[-300:]}")
    command: list[str | Path] = [programs / "postgres", "-D", data, "-p", str(port)]
    command += ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
    with (directory / "postgres.log").open("wb") as log:
        server = subprocess.Popen(
            command, user=user, stdout=log, stderr=log, cwd="/", start_new_session=True
        )
    try:
        url = f"postgresql+psycopg://bench:{password}@127.0.0.1:{port}/postgres"
        yield Database(
            kind="postgresql",
            url=url,
            version=_version(url),
            processes=lambda: [server.pid],
        )
    finally:
        server.send_signal(signal.SIGINT)  # fast shutdown
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.send_signal(signal.SIGQUIT)
            server.wait(10)


def _programs() -> Path:
    """The directory of initdb and postgres. Raises: NoPostgres."""
    on_path = shutil.which("initdb")
    found = [Path(on_path)] if on_path else list(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        raise NoPostgres("no PostgreSQL here: apt-get install postgresql, or set TEST_POSTGRES_URL")
    return max(found, key=lambda path: [int(n) for n in re.findall(r"\d+", str(path))]).parent


def _version(url: str) -> str:
    deadline_s = time.monotonic() + START_S
    while True:
        try:
            with psycopg.connect(url.replace("+psycopg", "", 1), connect_timeout=3) as connection:
                row = connection.execute("SHOW server_version").fetchone()
                assert row is not None
                return f"PostgreSQL {row[0]}"
        except psycopg.OperationalError:
            if time.monotonic() > deadline_s:
                raise
        time.sleep(0.1)


# -- a database on a server that is given ----------------------------------------------------------


@contextmanager
def _database_of(server_url: str) -> Iterator[Database]:
    """A private database there. Its CPU is that of every PostgreSQL process on this host."""
    url = make_url(server_url).set(drivername="postgresql+psycopg")
    admin = url.set(drivername="postgresql").render_as_string(hide_password=False)
    name = f"xqueue_bench_{secrets.token_hex(4)}"
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        own = url.set(database=name).render_as_string(hide_password=False)
        yield Database(
            kind="postgresql", url=own, version=_version(own), processes=_all_postmasters
        )
    finally:
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _all_postmasters() -> list[int]:
    """Processes called postgres whose parent is not."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                name, _, rest = (entry / "stat").read_text().rpartition(")")
            except OSError:
                continue
            if name.endswith("(postgres"):
                parents[int(entry.name)] = int(rest.split()[1])
    return [pid for pid, parent in parents.items() if parent not in parents]
