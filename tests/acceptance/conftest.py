from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.demo.lms import StandInLms
from deploy.demo.processes import free_port
from tests.acceptance.services import PrivateRedis
from tests.acceptance.site import Site
from tests.support import postgres


@pytest.fixture
def lms() -> Iterator[StandInLms]:
    # Where nobody else is put while it is away, as are ports that Linux chooses.
    with StandInLms(port=free_port()) as running:
        yield running


@pytest.fixture
def own_postgres(postgres_url: str) -> Iterator[str]:
    """Apart from the one that other suites empty; `postgres_url` removes the role in the end."""
    with postgres.database() as url:
        yield url


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[PrivateRedis]:
    server = PrivateRedis(tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def server_site(own_postgres: str, lms: StandInLms, tmp_path: Path) -> Iterator[Site]:
    """Server alone, on PostgreSQL in production mode."""
    with Site(tmp_path, database_url=own_postgres, lms_origin=lms.origin) as site:
        site.prepare()
        site.start_server()
        yield site
