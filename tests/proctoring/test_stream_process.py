"""`xqueue-server events` as its operator runs it."""

from __future__ import annotations

import shutil
import urllib.request
from pathlib import Path

from deploy.demo.processes import LongRunning, answers_http, command, free_port
from tests.admin.browser import START_S
from tests.proctoring.conftest import SECRET_KEY
from tests.proctoring.streams import Stream, a_ticket, tell
from xqueue_server.storage import beats, open_storage
from xqueue_server.storage.proctoring import ProctoringStore


def test_the_process_streams_counts_and_ends_its_streams_when_told_to_stop(
    tmp_path: Path, migrated_sqlite: Path
) -> None:
    database = tmp_path / "xqueue.db"
    shutil.copyfile(migrated_sqlite, database)
    storage = open_storage(f"sqlite:///{database}")
    port, metrics_port = free_port(), free_port()
    settings = {
        "XQUEUE_DATABASE_URL": f"sqlite:///{database}",
        "XQUEUE_DATA_DIR": str(tmp_path / "data"),
        "XQUEUE_SECRET_KEY": SECRET_KEY.decode(),
    }
    at = (f"--bind=127.0.0.1:{port}", f"--metrics=127.0.0.1:{metrics_port}")
    log = tmp_path / "events.log"
    process = LongRunning(
        "events", command("xqueue-server", "events", *at), settings=settings, log_path=log
    )
    try:
        process.wait_until(lambda: answers_http(f"http://127.0.0.1:{port}/readyz"), START_S)
        with Stream(port, a_ticket()) as stream:
            tell(ProctoringStore(storage, SECRET_KEY), "started")
            events = iter(stream)
            with storage.read() as tx:
                assert "events" in beats.ages_s(tx)
            assert next(events).data["kind"] == "started"
            with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics") as answer:
                assert b"xqueue_event_streams_opened_total 1.0" in answer.read()
            process.ask_to_stop()
            assert list(events) == []  # it was ended, not torn off
    finally:
        process.stop()
        storage.close()
    said = log.read_text()
    assert "exception" not in said
    assert "ticket" not in said
