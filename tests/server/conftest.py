"""A desk (core only) and a server without sockets, on each kind of database."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.builders import ORIGIN, Desk, add_queue, open_desk
from tests.server.web_client import Server
from xqueue_server import settings
from xqueue_server.app import create_app
from xqueue_server.instant import ManualClock
from xqueue_server.settings import Settings
from xqueue_server.storage import Storage


@pytest.fixture
def desk(storage: Storage, clock: ManualClock) -> Desk:
    """With one queue on the default terms."""
    add_queue(storage)
    return open_desk(storage, clock)


@pytest.fixture
def environment(tmp_path: Path, database_url: str) -> dict[str, str]:
    return {
        "XQUEUE_DATA_DIR": str(tmp_path / "data"),
        "XQUEUE_DATABASE_URL": database_url,
        "XQUEUE_SECRET_KEY": "0123456789abcdef" * 2,
        "XQUEUE_LMS_ORIGINS": ORIGIN,
        "XQUEUE_PUBLIC_URL": "https://xqueue.example.org",
        "XQUEUE_MAX_BODY_BYTES": "700000",
        "XQUEUE_MAX_FILE_BYTES": "10000",
        "XQUEUE_MAX_FILES": "3",
        "XQUEUE_THREADS": "4",
    }


@pytest.fixture
def server_settings(environment: dict[str, str]) -> Settings:
    return settings.load(environment)


@pytest.fixture
def server(server_settings: Settings, desk: Desk) -> Server:
    """The web application on the desk's database, with its default queue and accounts."""
    return Server(create_app(server_settings, desk.storage), desk)
