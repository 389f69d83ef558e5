"""A copy of an SQLite database that is being used. PostgreSQL brings its own tools."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from xqueue_server.errors import Conflict
from xqueue_server.storage import migration
from xqueue_server.storage.engine import Storage, translated_errors


def back_up(storage: Storage, target: Path) -> int:
    """Copy all that is committed at one moment to a file that is not there yet; returns its size
    in bytes. Readers and writers go on meanwhile.

    Raises:
        Conflict: `target` exists or can not be made, or the database is empty or not SQLite.
        StorageUnavailable: the database can not be read.
    """
    if storage.engine.dialect.name != "sqlite":
        raise Conflict("This database is PostgreSQL: back it up with pg_dump --format=custom")
    if migration.current(storage) is None:
        raise Conflict("This database is empty; look at XQUEUE_DATABASE_URL and XQUEUE_DATA_DIR")
    if target.exists():
        raise Conflict(f"{target} exists, and nothing is overwritten; give another name")
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        draft.touch(mode=0o600, exist_ok=False)
        with translated_errors(), storage.engine.connect() as connection:
            source = connection.connection.driver_connection
            assert isinstance(source, sqlite3.Connection)
            _copy(source, draft)
        os.link(draft, target)  # fails where another one has come first
    except OSError as error:
        raise Conflict(f"can not make {target}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            draft.unlink()
    _sync(target.parent)
    return target.stat().st_size


def _copy(source: sqlite3.Connection, draft: Path) -> None:
    """In one step, as each interruption by a writer would make it begin again."""
    with closing(sqlite3.connect(draft, isolation_level=None)) as copy:
        source.backup(copy)
        # One file that needs no other beside it.
        copy.execute("PRAGMA journal_mode=DELETE")
    _sync(draft)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
