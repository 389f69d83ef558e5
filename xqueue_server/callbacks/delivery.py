"""Delivering callbacks to the LMS, and what is told of exams: one process (or several) that empties
the outbox.

A loop claims what is due, origin by origin, and hands each callback to a thread that sends it and
records how it ended. Between any two steps the process may be killed: whatever it had claimed is
due again a minute later. What an answer means and when to try again is `redelivery`.
"""

from __future__ import annotations

import logging
import random
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime

from xqueue_server.callbacks.conclusion import Concluder, Keep, keep_nothing
from xqueue_server.callbacks.in_flight import Concurrency, InFlight
from xqueue_server.callbacks.redelivery import Uniform
from xqueue_server.errors import StorageUnavailable
from xqueue_server.instant import micros, to_datetime
from xqueue_server.models.callback import DueCallback
from xqueue_server.monitoring import metrics, telemetry
from xqueue_server.settings import origin_of
from xqueue_server.storage import Storage, breakers, callbacks, outbox
from xqueue_server.transport import Outcome, Transport

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.025
STORAGE_PAUSE_S = 1.0

AllowsOrigin = Callable[[str], bool]


class Deliverer:
    """One deliverer; any number of them may work on the same database."""

    def __init__(
        self,
        storage: Storage,
        transport: Transport,
        *,
        allows_origin: AllowsOrigin,
        keep: Keep = keep_nothing,
        concurrency: Concurrency | None = None,
        uniform: Uniform = random.uniform,
        new_token: Callable[[], bytes] = lambda: secrets.token_bytes(16),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        limits = concurrency or Concurrency()
        self._storage = storage
        self._transport = transport
        self._allows_origin = allows_origin
        self._uniform = uniform
        self._new_token = new_token
        self._monotonic = monotonic
        self._in_flight = InFlight(limits)
        self._concluder = Concluder(storage, uniform=uniform, keep=keep)
        self._threads = ThreadPoolExecutor(limits.total, thread_name_prefix="send")

    # -- the loop --------------------------------------------------------------------------------

    def run(self, stop: threading.Event, *, beat: Callable[[], None] = lambda: None) -> None:
        """Deliver until told to stop, then finish what is being sent (15 s at most).

        `beat` is called each time around (see `beating`).
        """
        while not stop.is_set():
            try:
                has_begun = self.begin_due() > 0
            except StorageUnavailable as error:
                log.warning("no database", extra={"action": "deliver_paused", "why": str(error)})
                # not stop.wait: a signal handler of this same thread may be about to set it
                time.sleep(STORAGE_PAUSE_S)
                continue
            beat()
            if not has_begun:
                self._in_flight.wait_for_room(LOOK_EVERY_S)
        self.hurry()
        self.close()

    def hurry(self) -> None:
        """Do not wait any more for a database that is away: the process is to end."""
        self._concluder.hurry()

    def settle(self) -> None:
        """Wait until nothing is being sent."""
        self._in_flight.wait_until_none()

    def close(self) -> None:
        self._threads.shutdown(wait=True)
        self._transport.close()

    # -- claiming --------------------------------------------------------------------------------

    def begin_due(self) -> int:
        """Claim what is due and there is room for, and begin to send it; returns how many.

        Raises:
            StorageUnavailable: what was claimed before that is being sent.
        """
        with self._storage.read() as tx:
            due = outbox.due_origins(tx)
            is_open = breakers.open_origins(tx)
        self._park([origin for origin in due if origin in is_open])
        begun = sum(self._begin_probe(origin) for origin, is_due in is_open.items() if is_due)
        for origin in self._in_flight.least_busy_first(due):
            if origin not in is_open:
                begun += self._begin_origin(origin)
        return begun

    def _begin_origin(self, origin: str) -> int:
        room = self._in_flight.room_for(origin)
        if room <= 0:
            return 0
        with self._storage.write() as tx:
            claimed = outbox.claim_due(tx, origin, limit=room, token=self._new_token())
        return self._begin(claimed)

    def _begin_probe(self, origin: str) -> int:
        if self._in_flight.room_for(origin) <= 0:
            return 0
        next_probe_us = micros(self._uniform(*breakers.PROBE_EVERY_S))
        with self._storage.write() as tx:
            if not breakers.take_probe(tx, origin, next_probe_us=next_probe_us):
                return 0
            claimed = outbox.claim_probe(tx, origin, token=self._new_token())
        return self._begin([claimed] if claimed else [])

    def _park(self, origins: Sequence[str]) -> None:
        for origin in origins:
            with self._storage.write() as tx:
                breakers.park(tx, origin)

    def _begin(self, claimed: Sequence[DueCallback]) -> int:
        for due in claimed:
            self._in_flight.enter(due.origin)
            self._threads.submit(self._deliver, due)
        return len(claimed)

    # -- sending ---------------------------------------------------------------------------------

    def _deliver(self, due: DueCallback) -> None:
        """What a thread does. Nobody looks at its result: whatever goes wrong is logged here."""
        try:
            started = self._monotonic()
            outcome = self._send(due)
            self._concluder.conclude(due, outcome, micros(self._monotonic() - started))
        except Exception:
            metrics.ERRORS.labels("deliver").inc()
            log.exception(
                "sent, but not recorded: it will be sent again",
                extra={"action": "callback_unrecorded", "callback_id": due.id},
            )
        finally:
            self._in_flight.leave(due.origin)

    def _send(self, due: DueCallback) -> Outcome:
        why_not = self._why_not_sent(due)
        if why_not:
            return Outcome(status=None, error=why_not, is_permanent=True)
        try:
            with telemetry.span(
                "deliver",
                due.traceparent,
                **({} if due.submission_id is None else {"submission_id": due.submission_id}),
                origin=due.origin,
                attempt=due.attempt,
            ) as context:
                return self._transport.send(replace(due, traceparent=context))
        except Exception as error:
            # A fault of ours: on schedule like any failure, instead of each time a claim lapses.
            metrics.ERRORS.labels("deliver").inc()
            log.exception(
                "sending failed here", extra={"action": "send_fault", "callback_id": due.id}
            )
            return Outcome(status=None, error=f"fault of the sender: {type(error).__name__}")

    def _why_not_sent(self, due: DueCallback) -> str | None:
        if not due.kind.is_of_submission:
            return None  # its recipient's entry says where it may go, which its transport reads
        if origin_of(due.url) != due.origin:
            return f"the callback URL does not lead to {due.origin}"
        if not self._allows_origin(due.origin):
            return f"{due.origin} is not in XQUEUE_LMS_ORIGINS"
        return None


def replay_origin(
    storage: Storage, origin: str, *, actor: str, since: datetime | None = None
) -> int:
    """Send all dead callbacks of an origin again (those that died since then); returns how many.

    In many short transactions. What dies anew meanwhile is not replayed twice.
    """
    until = to_datetime(storage.now_us())
    total = 0
    while True:
        with storage.write() as tx:
            count = callbacks.replay_origin(tx, origin, actor=actor, since=since, until=until)
        total += count
        if count < callbacks.REPLAY_BATCH:
            return total
