"""A desk (no web between) on each kind of database."""

from __future__ import annotations

import pytest

from tests.server.builders import Desk, add_queue, open_desk
from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage


@pytest.fixture
def desk(storage: Storage, clock: ManualClock) -> Desk:
    """With one queue on the default terms."""
    add_queue(storage)
    return open_desk(storage, clock)
