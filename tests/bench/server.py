"""The server under test, as an operator starts it: set up by the CLI, run by `serve`."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.demo.processes import free_port
from tests.bench.actors import Access, Plan, Tally, log_in
from tests.bench.connection import drive
from tests.bench.database import Database

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "xqueue_server.cli.main")
WORKERS = 2
START_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    address: tuple[str, int]
    pid: int
    lms: Access
    grader: Access


@contextmanager
def serving(database: Database, directory: Path, queues: tuple[str, ...]) -> Iterator[Server]:
    """A migrated, running server with these queues and an account of each role."""
    environment = _environment(database, directory)
    _cli(environment, "db", "upgrade")
    for name in queues:
        _cli(environment, "queue", "add", name)
    lms = _add_account(environment, "lms")
    grader = _add_account(environment, "grader")
    with _running(environment, directory) as (pid, address):
        yield Server(
            address=address,
            pid=pid,
            lms=_with_session(address, lms),
            grader=_with_session(address, grader),
        )


def _environment(database: Database, directory: Path) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("XQUEUE_")}
    return inherited | {
        "XQUEUE_MODE": "demo",
        "XQUEUE_DATA_DIR": str(directory / "data"),
        "XQUEUE_DATABASE_URL": database.url,
        "XQUEUE_SECRET_KEY": secrets.token_hex(32),
        "PYTHONPATH": str(ROOT),
    }


def _cli(environment: dict[str, str], *arguments: str, given: str = "") -> None:
    command = [*COMMAND, *arguments]
    done = subprocess.run(command, env=environment, input=given, text=True, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"xqueue-server {' '.join(arguments)}: {done.stderr.strip()[-500:]}")


def _add_account(environment: dict[str, str], role: str) -> Access:
    password = secrets.token_urlsafe(16)
    options = ("--role", role, "--all-queues", "--password-stdin")
    _cli(environment, "account", "add", role, *options, given=password + "\n")
    return Access(queue="", username=role, password=password)


@contextmanager
def _running(environment: dict[str, str], directory: Path) -> Iterator[tuple[int, tuple[str, int]]]:
    address = ("127.0.0.1", free_port())
    bind = f"{address[0]}:{address[1]}"
    command = [*COMMAND, "serve", "--bind", bind, "--workers", str(WORKERS)]
    with (directory / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, cwd=ROOT, start_new_session=True
        )
    try:
        _wait_until_up(process, address, directory / "server.log")
        yield process.pid, address
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)


def _wait_until_up(process: subprocess.Popen[bytes], address: tuple[str, int], log: Path) -> None:
    deadline_s = time.monotonic() + START_S
    while True:
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise RuntimeError(f"the server did not start: {log.read_text()[-1000:]}")
        try:
            socket.create_connection(address, 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return


def _with_session(address: tuple[str, int], access: Access) -> Access:
    cookies: list[str] = []
    tally = Tally()
    plan = Plan(access=access, users=iter(()), turns=iter(()), tally=tally)
    drive(address, [log_in(plan, cookies)])
    if tally.complaints:
        raise RuntimeError(f"login: {tally.complaints[0]}")
    return Access(
        queue=access.queue,
        username=access.username,
        password=access.password,
        cookie=cookies[0],
    )
