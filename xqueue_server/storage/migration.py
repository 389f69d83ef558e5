"""Bringing the database to the present schema, and knowing whether it is there.

Servers are replaced one by one, so for a while two versions work on one database. A migration
therefore comes in two steps: what only adds (`before`) is applied while the old version still
works, what takes away (`after`) when nobody of it is left. Each revision names in `works_from` the
oldest one whose programs it leaves able to work; the database keeps that, because a program
can not know the revisions that come after it.
"""

from __future__ import annotations

import time
from enum import StrEnum
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import DBAPIError

from xqueue_server.errors import StorageUnavailable
from xqueue_server.storage.engine import Storage, translated_errors
from xqueue_server.storage.schema import schema_compatibility

DIRECTORY = Path(__file__).parent / "migrations"
PATIENCE_S = 60.0
PAUSE_S = 0.5
"""For those who waited for our locks."""
IN_USE = ("40P01", "55P03", "57014")
"""SQLSTATEs: deadlock, lock timeout, and statement timeout, which only taking locks has."""
_CURRENT = text("SELECT version_num FROM alembic_version")
_WORKS_FROM = select(schema_compatibility.c.works_from)


class Step(StrEnum):
    """When a revision is applied; the word stands in each one's file."""

    BEFORE = "before"
    """Before the first program of the new version starts."""
    AFTER = "after"
    """When the last program of the old version has ended."""


def upgrade(storage: Storage, *, until: Step = Step.AFTER, patience_s: float = PATIENCE_S) -> None:
    """Migrate to the newest revision, or to what this version's programs need at least.

    Does nothing if the database is there already, or further. While others use the tables it is
    tried again, for that many seconds. Raises: StorageUnavailable, and nothing has changed then.
    """
    target = head() if until is Step.AFTER else needed()
    give_up_at = time.monotonic() + patience_s
    while (present := current(storage)) is None or present < target:
        try:
            _apply(storage, target)
        except StorageUnavailable as busy:
            if not _are_tables_in_use(busy):
                raise
            if time.monotonic() >= give_up_at:
                raise StorageUnavailable(
                    f"for {patience_s:g} s others have had its tables in use ({busy}); "
                    "end what works on them for so long, and try again"
                ) from busy
            time.sleep(PAUSE_S)


def _apply(storage: Storage, target: str) -> None:
    config = _config()
    with translated_errors(), storage.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, target)
        connection.commit()


def _are_tables_in_use(error: StorageUnavailable) -> bool:
    cause = error.__cause__
    return isinstance(cause, DBAPIError) and getattr(cause.orig, "sqlstate", "") in IN_USE


def current(storage: Storage) -> str | None:
    """The revision of the database; None for an empty one. Raises: StorageUnavailable."""
    with storage.read() as tx:
        if not inspect(tx.connection).has_table("alembic_version"):
            return None
        revision: str | None = tx.scalar(_CURRENT)
        return revision


@cache
def head() -> str:
    """The newest revision that this code knows."""
    return _revisions()[-1].revision


@cache
def needed() -> str:
    """The oldest revision that this code can work with: the newest of the `before` steps."""
    return next(r.revision for r in reversed(_revisions()) if r.module.step == Step.BEFORE)


def is_current(storage: Storage) -> bool:
    """Whether this code can work with the database: it has what is needed, and where it is of a
    later version, that one lets ours go on. Raises: StorageUnavailable."""
    present = current(storage)
    if present is None or present < needed():
        return False
    if present <= head():
        return True
    with storage.read() as tx:
        works_from = tx.scalar(_WORKS_FROM)
    return works_from is not None and works_from <= head()


def problem(storage: Storage) -> str | None:
    """Why this code can not work with the database, and what to do; None where it can.

    Raises: StorageUnavailable.
    """
    if is_current(storage):
        return None
    present = current(storage)
    if present is None or present <= head():
        return "the database is not migrated; run `xqueue-server db upgrade`"
    return (
        f"the database is of a later version (revision {present}) that this one can not work with; "
        "start the programs of that version"
    )


def _revisions() -> list[Script]:
    """Oldest first."""
    return list(reversed(list(ScriptDirectory.from_config(_config()).walk_revisions())))


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(DIRECTORY).replace("%", "%%"))
    return config
