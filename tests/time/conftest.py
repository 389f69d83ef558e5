"""A desk (an LMS and a grader at one database), on each kind of database, with a clock to move."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.builders import Desk, add_queue, open_desk
from xqueue_server.files.local import LocalFiles
from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage


@pytest.fixture
def desk(storage: Storage, clock: ManualClock) -> Desk:
    """With one queue on the default terms."""
    add_queue(storage)
    return open_desk(storage, clock)


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "files")
