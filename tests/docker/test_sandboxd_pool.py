"""sandboxd's pool: its end, and that filling it holds up nobody who asks for health."""

import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from grader_worker.sandboxd.client import SandboxdClient
from grader_worker.sandboxd.daemon import SandboxDaemon
from grader_worker.sandboxd.socket_path import ListeningSocket
from sandbox.backends.docker import LABEL
from sandbox.backends.fake import FakeBackend
from sandbox.probe.script import PROBE_GRADER, one_run, probe_request
from sandbox.run import ExitReason, Limits, Preparation
from tests.docker.waiting import wait_until

TOP = Path(__file__).parents[2]
PREPARATION = Preparation(grader=PROBE_GRADER, limits=Limits(wall_s=20))


class SlowToPrepare(FakeBackend):
    def __init__(self):
        super().__init__()
        self.preparing = threading.Semaphore(0)
        self.may_go_on = threading.Event()

    def prepare(self, preparation):
        self.preparing.release()
        assert self.may_go_on.wait(60)


def test_preparing_holds_up_no_check(tmp_path):
    backend = SlowToPrepare()
    path = tmp_path / "sandboxd.sock"
    daemon = SandboxDaemon(backend, ListeningSocket(path), concurrency=1)
    serving = threading.Thread(target=daemon.serve)
    serving.start()
    client = SandboxdClient(path)
    preparing = [threading.Thread(target=client.prepare, args=(PREPARATION,)) for _ in range(4)]
    try:
        for thread in preparing:
            thread.start()
        assert backend.preparing.acquire(timeout=60)
        assert client.check().healthy
        assert client.describe().name == "fake"
    finally:
        backend.may_go_on.set()
        for thread in preparing:
            thread.join()
        daemon.stopping.set()
        serving.join()


@pytest.fixture
def sandboxd(engine, tmp_path):
    """A sandboxd with a pool of two, and its process."""
    path = tmp_path / "sandboxd.sock"
    command = [sys.executable, "-m", "grader_worker", "sandboxd", "--backend", "docker"]
    command += ["--pool-size", "2", "--concurrency", "1", "--socket", str(path)]
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(command, cwd=TOP, stdout=log, stderr=log) as process,
    ):
        try:
            client = SandboxdClient(path)
            wait_until(lambda: listens(path))
            yield client, process
        finally:
            process.kill()  # or leaving the block would wait for it


def listens(path):
    """Its file is there a moment before."""
    with socket.socket(socket.AF_UNIX) as caller:
        return caller.connect_ex(str(path)) == 0


def containers_of(engine, pid):
    found = engine.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
    return [one.id for one in found if one.labels[f"{LABEL}.owner"].startswith(f"{pid}-")]


def test_workers_share_the_pool_of_sandboxd_which_takes_it_along(engine, sandboxd):
    client, process = sandboxd
    client.prepare(PREPARATION)
    assert client.check().healthy, "the canary, which takes containers too, is over"
    wait_until(lambda: client.describe().counters["waiting"] == 2)
    hits = client.describe().counters["hits"]
    assert client.run(probe_request(one_run())).reason is ExitReason.COMPLETED
    assert client.describe().counters["hits"] == hits + 1
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert containers_of(engine, process.pid) == []


def test_the_next_sandboxd_removes_what_a_killed_one_left(engine, sandboxd, open_docker):
    client, process = sandboxd
    client.prepare(PREPARATION)
    assert containers_of(engine, process.pid)
    process.kill()
    process.wait()
    with closing(open_docker(0)) as other:

        def reaped():
            """What the engine was still making when its owner died comes a moment later."""
            other.reap()
            return containers_of(engine, process.pid) == []

        wait_until(reaped)
