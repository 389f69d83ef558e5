"""Fetching an image that takes long: nobody waits for ever, and everybody is told what goes on."""

import queue
import threading
from datetime import UTC, datetime

import pytest

from grader_worker.sandboxd.client import PREPARE_S
from sandbox.backends.docker.backend import FILL_S
from sandbox.backends.docker.pulling import PATIENCE_S, BeingFetched, ImagePuller
from sandbox.errors import GraderNotUsable, SandboxUnavailable
from tests.docker.waiting import wait_until

CUBE = f"registry.example.org/cube@sha256:{'1' * 64}"
SQUARE = f"registry.example.org/square@sha256:{'2' * 64}"
SINCE = datetime(2026, 1, 2, 14, 2, 11, tzinfo=UTC)
GRACE_S = 60.0


class Engine:
    """Pulls end when the test puts their last event there."""

    def __init__(self):
        self.begun = queue.Queue()
        self.last = queue.Queue()

    def pull_image(self, name, _digest, credential, _idle_s):
        self.begun.put((name, credential))
        yield {"status": "Downloading"}
        yield self.last.get(timeout=GRACE_S)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
def puller(engine, clock):
    return ImagePuller(
        engine, credential=lambda name: f"for {name}", clock=clock, now=lambda: SINCE, patience_s=60
    )


def out_of_patience(puller, clock, reference):
    """What somebody is told who asks when the pull is old already."""
    clock.now += 61
    with pytest.raises(BeingFetched) as told:
        puller.pull(reference)
    return str(told.value)


@pytest.fixture
def asked(puller):
    """Asks for images in threads; `asked(reference)` gives a list that gets the outcome."""
    threads = []

    def ask(reference):
        outcome = []

        def pull():
            try:
                outcome.append(puller.pull(reference))
            except (SandboxUnavailable, GraderNotUsable) as error:
                outcome.append(error)

        thread = threading.Thread(target=pull)
        thread.start()
        threads.append(thread)
        return outcome, thread

    yield ask
    for thread in threads:
        thread.join(GRACE_S)
        assert not thread.is_alive()


def ended():
    return not [thread for thread in threading.enumerate() if thread.name == "image-puller"]


def await_pulls():
    for thread in threading.enumerate():
        if thread.name == "image-puller":
            thread.join(GRACE_S)
    assert ended()


def test_whoever_waits_gets_the_image_when_it_has_come(engine, asked):
    outcome, thread = asked(CUBE)
    name = "registry.example.org/cube"
    assert engine.begun.get(timeout=GRACE_S) == (name, f"for {name}")
    engine.last.put({"status": "done"})
    thread.join(GRACE_S)
    assert outcome == [None]


def test_a_pull_that_takes_long_is_said_to_go_on_since_when_and_is_no_second_one(
    engine, clock, puller, asked
):
    _, first = asked(CUBE)
    engine.begun.get(timeout=GRACE_S)
    for _ in range(3):
        told = out_of_patience(puller, clock, CUBE)
        assert told == f"{CUBE} is being fetched since 2026-01-02 14:02:11 UTC"
    assert engine.begun.empty()
    engine.last.put({"status": "done"})
    first.join(GRACE_S)
    await_pulls()
    outcome, again = asked(CUBE)
    engine.begun.get(timeout=GRACE_S)
    engine.last.put({"status": "done"})
    again.join(GRACE_S)
    assert outcome == [None], "nothing is left of the first"


def test_an_image_that_waits_for_another_says_so(engine, clock, puller, asked):
    asked(CUBE)
    engine.begun.get(timeout=GRACE_S)
    asked(SQUARE)
    wait_until(lambda: SQUARE in puller._pulls)  # or we would be the first who waits
    told = None
    while told is None or "waits" not in told:
        told = out_of_patience(puller, clock, SQUARE)
    assert told == f"{SQUARE} waits since 2026-01-02 14:02:11 UTC for other images to be fetched"
    for _ in range(2):
        engine.last.put({"status": "done"})


def test_why_a_long_pull_failed_is_told_to_who_asks_next_and_then_it_is_tried_again(
    engine, clock, asked
):
    impatient = ImagePuller(
        engine, credential=lambda _name: "", clock=clock, now=lambda: SINCE, patience_s=0
    )
    with pytest.raises(BeingFetched):
        impatient.pull(CUBE)
    engine.begun.get(timeout=GRACE_S)
    engine.last.put({"error": "write /var/lib/docker: no space left on device"})
    await_pulls()
    with pytest.raises(SandboxUnavailable, match="no space left on device"):
        impatient.pull(CUBE)
    assert engine.begun.empty()
    with pytest.raises(BeingFetched):
        impatient.pull(CUBE)
    engine.begun.get(timeout=GRACE_S)
    engine.last.put({"status": "done"})
    await_pulls()


def test_an_error_while_somebody_waits_is_his(engine, asked):
    outcome, thread = asked(CUBE)
    engine.begun.get(timeout=GRACE_S)
    engine.last.put({"error": "manifest unknown"})
    thread.join(GRACE_S)
    assert isinstance(outcome[0], GraderNotUsable)


def test_a_crash_of_ours_is_no_pull_that_goes_on_for_ever(engine, clock, asked):
    def crash(_name):
        raise ZeroDivisionError

    puller = ImagePuller(engine, credential=crash, clock=clock)
    with pytest.raises(SandboxUnavailable, match="ZeroDivisionError"):
        puller.pull(CUBE)


def test_the_reason_comes_before_the_client_gives_up():
    assert PATIENCE_S + FILL_S < PREPARE_S
