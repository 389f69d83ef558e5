"""The polling loop: its pauses, its troubles, its end."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from grader_worker.assignment import ServedQueue
from grader_worker.errors import LoginRefused, ServerUnreachable
from grader_worker.poller import Poller, SteadyPace
from grader_worker.polling import poll_pools
from grader_worker.pool import Pool, queues_of
from grader_worker.published.publications import Publications
from grader_worker.sandbox_gate import SandboxGate
from grader_worker.stopping import Stop
from grader_worker.turn import Pace, TurnEnd
from sandbox.backend import BackendHealth
from sandbox.errors import SandboxUnavailable
from tests.worker.fakes import Sleeper, account, assignment, result


class ScriptedGrader:
    """Takes turns from a list; the clock goes on by `held_s` during each."""

    queues = "python"

    def __init__(self, *turns, held_s=0.0):
        self.turns = list(turns)
        self.held_s = held_s
        self.now = 0.0
        self.client = self
        self.account = self
        self.url = "http://x"

    def take_turn(self, *, long_poll):
        self.now += self.held_s
        turn = self.turns.pop(0)
        if isinstance(turn, Exception):
            raise turn
        return turn


def pauses(*turns, held_s=0.0):
    """The pauses of a poller that stops after these turns."""
    grader = ScriptedGrader(*turns, held_s=held_s)
    taken = []

    def sleep(seconds):
        taken.append(seconds)
        return not grader.turns

    Poller(
        grader,
        sleep=sleep,
        idle=SteadyPace(rand=lambda: 0.5),
        rand=lambda: 1.0,
        clock=lambda: grader.now,
    ).poll_until_stopped()
    return taken[1:]


def test_an_empty_queue_is_asked_again_after_a_pause():
    assert pauses(TurnEnd.EMPTY, TurnEnd.EMPTY) == [1.0, 1.0]


def test_after_a_submission_the_next_is_asked_for_at_once():
    assert pauses(TurnEnd.REPORTED, TurnEnd.ABANDONED) == [0, 0]


def test_a_long_poll_that_was_held_is_repeated_at_once():
    assert pauses(TurnEnd.EMPTY, held_s=20) == [0]


def test_pauses_grow_while_a_server_is_in_trouble_and_start_over_after():
    down = ServerUnreachable("down")
    assert pauses(down, down, down, TurnEnd.REPORTED, down) == [1, 2, 4, 0, 1]


def test_a_refused_login_is_tried_again_after_long_pauses():
    refused = LoginRefused("Incorrect login credentials")
    assert pauses(*[refused] * 8) == [5, 10, 20, 40, 80, 160, 300, 300]


def test_a_platform_that_fails_every_run_is_not_tried_without_pauses():
    assert pauses(TurnEnd.RELEASED, TurnEnd.RELEASED, TurnEnd.REPORTED) == [1, 2, 0]


def test_a_crash_does_not_end_the_poller():
    assert pauses(ZeroDivisionError(), TurnEnd.REPORTED) == [1, 0]


class Polling:
    """`poll_pools` in a thread."""

    def __init__(self, pools, backend):
        self.stop = Stop()
        self.thread = threading.Thread(
            target=poll_pools,
            args=(pools, Publications(queues_of(pools), Path("/nonexistent"))),
            kwargs={
                "sandbox": backend,
                "gate": SandboxGate(backend),
                "stop": self.stop,
                "pace": Pace(wait_s=1, renew_every_s=0.05),
            },
        )
        self.thread.start()

    def end(self):
        if not self.stop.is_set():
            self.stop.set()
        self.thread.join(60)
        assert not self.thread.is_alive()


@pytest.fixture
def polling(backend):
    started = []

    def start(*pools):
        started.append(Polling(pools, backend))
        return started[-1]

    yield start
    for polling in started:
        polling.end()


def served(xqueue, *, concurrency=1, **changes):
    queue = ServedQueue(account=account(xqueue, **changes), name="python", assignment=assignment())
    return Pool(name="python", queues=(queue,), concurrency=concurrency)


def test_submissions_are_graded_as_they_come(xqueue, polling):
    polling(served(xqueue))
    for _ in range(3):
        number = xqueue.submit()
        xqueue.until(lambda xqueue, number=number: number in xqueue.results)


def test_several_are_graded_at_once(xqueue, backend, polling):
    both = threading.Barrier(2, timeout=60)
    backend.behave = lambda _request: both.wait() is None or result()
    polling(served(xqueue, concurrency=2))
    xqueue.submit()
    xqueue.submit()
    xqueue.until(lambda xqueue: len(xqueue.results) == 2)


def test_stopping_finishes_the_grading_in_progress(xqueue, backend, polling):
    started, go_on = threading.Event(), threading.Event()

    def grading(_request):
        started.set()
        assert go_on.wait(60)
        return result()

    backend.behave = grading
    poller = polling(served(xqueue))
    number = xqueue.submit()
    assert started.wait(60)
    poller.stop.set()
    go_on.set()
    poller.end()
    assert number in xqueue.results


def test_a_wrong_password_on_one_server_does_not_stop_another(new_xqueue, polling):
    wrong, right = new_xqueue(), new_xqueue()
    polling(served(wrong, password="wrong"), served(right))
    wrong.until(lambda xqueue: xqueue.logins)
    number = right.submit()
    right.until(lambda xqueue: number in xqueue.results)


def test_a_server_without_extensions_is_polled(new_xqueue, polling):
    foreign = new_xqueue(extensions="")
    polling(served(foreign))
    number = foreign.submit()
    foreign.until(lambda xqueue: number in xqueue.results)


def test_after_a_platform_failure_nothing_is_leased_until_the_check_passes(
    xqueue, backend, polling
):
    checked = threading.Event()

    def dead(_request):
        backend.health = [BackendHealth(healthy=False, problems=("docker is away",))]
        raise SandboxUnavailable("docker is away")

    def check():
        checked.set()
        return backend.health[0]

    backend.check = check
    backend.behave = dead
    polling(served(xqueue))
    first = xqueue.submit()
    xqueue.until(lambda xqueue: first in xqueue.failures)
    second = xqueue.submit()
    checked.clear()
    assert checked.wait(60)
    assert len(xqueue.waiting) == 1
    backend.behave = lambda _request: result()
    backend.health = [BackendHealth(healthy=True)]
    xqueue.until(lambda xqueue: second in xqueue.results)
    assert first not in xqueue.results


def test_a_sleeper_counts_its_pauses():
    sleeper = Sleeper(stop_after=2)
    assert [sleeper(1), sleeper(1)] == [False, True]


def test_a_stop_wakes_every_sleeper_and_stays():
    stop = Stop()
    assert not stop.wait(0)
    sleepers = [threading.Thread(target=stop.wait, args=(60,)) for _ in range(3)]
    for sleeper in sleepers:
        sleeper.start()
    stop.set()
    for sleeper in sleepers:
        sleeper.join(60)
    assert not any(sleeper.is_alive() for sleeper in sleepers)
    assert stop.wait(60)
