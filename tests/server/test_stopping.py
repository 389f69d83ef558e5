"""`serve` on SIGTERM: who has a connection gets an answer, who has none can ask another server."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from deploy.demo.processes import LongRunning, answers_http, command, free_port, stop_all

START_S = 60.0
CALLERS = 8
ASK = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
SIGTERM_BIT = 1 << (signal.SIGTERM - 1)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def serve(tmp_path: Path, migrated_sqlite: Path, port: int) -> Iterator[LongRunning]:
    shutil.copyfile(migrated_sqlite, tmp_path / "xqueue.db")
    process = LongRunning(
        "serve",
        command("xqueue-server", "serve", "--bind", f"127.0.0.1:{port}", "--workers", "1"),
        settings={
            "XQUEUE_DATABASE_URL": f"sqlite:///{tmp_path / 'xqueue.db'}",
            "XQUEUE_DATA_DIR": str(tmp_path / "data"),
        },
        log_path=tmp_path / "serve.log",
    )
    try:
        process.wait_until(lambda: answers_http(f"http://127.0.0.1:{port}/healthz"), START_S)
        yield process
    finally:
        stop_all([process])


def worker_of(pid: int) -> int:
    (worker,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(worker)


def status_of(process: Path) -> dict[str, str]:
    lines = (process / "status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def is_stopped(pid: int) -> bool:
    threads = Path(f"/proc/{pid}/task").iterdir()
    return all(status_of(thread)["State"].startswith("T") for thread in threads)


def has_sigterm_to_come(pid: int) -> bool:
    return bool(int(status_of(Path(f"/proc/{pid}"))["ShdPnd"], 16) & SIGTERM_BIT)


def answer_on(connection: socket.socket) -> bytes:
    with closing(connection):
        return connection.makefile("rb").read()


def test_who_is_connected_when_the_server_is_told_to_stop_is_answered(
    serve: LongRunning, port: int
) -> None:
    worker = worker_of(serve.pid)
    os.kill(worker, signal.SIGSTOP)
    try:
        serve.wait_until(lambda: is_stopped(worker), START_S)
        # The kernel takes them; the worker has not seen them yet.
        callers = [socket.create_connection(("127.0.0.1", port), START_S) for _ in range(CALLERS)]
        for caller in callers:
            caller.sendall(ASK)
        os.kill(serve.pid, signal.SIGTERM)
        serve.wait_until(lambda: has_sigterm_to_come(worker), START_S)
    finally:
        os.kill(worker, signal.SIGCONT)
    answers = [answer_on(caller).split(b"\r\n")[0] for caller in callers]
    assert answers == [b"HTTP/1.1 200 OK"] * CALLERS
