"""Fixtures that every suite may use: a migrated database of each kind, with a clock to move, and
the real sandboxes, each opened once for all of them."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import QueuePool
from werkzeug.routing import Rule

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
WHOLE_MACHINE = ("acceptance", "deploy", "docker", "examples", "hostile", "images", "sandbox")
"""Folders whose tests look at, or hold, what a machine has once: the engine's images, volumes and
networks, what runs have left anywhere, the processors, of which programs must have enough to end in
their time. One process has all of these."""
WHOLE_FOLDER = ("crash", "supervisor", "wire")
"""They start the product once for all of their files, or count the processes of one user id."""


def _unit(node_id: str) -> str:
    """What is run by one process, where there are several, and in the order of the files: a file,
    whose fixtures may be dear, or a folder, or several."""
    file = node_id.partition("::")[0]
    folder = Path(file).parts[1]
    if folder in WHOLE_MACHINE:
        return "the whole machine"
    return folder if folder in WHOLE_FOLDER else file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that no process has it left when the others have nothing to do."""
    items.sort(key=lambda item: _unit(item.nodeid) != "the whole machine")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes may hold the second in which they were packed; all processes must name a test alike."""
    return argname if isinstance(val, bytes) and len(val) > 40 else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Not by pytest-xdist's own groups: 3.8 silently knows none under pytest 9.2."""
    from xdist.scheduler import LoadScopeScheduling

    class ByUnit(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _unit(nodeid)

    config.option.loadscopereorder = False
    return ByUnit(config, log)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on the settings of the shell it was started from."""
    for name in list(os.environ):
        if name.startswith(("XQUEUE_", "GRADER_WORKER_")):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True, scope="session")
def _compiled_routes() -> Iterator[None]:
    """Thousands of applications are made here, all with the same routes: they are compiled once,
    which is most of what an application costs."""
    compiled: dict[Hashable, Any] = {}
    compile_builder = Rule._compile_builder

    def compile_once(rule: Rule, append_unknown: bool = True) -> Any:
        key = (*rule._trace, str(rule.defaults), append_unknown)
        if key not in compiled:
            compiled[key] = compile_builder(rule, append_unknown)
        return compiled[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "_compile_builder", compile_once)
        yield


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


@pytest.fixture(scope="session")
def _postgres_connections(migrated_postgres: str) -> Iterator[Engine]:
    """To empty it with; there are tests that cut all connections."""
    connections = create_engine(migrated_postgres, pool_pre_ping=True)
    yield connections
    connections.dispose()


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
    connections: Engine = request.getfixturevalue("_postgres_connections")
    with connections.begin() as connection:
        postgres.empty(connection, metadata)
    return connections.url.render_as_string(hide_password=False)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def storage(database_url: str, clock: ManualClock) -> Iterator[Storage]:
    """An open database whose "now" is `clock` (also reachable as `storage.clock`)."""
    opened = open_storage(database_url, clock=clock)
    yield opened
    _wait_for_threads_that_read(opened)
    opened.close()


def _wait_for_threads_that_read(opened: Storage) -> None:
    """An application's thread that looks for work may still be doing so. The connection that it has
    would outlive the pool, and its end be an unraisable error in some later test."""
    pool = opened.engine.pool
    assert isinstance(pool, QueuePool)
    deadline = time.monotonic() + 30
    while pool.checkedout() and time.monotonic() < deadline:
        time.sleep(0.005)
