"""The web application with two queues, and callers of every kind."""

from __future__ import annotations

import pytest

from tests.api.callers import OTHER, Site
from tests.server.builders import add_queue
from tests.server.conftest import desk, environment, server, server_settings
from tests.server.web_client import Server

__all__ = ["desk", "environment", "server", "server_settings"]


@pytest.fixture
def site(server: Server) -> Site:
    add_queue(server.desk.storage, OTHER)
    return Site(server)
