"""A real server with several processes, a deliverer and an LMS, each with its metrics."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.demo.processes import LongRunning, answers_http, command, free_port, stop_all
from tests.delivery.lms import ScriptedLms, running_lms
from tests.server.builders import QUEUE, Desk, add_queue, callback_url, lms_header, open_desk
from tests.server.test_real_server import Connection
from xqueue_server.accounts.sessions import Sessions
from xqueue_server.instant import ManualClock
from xqueue_server.models.account import Account
from xqueue_server.storage import open_storage

SECRET = "0123456789abcdef" * 2
START_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    desk: Desk
    lms: ScriptedLms
    web: LongRunning
    web_port: int
    metrics_dir: Path
    deliver: LongRunning | None
    deliver_port: int

    def connect(self, account: Account) -> closing[Connection]:
        session = Sessions(SECRET.encode()).issue(account)
        return closing(Connection(self.web_port, session))

    @property
    def header(self) -> str:
        """Of a submission whose grade goes to the scripted LMS."""
        return lms_header(callback_url(origin=self.lms.origin))

    def workers(self) -> list[int]:
        """Process ids of the web workers."""
        tasks = Path(f"/proc/{self.web.pid}/task/{self.web.pid}/children")
        return [int(pid) for pid in tasks.read_text().split()]

    def log_lines(self, process: LongRunning) -> list[dict[str, Any]]:
        return [json.loads(line) for line in process.log_path.read_text().splitlines()]


@contextmanager
def running_stack(
    database_url: str,
    directory: Path,
    *,
    workers: int = 2,
    with_deliver: bool = True,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Stack]:
    storage = open_storage(database_url)
    web_port, deliver_port = free_port(), free_port()
    metrics_dir = directory / "metrics"
    with running_lms() as lms:
        add_queue(storage)
        given = {
            "XQUEUE_DATA_DIR": str(directory / "data"),
            "XQUEUE_DATABASE_URL": database_url,
            "XQUEUE_SECRET_KEY": SECRET,
            "XQUEUE_LMS_ORIGINS": lms.origin,
            "XQUEUE_METRICS_DIR": str(metrics_dir),
            **(settings or {}),
        }
        started: list[LongRunning] = []

        def start(name: str, *arguments: str) -> LongRunning:
            argv = command("xqueue-server", name, *arguments)
            started.append(
                LongRunning(name, argv, settings=given, log_path=directory / f"{name}.log")
            )
            return started[-1]

        try:
            bind = ("--bind", f"127.0.0.1:{web_port}", "--workers", str(workers))
            web = start("serve", *bind)
            deliver = (
                start("deliver", "--metrics", f"127.0.0.1:{deliver_port}") if with_deliver else None
            )
            web.wait_until(lambda: answers_http(f"http://127.0.0.1:{web_port}/readyz"), START_S)
            if deliver:
                shown = f"http://127.0.0.1:{deliver_port}/metrics"
                deliver.wait_until(lambda: answers_http(shown), START_S)
            yield Stack(
                desk=open_desk(storage, ManualClock()),
                lms=lms,
                web=web,
                web_port=web_port,
                metrics_dir=metrics_dir,
                deliver=deliver,
                deliver_port=deliver_port,
            )
        finally:
            stop_all(started)
            storage.close()


def until(happened: Any, what: str) -> Any:
    """Ask again and again until the answer is true, and return it; fails after a minute."""
    deadline = time.monotonic() + START_S
    while not (answer := happened()):
        assert time.monotonic() < deadline, f"not within {START_S:.0f} s: {what}"
        time.sleep(0.02)
    return answer


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


__all__ = ["QUEUE", "Stack", "is_alive", "running_stack", "until"]
