"""Everything that a database would show to somebody who reads all of it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy.engine import make_url

from tests.support.services import missing_service
from xqueue_server.storage import Storage


def traces(storage: Storage, secrets: Iterable[str]) -> list[str]:
    """Of the secrets, those that are in the database: as text, or as pg_dump writes bytes."""
    found = dump(storage)
    return [s for s in secrets if s.encode() in found or s.encode().hex().encode() in found]


def dump(storage: Storage) -> bytes:
    parsed = storage.engine.url
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_dump(Path(str(parsed.database)))
    return _postgres_dump(parsed.render_as_string(hide_password=False))


def _sqlite_dump(path: Path) -> bytes:
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path.read_bytes()


def _postgres_dump(given: str) -> bytes:
    if not shutil.which("pg_dump"):
        missing_service("pg_dump")
    of = make_url(given)
    where = ("-h", str(of.host), "-p", str(of.port or 5432), "-U", str(of.username))
    done = subprocess.run(
        ["pg_dump", "--data-only", *where, "-d", str(of.database)],
        env=os.environ | {"PGPASSWORD": str(of.password)},
        capture_output=True,
        check=True,
    )
    return done.stdout
