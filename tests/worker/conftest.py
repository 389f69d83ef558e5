"""Fixtures of the worker's tests: an XQueue server, a sandboxd, a Redis, all private."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from deploy.demo.processes import free_port
from grader_worker.sandboxd.daemon import SandboxDaemon
from grader_worker.sandboxd.socket_path import ListeningSocket
from sandbox.backend import SandboxBackend
from tests.worker.fakes import (
    FakeXQueue,
    LocalBackend,
    Processes,
    QuietServer,
    XQueueHandler,
    eventually,
    need,
    redis_answers,
)
from tests.worker.running import RunningWorkers


@pytest.fixture
def new_xqueue() -> Iterator[Callable[..., FakeXQueue]]:
    servers = []

    def start(**settings: object) -> FakeXQueue:
        fake = FakeXQueue(**settings)
        server = QuietServer(("127.0.0.1", 0), type("Handler", (XQueueHandler,), {"fake": fake}))
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        fake.url = f"http://127.0.0.1:{server.server_port}"
        return fake

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def xqueue(new_xqueue: Callable[..., FakeXQueue]) -> FakeXQueue:
    return new_xqueue()


@pytest.fixture
def backend() -> LocalBackend:
    return LocalBackend()


@pytest.fixture
def socket_path(tmp_path: Path) -> Path:
    return tmp_path / "s" / "sandboxd.sock"


@pytest.fixture
def new_sandboxd(socket_path: Path) -> Iterator[Callable[..., SimpleNamespace]]:
    """A sandboxd in a thread; `stop()` returns what `serve` did."""
    started = []

    def start(backend: SandboxBackend, **options: object) -> SimpleNamespace:
        values = {"concurrency": 2, "sign_of_life_s": 0.05} | options
        daemon = SandboxDaemon(backend, ListeningSocket(socket_path), **values)
        outcome: list[bool] = []
        thread = threading.Thread(target=lambda: outcome.append(daemon.serve()))
        thread.start()

        def stop() -> bool:
            if not daemon.stopping.is_set():
                daemon.stopping.set()
            thread.join(60)
            return outcome[0]

        started.append(stop)
        return SimpleNamespace(stop=stop, daemon=daemon, path=socket_path)

    yield start
    for stop in started:
        stop()


@pytest.fixture
def new_redis(tmp_path: Path) -> Iterator[Callable[..., SimpleNamespace]]:
    """A private redis-server."""
    program = need("redis-server")
    processes = []

    def start(port: int | None = None, *more: object) -> SimpleNamespace:
        from redis import Redis

        port = port or free_port()
        arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        arguments += ["--dir", str(tmp_path), *map(str, more)]
        process = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL)
        processes.append(process)
        client = Redis(port=port)
        eventually(lambda: redis_answers(client))
        return SimpleNamespace(
            url=f"redis://127.0.0.1:{port}/0", port=port, client=client, process=process
        )

    yield start
    for process in processes:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.fixture
def processes() -> Iterator[Processes]:
    processes = Processes()
    yield processes
    processes.end()


@pytest.fixture
def sandboxd_process(
    processes: Processes, socket_path: Path
) -> Callable[[float], subprocess.Popen[str]]:
    """Starts a sandboxd in a process of its own, whose runs sleep so many seconds."""
    return lambda run_s=0.0: processes.sandboxd(socket_path, run_s)


@pytest.fixture
def redis(new_redis: Callable[..., SimpleNamespace]) -> SimpleNamespace:
    return new_redis()


@pytest.fixture
def run(
    processes: Processes, xqueue: FakeXQueue, socket_path: Path, tmp_path: Path
) -> Callable[..., RunningWorkers]:
    """`grader-worker run` in a process of its own, after a worker has asked for work."""

    def start(redis_url: str, *arguments: str, **options: object) -> RunningWorkers:
        running = RunningWorkers(processes, xqueue, socket_path, redis_url, *arguments, **options)
        xqueue.until(lambda xqueue: xqueue.asked("get_submission"))
        return running

    return start
