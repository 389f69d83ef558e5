"""An LMS to deliver to, and a deliverer with a real transport."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.delivery.lms import ScriptedLms, running_lms
from tests.delivery.outbox_data import http_transport, new_deliverer
from xqueue_server.callbacks.delivery import Deliverer
from xqueue_server.storage import Storage
from xqueue_server.transport.http import HttpTransport


@pytest.fixture
def lms() -> Iterator[ScriptedLms]:
    with running_lms() as running:
        yield running


@pytest.fixture
def transport() -> Iterator[HttpTransport]:
    made = http_transport()
    yield made
    made.close()


@pytest.fixture
def deliverer(storage: Storage, transport: HttpTransport) -> Iterator[Deliverer]:
    made = new_deliverer(storage, transport)
    yield made
    made.close()
