"""Containers go behind the runs' backs, and those that do not go are not forgotten."""

import threading
from dataclasses import dataclass, field

import pytest

from sandbox.backends.docker.removal import Remover
from sandbox.backends.docker.starting import StartedContainer
from sandbox.errors import SandboxUnavailable
from tests.docker.waiting import wait_until

PATIENCE_S = 60.0


@dataclass
class FakeChannel:
    steps: list = field(default_factory=list)

    def end_input(self):
        self.steps.append("end_input")

    def await_end(self, timeout_s):
        self.steps.append("await_end")

    def close(self):
        self.steps.append("close")


class FakeEngine:
    def __init__(self):
        self.asked = []
        self.gone = []
        self.broken = False
        self.gate = threading.Event()
        self.gate.set()

    def remove(self, container_id):
        assert self.gate.wait(PATIENCE_S)
        self.asked.append(container_id)
        if self.broken:
            raise SandboxUnavailable("away")


@pytest.fixture
def fake_engine():
    return FakeEngine()


@pytest.fixture
def remover(fake_engine):
    remover = Remover(fake_engine.remove, fake_engine.gone.append, removers=1, length=2)
    yield remover
    fake_engine.gate.set()
    remover.close()


def container(container_id):
    return StartedContainer(
        spec=None,
        container_id=container_id,
        channel=FakeChannel(),
        started_at=0.0,
        expires_at=0.0,
    )


def test_a_supervisor_may_end_by_itself_before_its_container_is_removed(remover, fake_engine):
    one = container("c1")
    remover.take_over(one)
    remover.settle()
    assert one.channel.steps == ["end_input", "await_end", "close"]
    assert fake_engine.gone == ["c1"]


def test_an_engine_that_falls_behind_is_not_given_more_and_more(remover, fake_engine):
    fake_engine.gate.clear()
    for number in range(3):
        remover.take_over(container(f"c{number}"))
    fourth = threading.Thread(target=remover.take_over, args=(container("c3"),))
    fourth.start()
    fourth.join(0.2)
    assert fourth.is_alive(), "one is being removed and two wait: that is all"
    fake_engine.gate.set()
    fourth.join(PATIENCE_S)
    remover.settle()
    assert len(fake_engine.gone) == 4


def test_what_could_not_be_removed_is_tried_again(remover, fake_engine):
    fake_engine.broken = True
    for number in range(2):
        remover.take_over(container(f"c{number}"))
    remover.settle()
    assert fake_engine.gone == []
    fake_engine.asked.clear()
    assert remover.retry() == 0
    assert fake_engine.asked == ["c0"], "the first failure says enough"
    fake_engine.broken = False
    assert remover.retry() == 2
    assert sorted(fake_engine.gone) == ["c0", "c1"]


def test_closing_does_not_ask_an_engine_that_hangs_again_and_again(remover, fake_engine):
    fake_engine.broken = True
    fake_engine.gate.clear()
    for number in range(3):
        remover.take_over(container(f"c{number}"))
    closing = threading.Thread(target=remover.close)
    closing.start()
    wait_until(lambda: remover._closing)
    fake_engine.gate.set()
    closing.join(PATIENCE_S)
    assert not closing.is_alive()
    assert fake_engine.asked == ["c0", "c0"], "as it worked off its queue, and at the end"


def test_after_close_a_run_that_ends_late_removes_its_own(remover, fake_engine):
    remover.close()
    remover.take_over(container("late"))
    assert fake_engine.gone == ["late"]
