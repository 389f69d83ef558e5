"""Bringing the database to the present schema, and knowing whether it is there."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from xqueue_server.storage.engine import Storage, translated_errors

DIRECTORY = Path(__file__).parent / "migrations"
_CURRENT = text("SELECT version_num FROM alembic_version")


def upgrade(storage: Storage) -> None:
    """Migrate to the newest revision; does nothing if the database is there already.

    Raises: StorageUnavailable.
    """
    config = _config()
    with translated_errors(), storage.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()


def current(storage: Storage) -> str | None:
    """The revision of the database; None for an empty one. Raises: StorageUnavailable."""
    with storage.read() as tx:
        if not inspect(tx.connection).has_table("alembic_version"):
            return None
        revision: str | None = tx.scalar(_CURRENT)
        return revision


@cache
def head() -> str | None:
    """The newest revision that this code knows."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def is_current(storage: Storage) -> bool:
    """Raises: StorageUnavailable."""
    return current(storage) == head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(DIRECTORY).replace("%", "%%"))
    return config
