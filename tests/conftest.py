"""Fixtures that every suite may use: a migrated database of each kind, with a clock to move, and
the real sandboxes, each opened once for all of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.support import postgres
from tests.support.sandboxes import (  # noqa: F401 - pytest takes fixtures from here
    backend,
    bubblewrap_backend,
    docker_backend,
    engine,
)
from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage, migration, open_storage
from xqueue_server.storage.schema import metadata

BACKENDS = ("sqlite", "postgresql")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on the settings of the shell it was started from."""
    for name in list(os.environ):
        if name.startswith(("XQUEUE_", "GRADER_WORKER_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """An empty PostgreSQL database that lives as long as the test session."""
    with postgres.database() as url:
        yield url
    postgres.forget_role()


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite file to copy: migrating anew for every test would be slow."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres_url: str) -> str:
    _migrate(postgres_url)
    return postgres_url


def _migrate(url: str) -> None:
    storage = open_storage(url)
    migration.upgrade(storage)
    storage.close()  # the last connection to an SQLite file also folds its log into it


@pytest.fixture(params=BACKENDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a migrated, empty database, once per kind."""
    if request.param == "sqlite":
        path = tmp_path / "xqueue.db"
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), path)
        return f"sqlite:///{path}"
    url: str = request.getfixturevalue("migrated_postgres")
    storage = open_storage(url)
    with storage.engine.begin() as connection:
        names = ", ".join(metadata.tables)
        connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
    storage.close()
    return url


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def storage(database_url: str, clock: ManualClock) -> Iterator[Storage]:
    """An open database whose "now" is `clock` (also reachable as `storage.clock`)."""
    opened = open_storage(database_url, clock=clock)
    yield opened
    opened.close()
