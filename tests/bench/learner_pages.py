"""What hundreds of learners' pages cost the others: `/xqueue/` with and without them.

    python -m tests.bench.learner_pages [--pages 600] [--seconds 20] [--turns 3]
        [--postgres]

Starts a server of its own, with an attempt for each page. The pages ask every 5 s, as
their script does, with the ETag of what they have; meanwhile one LMS submits again and again. The
turns with and without pages alternate, so that a busy machine is busy for both. Ends with status 1
if a request failed.
"""

from __future__ import annotations

import argparse
import http.client
import json
import secrets
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from deploy.demo.capa import CapaClient
from deploy.demo.processes import LongRunning, answers_http, command, free_port
from tests.bench import durations
from tests.bench.database import open_database
from tests.bench.scratch import scratch
from tests.proctoring.conftest import EXAM, LMS
from tests.proctoring.site import begun, link_of
from tests.server.builders import PASSWORD, add_account, add_queue, callback_url, lms_body
from xqueue_server.models.account import Role
from xqueue_server.storage import migration, open_storage
from xqueue_server.storage.proctoring import ProctoringStore

EVERY_S = 5.0
BETWEEN_SUBMISSIONS_S = 0.05
"""So that the LMS is no flood of its own: what is measured is how long one submission takes."""
THREADS = 24
QUEUE = "bench"
KEY = secrets.token_hex(32)


@dataclass(frozen=True, slots=True)
class Seen:
    took_s: list[float] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


def main() -> int:
    options = argparse.ArgumentParser(
        prog="python -m tests.bench.learner_pages",
        description="What learners' pages cost the others.",
    )
    options.add_argument("--pages", type=int, default=600)
    options.add_argument("--seconds", type=float, default=20, help="of a turn")
    options.add_argument("--turns", type=int, default=3, help="without pages, and with them")
    options.add_argument("--postgres", action="store_true", help="instead of SQLite")
    given = options.parse_args()
    if given.pages < 1 or given.turns < 1 or given.seconds <= 0:
        options.error("--pages, --turns and --seconds must be more than 0")
    kind = "postgresql" if given.postgres else "sqlite"
    with scratch() as folder:
        is_well = run(kind, folder, pages=given.pages, seconds=given.seconds, turns=given.turns)
    return 0 if is_well else 1


def run(kind: str, folder: Path, *, pages: int, seconds: float, turns: int = 3) -> bool:
    """Whether every request was answered as it must be. `kind`: of the database."""
    with open_database(kind, folder) as database:
        sys.stdout.write(f"{database.version}\n")
        return _measure(folder, database.url, pages, seconds, turns)


def _measure(folder: Path, database: str, pages: int, seconds: float, turns: int) -> bool:
    storage = open_storage(database)
    migration.upgrade(storage)
    add_queue(storage, QUEUE)
    add_account(storage, "lms", Role.LMS)
    store = ProctoringStore(storage, KEY.encode())
    with store.write() as session:
        session.lmses.add(LMS)
        exam = session.exams.add(replace(EXAM, time_limit_mins=600))
    attempts = [begun(store, exam, user_id=str(number)) for number in range(1, pages + 1)]
    links = [link_of(store, KEY.encode(), attempt.id) for attempt in attempts]
    storage.close()
    port = free_port()
    settings = {
        "XQUEUE_DATABASE_URL": database,
        "XQUEUE_DATA_DIR": f"{folder}/data",
        "XQUEUE_SECRET_KEY": KEY,
        "XQUEUE_LMS_ORIGINS": "https://lms.example.org",
    }
    argv = command("xqueue-server", "serve", "--bind", f"127.0.0.1:{port}", "--workers", "2")
    serve = LongRunning("serve", argv, settings=settings, log_path=folder / "serve.log")
    try:
        serve.wait_until(lambda: answers_http(f"http://127.0.0.1:{port}/readyz"), 60)
        alone, among, asked = Seen(), Seen(), Seen()
        for _ in range(turns):
            _submit(port, seconds, alone)
            stop = threading.Event()
            askers = [
                threading.Thread(target=_ask, args=(port, links[n::THREADS], stop, asked))
                for n in range(min(THREADS, pages))
            ]
            for asker in askers:
                asker.start()
            _submit(port, seconds, among)
            stop.set()
            for asker in askers:
                asker.join()
    finally:
        serve.stop()
    for what, seen in (
        ("submit, alone", alone),
        (f"submit, among {pages} pages", among),
        ("a page asks", asked),
    ):
        _say(what, seen, turns * seconds)
    return not (alone.complaints or among.complaints or asked.complaints)


def _submit(port: int, seconds: float, seen: Seen) -> None:
    client = CapaClient(url=f"http://127.0.0.1:{port}", username="lms", password=PASSWORD)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        header = {
            "lms_callback_url": callback_url(secrets.token_hex(16)),
            "lms_key": secrets.token_hex(16),
            "queue_name": QUEUE,
        }
        began = time.perf_counter()
        reply = client.submit(json.dumps(header), lms_body())
        if reply.accepted:
            seen.took_s.append(time.perf_counter() - began)
        else:
            seen.complaints.append(reply.content)
        time.sleep(BETWEEN_SUBMISSIONS_S)


def _ask(port: int, links: list[str], stop: threading.Event, seen: Seen) -> None:
    """Some of the pages, one after the other, each every `EVERY_S`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    etags: dict[str, str] = {}
    pause = EVERY_S / len(links)
    while not stop.is_set():
        for link in links:
            began = time.perf_counter()
            headers = {"If-None-Match": etags[link]} if link in etags else {}
            try:
                connection.request("GET", f"{link}/status", headers=headers)
                answer = connection.getresponse()
                answer.read()
            except http.client.RemoteDisconnected:  # kept for too long: asked again in its turn
                connection.close()
            except OSError as error:
                seen.complaints.append(f"{error}")
                connection.close()
            else:
                if answer.status in (http.client.OK, http.client.NOT_MODIFIED):
                    etags[link] = answer.headers["ETag"]
                    seen.took_s.append(time.perf_counter() - began)
                else:
                    seen.complaints.append(f"{answer.status}")
            if stop.wait(max(0.0, pause - (time.perf_counter() - began))):
                return


def _say(what: str, seen: Seen, seconds: float) -> None:
    sys.stdout.write(f"{durations.line(what, seen.took_s)}, {len(seen.took_s) / seconds:.0f}/s\n")
    if seen.complaints:
        sys.stdout.write(f"  {len(seen.complaints)} failed, the first: {seen.complaints[0]}\n")


if __name__ == "__main__":
    sys.exit(main())
