"""What every command needs from around it: the settings, the database, the operator's name."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from xqueue_server import settings
from xqueue_server.errors import Conflict, StorageUnavailable
from xqueue_server.settings import Settings
from xqueue_server.storage import Storage, open_storage


@contextmanager
def database(loaded: Settings | None = None) -> Iterator[Storage]:
    """The database that the settings name; without settings, those of the environment.

    Raises:
        SettingsError: the environment is wrong.
        StorageUnavailable: the database can not be reached.
        Conflict: its tables are not those of this version.
    """
    storage = open_storage((loaded or settings.load()).database_url, pool_size=2)
    try:
        yield storage
    except StorageUnavailable as error:
        raise StorageUnavailable(f"The database can not be used now: {error}") from error
    except DBAPIError as error:
        raise Conflict(
            f"The database refused: {error.orig}. If `xqueue-server db status` shows that it is "
            "not up to date, run `xqueue-server db upgrade`"
        ) from error
    finally:
        storage.close()


def actor() -> str:
    """Who is recorded as having done it."""
    try:
        return f"operator {getpass.getuser()}"
    except (KeyError, OSError):  # a container's user without a name
        return f"operator uid {os.getuid()}"
