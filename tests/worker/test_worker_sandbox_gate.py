"""Nothing is leased until the sandbox has proved itself."""

from __future__ import annotations

import os
import threading

from grader_worker.backoff import Backoff, jittered_s
from grader_worker.sandbox_gate import REMIND_EVERY_S, SandboxGate
from sandbox.backend import BackendHealth
from tests.worker.fakes import LocalBackend, Sleeper

DOWN = BackendHealth(healthy=False, problems=("down",))
UP = BackendHealth(healthy=True)


def test_a_gate_is_closed_until_the_first_check(backend):
    gate = SandboxGate(backend)
    assert not gate.is_open
    assert gate.wait_until_open(Sleeper())
    assert gate.is_open


def test_an_open_gate_does_not_check(backend):
    gate = SandboxGate(backend)
    gate.check()
    gate.wait_until_open(Sleeper())
    assert backend.checks == 1


def test_a_process_that_leaves_the_checking_to_another_only_waits(backend):
    gate = SandboxGate(backend)
    gate.leave_checking_to_another()
    assert not gate.wait_until_open(Sleeper(stop_after=3))
    assert backend.checks == 0


def test_checks_come_at_growing_intervals_up_to_a_cap():
    backend = LocalBackend()
    backend.health = [DOWN] * 8 + [UP]
    sleeper = Sleeper()
    assert SandboxGate(backend, rand=lambda: 1.0).wait_until_open(sleeper)
    assert sleeper.pauses == [1, 2, 4, 8, 15, 15, 15, 15]


def test_a_closed_gate_opens_only_after_a_check_that_passes(backend):
    gate = SandboxGate(backend)
    gate.check()
    gate.close("docker is away")
    backend.health = [DOWN]
    assert not gate.check()
    backend.health = [UP]
    assert gate.check()


def test_waiting_ends_when_the_process_is_told_to_stop(backend):
    backend.health = [DOWN]
    assert not SandboxGate(backend).wait_until_open(Sleeper(stop_after=1))


def test_a_forked_job_that_closes_the_gate_closes_it_for_all(backend):
    gate = SandboxGate(backend)
    gate.check()
    child = os.fork()
    if child == 0:
        gate.close("docker is away")
        os._exit(0)
    os.waitpid(child, 0)
    assert not gate.is_open


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def test_what_stays_as_it_is_is_said_once_and_again_once_a_minute(backend, caplog):
    caplog.set_level("INFO", logger="grader_worker")
    backend.health = [DOWN]
    gate = SandboxGate(backend, clock=(clock := Clock()))
    for _ in range(5):
        gate.check()
        clock.now += 1
    assert caplog.messages == ["sandbox-not-ready"]
    clock.now += REMIND_EVERY_S
    gate.check()
    gate.check()
    assert caplog.messages == ["sandbox-not-ready"] * 2


def test_each_change_is_said_at_once(backend, caplog):
    caplog.set_level("INFO", logger="grader_worker")
    gate = SandboxGate(backend, clock=Clock())
    backend.health = [DOWN, UP]
    gate.check()
    gate.check()
    gate.close("docker is away")
    gate.close("docker is away")
    backend.health = [DOWN, UP]
    gate.check()
    gate.check()
    assert caplog.messages == [
        *("sandbox-not-ready", "sandbox-ready"),
        *("sandbox-down", "sandbox-ready"),
    ]


def test_a_fork_does_not_repeat_what_was_said(backend, caplog):
    backend.health = [DOWN]
    gate = SandboxGate(backend)
    gate.check()
    child = os.fork()
    if child == 0:
        caplog.clear()
        gate.check()
        os._exit(len(caplog.messages))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_while_one_thread_pauses_between_checks_no_other_checks(backend):
    backend.health = [DOWN]
    gate = SandboxGate(backend)
    pausing, stop = threading.Event(), threading.Event()

    def checker_sleeps(_seconds):
        pausing.set()
        return stop.wait(60)

    checker = threading.Thread(target=gate.wait_until_open, args=(checker_sleeps,))
    checker.start()
    assert pausing.wait(60)
    others = Sleeper(stop_after=3)
    assert not gate.wait_until_open(others)
    checks = backend.checks
    stop.set()
    checker.join()
    assert checks == 1
    assert others.pauses == [1, 1, 1]


def test_backoff_grows_to_its_cap_and_starts_over():
    backoff = Backoff(first_s=1, cap_s=5, rand=lambda: 1.0)
    assert [backoff.next_s() for _ in range(4)] == [1, 2, 4, 5]
    backoff.reset()
    assert backoff.next_s() == 1


def test_jitter_is_half_to_one_and_a_half():
    assert (jittered_s(10, lambda: 0.0), jittered_s(10, lambda: 1.0)) == (5, 15)
