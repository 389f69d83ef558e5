"""What the sandbox writes into a log: a sentence by itself, and its facts beside it."""

import logging
from types import SimpleNamespace

import pytest

from sandbox.backends.docker.minding import EngineWatch
from sandbox.backends.docker.pool import WarmPool
from sandbox.backends.docker.removal import Remover
from sandbox.backends.docker.settings import PoolSettings, SlotSettings
from sandbox.backends.docker.slot_pool import SlotPool
from sandbox.errors import SandboxUnavailable
from tests.docker.test_pool import PATIENCE_S, a_spec


class Engine:
    """Gives a sign of life, or `trouble`."""

    trouble = None

    def ping(self, _timeout_s):
        if self.trouble is not None:
            raise SandboxUnavailable(self.trouble)


@pytest.fixture
def only_record(caplog):
    def only_record():
        [record] = caplog.records
        caplog.clear()
        return record

    return only_record


def test_an_engine_that_goes_and_comes_back_is_said_once_each_with_the_reason(only_record):
    engine = Engine()
    watch = EngineWatch(engine, ping_timeout_s=1)
    engine.trouble = "no such socket"
    watch.look()
    watch.look()
    record = only_record()
    assert record.getMessage() == "the Docker Engine is not to be used: no such socket"
    assert (record.action, record.why) == ("engine_down", "no such socket")
    engine.trouble = None
    watch.look()
    record = only_record()
    assert record.getMessage() == "the Docker Engine answers again"
    assert record.action == "engine_back"


def test_a_refill_that_failed_says_of_what_and_why(only_record):
    def start(_spec, _lifetime_s):
        raise SandboxUnavailable("no space left on device")

    pool = WarmPool(PoolSettings(size=1, refillers=1), start, discard=None)
    with pytest.raises(SandboxUnavailable):
        pool.fill(a_spec(), PATIENCE_S)
    pool.close()
    record = only_record()
    assert "could not be started: no space left on device" in record.getMessage()
    assert (record.action, record.image) == ("pool_refill_failed", "grader")


def test_a_container_that_stays_says_which_and_why(only_record):
    def remove(_container_id):
        raise SandboxUnavailable("device or resource busy")

    remover = Remover(remove, removed=None)
    remover._try("0123456789abcdef")
    record = only_record()
    assert "0123456789ab could not be removed" in record.getMessage()
    assert "device or resource busy" in record.getMessage()
    assert record.action == "container_left"


def test_a_slot_that_is_thrown_away_says_why(only_record, caplog):
    caplog.set_level(logging.WARNING)

    def receive(_timeout_s):
        return b""

    channel = SimpleNamespace(receive=receive, stderr="xq: a process is left", is_alive=True)
    container = SimpleNamespace(container_id="c" * 64, channel=channel, expires_at=2.0**40)
    thrown = []
    pool = SlotPool(SlotSettings(), lambda _spec, _lasting_s: container, thrown.append)
    slot = pool.borrow(a_spec(), 10)
    pool.give_back(slot)
    pool.borrow(a_spec(), 10)
    record = only_record()
    assert "thrown away after its run: " in record.getMessage()
    assert "xq: a process is left" in record.getMessage()
    assert record.action == "slot_unclean"
    assert thrown == [container]
