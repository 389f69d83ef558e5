"""A client of the live streams that speaks HTTP by itself, and a server on a free port."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlencode

from proctoring_hooks.store import News
from tests.proctoring.conftest import COURSE, SECRET_KEY
from xqueue_server.live import ticket as tickets
from xqueue_server.live.process import Bind, listening, serve_until
from xqueue_server.live.ticket import Ticket
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore, news
from xqueue_server.storage.proctoring.news import Place, PlacedNews

TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    id: str
    name: str
    data: Any


def a_ticket(course_id: str = COURSE, *, lasts_s: float = 300, **fields: Any) -> Ticket:
    given: dict[str, Any] = {"exam_id": None, "attempt_id": None, "holder": "h"} | fields
    return Ticket(lms="edx", course_id=course_id, until_s=int(time.time() + lasts_s), **given)


def tell(store: ProctoringStore, kind: str, *, attempt_id: int = 1, course: str = COURSE) -> None:
    with store.write() as session:
        session.tell(News(lms="edx", course_id=course, attempt_id=attempt_id, kind=kind))


def tell_and_settle(
    storage: Storage, store: ProctoringStore, kind: str, *, attempt_id: int = 1
) -> None:
    """Until it can be read, which PostgreSQL's own housekeeping in this database may delay."""
    before = place_now(storage)
    tell(store, kind, attempt_id=attempt_id)
    until = time.monotonic() + TIMEOUT_S
    while kind not in [each.kind for each in _after(storage, before)]:
        assert time.monotonic() < until, "a transaction of somebody stays open"
        time.sleep(0.01)


def _after(storage: Storage, place: Place) -> Sequence[PlacedNews]:
    with storage.read() as tx:
        return news.after(tx, place, limit=1000)


def place_now(storage: Storage) -> Place:
    with storage.read() as tx:
        return news.settled(tx)


class Stream:
    """One connection; iterating over it gives events until the server ends it."""

    def __init__(
        self,
        port: int,
        ticket: Ticket,
        *,
        last_event_id: str = "",
        secret_key: bytes = SECRET_KEY,
        **query: object,
    ) -> None:
        asked = {"course": COURSE, "ticket": tickets.written(ticket, secret_key)} | query
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        self._connection.request("GET", f"/proctoring/events?{urlencode(asked)}", headers=headers)
        self._response = self._connection.getresponse()
        self.status = self._response.status
        self.headers = self._response.headers

    def body(self) -> str:
        return self._response.read().decode()

    def __iter__(self) -> Iterator[Event]:
        fields: dict[str, str] = {}
        for line in self._response:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "data" in fields:
                yield Event(id=fields["id"], name=fields["event"], data=json.loads(fields["data"]))
                fields = {}
            else:
                fields = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        self._response.close()
        self._connection.close()


@contextmanager
def streaming(storage: Storage, *, most_clients: int = 100) -> Iterator[int]:
    """The port of a server as `xqueue-server events` runs it, ready to be asked."""
    stop = threading.Event()
    with listening(Bind(host="127.0.0.1", port=0)) as opened:
        port = int(opened.getsockname()[1])
        serving = threading.Thread(
            target=serve_until,
            args=(stop, opened, storage, SECRET_KEY),
            kwargs={"most_clients": most_clients, "beat": lambda: None},
        )
        serving.start()
        try:
            wait_until_ready(port)
            yield port
        finally:
            stop.set()
            serving.join()


def wait_until_ready(port: int) -> None:
    until = time.monotonic() + TIMEOUT_S
    while ask(port, "/readyz")[0] != 200:
        assert time.monotonic() < until, "the stream's process does not become ready"
        time.sleep(0.02)


def ask(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except ConnectionRefusedError:
        return 0, ""
    finally:
        connection.close()
