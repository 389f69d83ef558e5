"""An engine that hangs, dies or has no room left never makes a grade, and is used again as soon as
it works, by the same backend."""

import os
import threading
import time
from pathlib import Path

import pytest

from sandbox.errors import SandboxUnavailable
from sandbox.probe.script import TESTS, one_run, probe_request, run_step
from sandbox.run import ExitReason, Limits
from tests.docker.waiting import wait_until, waiting

API_S = 15.0
PING_S = 5.0
"""More than a busy engine needs, and little enough to wait for one that hangs."""
MARK = f"a-learner-of-{os.getpid()}"


@pytest.fixture
def backend(private_engine, open_docker):
    """With two containers ready."""
    backend = open_docker(
        2, docker_host=private_engine.address, api_timeout_s=API_S, ping_timeout_s=PING_S
    )
    assert backend.run(probe_request(one_run())).reason is ExitReason.COMPLETED
    wait_until(lambda: waiting(backend) >= 2)
    return backend


def works_again(backend):
    wait_until(lambda: backend.check().healthy)
    assert backend.run(probe_request(one_run())).reason is ExitReason.COMPLETED
    wait_until(lambda: waiting(backend) >= 2)
    return True


def test_an_engine_that_hangs_is_noticed_and_used_again_when_it_answers(private_engine, backend):
    private_engine.hang()
    try:
        wait_until(lambda: backend.describe().version == "?")
        health = backend.check()
        assert not health.healthy
        assert "does not answer in time" in health.problems[0]
        began_at = time.monotonic()
        with pytest.raises(SandboxUnavailable):
            backend.run(probe_request(one_run()))
        assert time.monotonic() - began_at < API_S, "once it is known to hang, nobody waits"
    finally:
        private_engine.resume()
    assert works_again(backend)


def run_in_background(backend, request):
    outcome = {}

    def run():
        try:
            outcome["result"] = backend.run(request)
        except SandboxUnavailable as error:
            outcome["error"] = error

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


def a_learner_who_sleeps(seconds):
    limits = Limits(wall_s=10, learner_wall_s=10)
    argv = ["python3", "-I", "-c", f"import time; time.sleep({seconds})  # {MARK}"]
    return probe_request([TESTS, run_step(argv=argv)], limits=limits)


def wait_for_learner(private_engine):
    """Until a process of some container sleeps as the learner's program does."""
    wait_until(lambda: any(is_learner(cmdline) for cmdline in Path("/proc").glob("[0-9]*/cmdline")))


def is_learner(cmdline):
    try:
        return MARK.encode() in cmdline.read_bytes()
    except OSError:
        return False


def test_an_engine_that_hangs_while_a_learner_is_busy_costs_the_learner_nothing(
    private_engine, backend
):
    thread, outcome = run_in_background(backend, a_learner_who_sleeps(60))
    wait_for_learner(private_engine)
    private_engine.hang()
    try:
        thread.join(120)
        assert not thread.is_alive()
    finally:
        private_engine.resume()
    assert "error" in outcome, outcome
    assert works_again(backend)


def test_an_engine_that_is_killed_in_mid_run_costs_the_learner_nothing(private_engine, backend):
    thread, outcome = run_in_background(backend, a_learner_who_sleeps(60))
    wait_for_learner(private_engine)
    private_engine.kill()
    thread.join(120)
    assert not thread.is_alive()
    assert "error" in outcome, outcome
    assert not backend.check().healthy
    private_engine.start()
    assert works_again(backend)


def test_a_full_disk_makes_the_host_unhealthy_until_there_is_room(private_engine, backend):
    backend.settle()  # a container that goes afterwards would make room
    private_engine.fill_disk()
    try:
        health = backend.check()
        assert not health.healthy
        assert "no space left on device" in health.problems[0]
    finally:
        private_engine.empty_disk()
    assert works_again(backend)


def test_what_was_lost_while_the_engine_was_away_is_removed_by_itself(private_engine, backend):
    private_engine.hang()
    try:
        with pytest.raises(SandboxUnavailable):
            backend.run(probe_request(one_run(), "print(1)", limits=Limits(memory_bytes=64 << 20)))
    finally:
        private_engine.resume()
    assert works_again(backend)
    backend.close()
    wait_until(lambda: private_engine.docker("ps", "--all", "--quiet") == "")
