"""How soon many open pages are told of a change, and what that costs.

    python -m tests.bench.event_streams [--streams 500] [--seconds 30] [--postgres]

Starts one `xqueue-server events` of its own, opens the streams, and tells of changes of attempts;
one more stream never reads. Says how long after the commit each change is with each stream, and
the memory and processor time of the process. Ends with status 1 if a stream missed a change.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from deploy.demo.processes import LongRunning, answers_http, command, free_port
from tests.bench import durations
from tests.bench.cpu import tree_cpu_s
from tests.bench.database import open_database
from tests.bench.memory import tree_memory_mib
from tests.bench.scratch import scratch
from tests.proctoring.conftest import COURSE
from tests.proctoring.streams import a_ticket, tell
from xqueue_server.live import ticket as tickets
from xqueue_server.storage import migration, open_storage
from xqueue_server.storage.proctoring import ProctoringStore

PAUSE_S = 0.2
"""Between two changes, each of which all streams are told."""
HOLDERS_SHARE = 10
"""Streams of one session."""
LAST_S = 5.0
"""What is on its way at the end has so long to arrive."""
KEY = secrets.token_hex(32)


@dataclass(frozen=True, slots=True)
class Told:
    took_s: list[float] = field(default_factory=list)
    heard: list[int] = field(default_factory=list)
    """How many of the changes each stream has heard."""


def main() -> int:
    options = argparse.ArgumentParser(
        prog="python -m tests.bench.event_streams",
        description="How soon open pages are told of a change.",
    )
    options.add_argument("--streams", type=int, default=500)
    options.add_argument("--seconds", type=float, default=30)
    options.add_argument("--postgres", action="store_true", help="instead of SQLite")
    given = options.parse_args()
    if given.streams < 1 or given.seconds <= 0:
        options.error("--streams and --seconds must be more than 0")
    kind = "postgresql" if given.postgres else "sqlite"
    with scratch() as folder:
        is_well = run(kind, folder, streams=given.streams, seconds=given.seconds)
    return 0 if is_well else 1


def run(kind: str, folder: Path, *, streams: int, seconds: float) -> bool:
    """Whether every stream was told of every change. `kind`: of the database."""
    with open_database(kind, folder) as database:
        sys.stdout.write(f"{database.version}\n")
        return _measure(folder, database.url, streams, seconds)


def _measure(folder: Path, url: str, streams: int, seconds: float) -> bool:
    storage = open_storage(url)
    migration.upgrade(storage)
    store = ProctoringStore(storage, KEY.encode())
    port = free_port()
    settings = {
        "XQUEUE_DATABASE_URL": url,
        "XQUEUE_DATA_DIR": f"{folder}/data",
        "XQUEUE_SECRET_KEY": KEY,
        "XQUEUE_LMS_ORIGINS": "https://lms.example.org",
    }
    asked = ("events", "--bind", f"127.0.0.1:{port}", "--most-clients", str(streams + 10))
    argv = command("xqueue-server", *asked)
    events = LongRunning("events", argv, settings=settings, log_path=folder / "events.log")
    try:
        events.wait_until(lambda: answers_http(f"http://127.0.0.1:{port}/readyz"), 60)
        before = tree_cpu_s([events.pid])
        began = time.monotonic()
        told, changes = asyncio.run(_listen(port, streams, seconds, store))
        took = time.monotonic() - began
        cpu = tree_cpu_s([events.pid]) - before
        memory_mib = tree_memory_mib([events.pid])
    finally:
        events.stop()
        storage.close()
    missed = sum(changes - heard for heard in told.heard)
    sys.stdout.write(
        f"{streams} streams, {changes} changes: {len(told.took_s)} told, {missed} missed\n"
        f"{durations.line('change to event', told.took_s)}\n"
        f"the process: {memory_mib:.0f} MiB, {cpu / took:.0%} of a processor\n"
    )
    return not missed


# -- listening -----------------------------------------------------------------------------------


async def _listen(
    port: int, streams: int, seconds: float, store: ProctoringStore
) -> tuple[Told, int]:
    told, committed = Told(), dict[str, float]()
    opened = [await _opened(port, f"holder {n // HOLDERS_SHARE}") for n in range(streams)]
    _idle = await _opened(port, "who never reads")
    listening = [asyncio.create_task(_hear(reader, committed, told)) for reader, _ in opened]
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        kind = f"change {len(committed)}"
        committed[kind] = await asyncio.to_thread(_commit, store, kind)
        await asyncio.sleep(PAUSE_S)
    await asyncio.sleep(LAST_S)
    for task in listening:
        task.cancel()
    told.heard.extend(await asyncio.gather(*listening))
    for _, writer in [*opened, _idle]:
        writer.close()
    return told, len(committed)


def _commit(store: ProctoringStore, kind: str) -> float:
    tell(store, kind)
    return time.monotonic()


async def _opened(port: int, holder: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    ticket = tickets.written(a_ticket(lasts_s=3600, holder=holder), KEY.encode())
    query = urlencode({"course": COURSE, "ticket": ticket})
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /proctoring/events?{query} HTTP/1.1\r\nHost: events\r\n\r\n".encode())
    status = await reader.readline()
    assert b" 200 " in status, status
    return reader, writer


async def _hear(reader: asyncio.StreamReader, committed: dict[str, float], told: Told) -> int:
    """How many changes, until it is cancelled."""
    heard = 0
    try:
        while line := await reader.readline():
            _, found, rest = line.decode().partition('"kind": "')
            if found:
                heard += 1
                at, kind = time.monotonic(), rest.partition('"')[0]
                # Before the thread that commits it has said when: it took no time.
                told.took_s.append(max(0.0, at - committed.get(kind, at)))
    except asyncio.CancelledError:
        pass
    return heard


if __name__ == "__main__":
    sys.exit(main())
