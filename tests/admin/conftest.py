"""The web application, and people who look at its admin pages."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.admin.visitor import Visitor
from tests.server.builders import QUEUE, add_account
from tests.server.conftest import desk, environment, server, server_settings
from tests.server.web_client import Server
from xqueue_server.models.account import ALL_QUEUES, Role
from xqueue_server.web.admin import session

__all__ = ["desk", "environment", "server", "server_settings"]


@pytest.fixture
def database_url(tmp_path: Path, migrated_sqlite: Path) -> str:
    """The quick one: what pages call is tested on both elsewhere. Modules that test what is only
    here take the fixture of both kinds."""
    path = tmp_path / "xqueue.db"
    shutil.copyfile(migrated_sqlite, path)
    return f"sqlite:///{path}"


SignedIn = Callable[..., Visitor]


@pytest.fixture
def visitor(server: Server) -> Visitor:
    return Visitor(server.app)


@pytest.fixture
def signed_in(server: Server) -> SignedIn:
    """A visitor signed in to a new account with these roles on a queue."""

    def sign_in(*roles: Role, queue: str = QUEUE, name: str = "") -> Visitor:
        name = name or "-".join(roles) or "nobody"
        account = add_account(server.desk.storage, name, *roles, queue=queue)
        visitor = Visitor(server.app)
        visitor.carry(session.begin(server.desk.storage, account))
        return visitor

    return sign_in


@pytest.fixture
def admin(signed_in: SignedIn) -> Visitor:
    return signed_in(Role.ADMIN, queue=ALL_QUEUES, name="chief")
