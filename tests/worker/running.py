"""`grader-worker run` as an operator starts it, and what tests ask it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from rq import Queue
from rq.serializers import JSONSerializer

from grader_worker.control import ControlClient, control_path
from grader_worker.errors import ControlUnavailable
from grader_worker.jobs import GRADE_NEXT, lane
from tests.worker.fakes import FakeXQueue, Processes, eventually

HOST = "grading-1"
OFTEN_S = 0.3
NEVER_S = 3600.0
# The command itself, but for how often it looks: nobody needs to choose that.
RUN = """
import sys
from grader_worker import nudged
from grader_worker.cli import main
nudged.run_nudged.__kwdefaults__["look_every_s"] = float(sys.argv.pop(1))
main()
"""


class RunningWorkers:
    """`wait`, `poll`, `send_signal` and so on are its process's."""

    def __init__(
        self,
        processes: Processes,
        xqueue: FakeXQueue,
        socket_path: Path,
        redis_url: str,
        *arguments: object,
        look_every_s: float = NEVER_S,
        config: Path | None = None,
        stderr: Path | None = None,
    ) -> None:
        self.socket_path = socket_path
        self.control = ControlClient(control_path(socket_path))
        password = socket_path.parent.parent / "password"
        password.write_text("secret\n")
        served = (
            *("--server", xqueue.url, "--queue", "python", "--username", "grader"),
            *("--password-file", password, "--grader", "image"),
        )
        url_file = socket_path.parent.parent / "redis-url"
        url_file.write_text(redis_url)
        log = stderr.open("w") if stderr else None
        self.process: subprocess.Popen[str] = processes.start(
            *("-c", RUN, look_every_s, "run", "--redis-url-file", url_file),
            *("--host-name", HOST, "--socket", socket_path),
            *(("--config", config) if config else served),
            *arguments,
            stderr=log,
        )
        if log is not None:
            log.close()
        self.poll, self.wait = self.process.poll, self.process.wait
        self.send_signal = self.process.send_signal

    @property
    def returncode(self) -> int | None:
        return self.process.returncode

    def status(self) -> dict[str, object]:
        return self.control.status()

    def workers(self) -> dict[str, dict[str, object]]:
        return {worker["name"]: worker for worker in self.status()["workers"]}

    def states(self) -> dict[str, object]:
        return {name: worker["state"] for name, worker in self.workers().items()}

    def until(self, condition: Callable[[dict[str, dict[str, object]]], object]) -> None:
        """Of the workers, by name."""

        def holds() -> object:
            try:
                return condition(self.workers())
            except ControlUnavailable:
                return False

        eventually(holds)

    def reread(self) -> None:
        self.send_signal(signal.SIGHUP)

    def processes_left(self) -> list[int]:
        """Of its workers and their forks: all processes that were started with its command."""
        mark = str(self.socket_path).encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and int(entry.name) != os.getpid():
                try:
                    line = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if mark in line and b"--host-name" in line:
                    found.append(int(entry.name))
        return found


def nudge(
    redis,
    func: str = GRADE_NEXT,
    args: tuple[object, ...] = ("python",),
    *,
    queue: str = "python",
    **options,
):
    """As a server sends it."""
    nudges = Queue(lane(queue), connection=redis.client, serializer=JSONSerializer)
    return nudges.enqueue_call(func, args=args, timeout=60, result_ttl=0, **options)


def worker_is_up(redis) -> set[bytes]:
    return redis.client.smembers("rq:workers")


def listening(redis) -> int:
    """How many workers wait for a nudge at this moment. Not `rq:workers`, where those are not that
    found a new Redis without noticing that the old one was gone."""
    return sum(client["cmd"] in ("blmove", "blpop") for client in redis.client.client_list())


def events(log: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.read_text().splitlines()]
