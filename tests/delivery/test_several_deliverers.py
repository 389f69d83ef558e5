"""Several deliverers at once, and deliverers that die between any two steps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.delivery.lms import Reply, ScriptedLms
from tests.delivery.outbox_data import (
    deliver_now,
    http_transport,
    new_callback,
    new_deliverer,
    put,
    put_messages,
    row,
    states,
)
from xqueue_server.instant import ManualClock
from xqueue_server.models.callback import CallbackState
from xqueue_server.storage import Storage, open_storage, outbox

ROOT = Path(__file__).parents[2]
DIES_WITHIN_S = 120


def wait_until(is_so: Callable[[], bool], timeout_s: float = 120) -> None:
    end = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_two_deliverers_racing_deliver_each_callback_exactly_once(
    storage: Storage, database_url: str, clock: ManualClock, lms: ScriptedLms
) -> None:
    ids = put(storage, *[new_callback(lms.origin, f"{n}", key=f"key {n % 50}") for n in range(200)])
    stop = threading.Event()
    stores = [open_storage(database_url, clock=clock) for _ in range(2)]
    deliverers = [new_deliverer(each, http_transport()) for each in stores]
    threads = [threading.Thread(target=each.run, args=(stop,)) for each in deliverers]
    for thread in threads:
        thread.start()
    wait_until(lambda: set(states(storage, ids)) == {"delivered"})
    stop.set()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()
    assert Counter(lms.messages) == Counter(f"{n}" for n in range(200))
    for key in range(50):
        of_key = [int(m) for m in lms.messages if int(m) % 50 == key]
        assert of_key == sorted(of_key)


def test_a_claim_is_taken_over_only_after_a_minute_and_then_the_first_can_not_finish_it(
    storage: Storage, clock: ManualClock
) -> None:
    from xqueue_server.storage.attempts import Ending

    [one] = put_messages(storage, "http://lms", "a")
    with storage.write() as tx:
        [slow] = outbox.claim_due(tx, "http://lms", limit=9, token=b"1" * 16)
        assert outbox.claim_due(tx, "http://lms", limit=9, token=b"2" * 16) == []
    clock.advance(outbox.CLAIM_S)
    with storage.write() as tx:
        [second] = outbox.claim_due(tx, "http://lms", limit=9, token=b"2" * 16)
    assert (slow.attempt, second.attempt) == (1, 2)
    ending = Ending(status=200, error=None, response=None, duration_us=1)
    with storage.write() as tx:
        assert not outbox.finish_delivered(tx, slow, ending)
        assert outbox.finish_delivered(tx, second, ending)
        assert not outbox.finish_delivered(tx, second, ending)
    assert row(storage, one).state is CallbackState.DELIVERED


# -- killed --------------------------------------------------------------------------------------

KILLED_AT = {
    "before the send": "os.kill(os.getpid(), signal.SIGKILL)",
    "before the result is recorded": ("transport.send(due); os.kill(os.getpid(), signal.SIGKILL)"),
}

PROGRAM = """
import os, signal, sys, threading
from tests.delivery.outbox_data import http_transport, new_deliverer
from xqueue_server.storage import open_storage

transport = http_transport()

class Dying:
    def send(self, due):
        {dies}
    def close(self):
        pass

new_deliverer(open_storage(sys.argv[1]), Dying()).run(threading.Event())
"""


@pytest.fixture
def real_time(database_url: str) -> Iterator[Storage]:
    """The database at the present time, which a test may still move ahead."""
    storage = open_storage(database_url, clock=ManualClock(datetime.now(UTC)))
    yield storage
    storage.close()


def environment(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | more


@pytest.mark.parametrize("moment", KILLED_AT)
def test_a_deliverer_that_is_killed_loses_nothing(
    real_time: Storage, database_url: str, lms: ScriptedLms, moment: str
) -> None:
    ids = put_messages(real_time, lms.origin, "a", "b", "c")
    died = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(dies=KILLED_AT[moment]), database_url],
        env=environment(),
        capture_output=True,
        timeout=DIES_WITHIN_S,
        check=False,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert set(states(real_time, ids)) == {"pending"}
    survivor = new_deliverer(real_time, http_transport())
    clock = real_time.clock
    assert isinstance(clock, ManualClock)
    assert deliver_now(survivor) == 0
    clock.advance(outbox.CLAIM_S + DIES_WITHIN_S)
    deliver_now(survivor)
    survivor.close()
    assert states(real_time, ids) == ["delivered"] * 3
    assert set(lms.messages) == {"a", "b", "c"}


def test_what_is_sent_twice_after_a_kill_carries_the_same_id(
    real_time: Storage, database_url: str, lms: ScriptedLms
) -> None:
    may_answer = threading.Event()
    lms.script = [Reply(wait_for=may_answer)]
    put_messages(real_time, lms.origin, "a")
    program = PROGRAM.format(dies="return transport.send(due)")
    running = subprocess.Popen([sys.executable, "-c", program, database_url], env=environment())
    wait_until(lambda: len(lms.received) == 1)
    running.kill()
    running.wait()
    may_answer.set()
    clock = real_time.clock
    assert isinstance(clock, ManualClock)
    clock.advance(outbox.CLAIM_S + DIES_WITHIN_S)
    survivor = new_deliverer(real_time, http_transport())
    deliver_now(survivor)
    survivor.close()
    first, second = lms.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.raw == second.raw


# -- the command ---------------------------------------------------------------------------------

COMMAND = """
from xqueue_server.storage import migration
migration.is_current = lambda storage: True  # the tables were made without migrations
from xqueue_server.cli.deliver import deliver
deliver()
"""


def test_the_command_delivers_and_on_sigterm_finishes_what_is_in_flight(
    real_time: Storage, database_url: str, lms: ScriptedLms, tmp_path: Path
) -> None:
    may_answer = threading.Event()
    lms.script = [200, Reply(wait_for=may_answer)]
    [first] = put_messages(real_time, lms.origin, "first")
    running = subprocess.Popen(
        [sys.executable, "-c", COMMAND],
        env=environment(
            XQUEUE_MODE="demo",
            XQUEUE_DATABASE_URL=database_url,
            XQUEUE_SECRET_KEY="s" * 32,
            XQUEUE_DATA_DIR=str(tmp_path),
        ),
        stderr=subprocess.PIPE,
    )
    try:
        wait_until(lambda: states(real_time, [first]) == ["delivered"])
        [second] = put_messages(real_time, lms.origin, "second")
        wait_until(lambda: len(lms.received) == 2)
        running.send_signal(signal.SIGHUP)
        running.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        assert running.poll() is None
        may_answer.set()
        _, log = running.communicate(timeout=60)
    finally:
        running.kill()
        running.wait()
    assert running.returncode == 0, log.decode()
    assert states(real_time, [second]) == ["delivered"]
    assert b"callback_delivered" in log
    assert b"access_reloaded" in log
