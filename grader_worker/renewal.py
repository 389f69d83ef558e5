"""Keeping a lease alive while its submission is graded."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from grader_worker.errors import LeaseLost, XQueueError
from grader_worker.event_log import log_event, log_warning
from grader_worker.lease import Lease
from grader_worker.xqueue_client import XQueueClient

LEASE_S = 30
"""Short, so that a crashed worker is replaced well within the minute a learner watches."""
RENEW_EVERY_S = 10.0


class Renewal:
    """Renews from a thread of its own until stopped or told that the lease is lost."""

    def __init__(self, client: XQueueClient, lease: Lease, *, every_s: float) -> None:
        self._client = client
        self._lease = lease
        self._whose = {"submission": lease.submission_id, "trace_id": lease.trace_id}
        self._every_s = every_s
        self._done = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._renew_regularly, name="renewal", daemon=True)

    @property
    def lost(self) -> bool:
        """The server said so: whatever is still being graded is somebody else's now."""
        return self._lost.is_set()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Does not wait for a request in flight: a renewal after the result is refused, which
        does no harm."""
        self._done.set()

    def _renew_regularly(self) -> None:
        while not self._done.wait(self._every_s) and self._renew():
            pass
        self._client.close()

    def _renew(self) -> bool:
        try:
            self._client.renew_lease(self._lease, lease_s=LEASE_S)
        except LeaseLost as error:
            if not self._done.is_set():
                self._lost.set()
                log_event("lease-lost", **self._whose, error=str(error))
            return False
        except XQueueError as error:
            # An unanswered renewal does not mean that the lease is gone, and a result is
            # accepted even after it expired, as long as nobody else has leased it.
            log_warning("renewal-failed", **self._whose, error=str(error))
        return True


@contextmanager
def kept_alive(
    client: XQueueClient, lease: Lease, *, every_s: float = RENEW_EVERY_S
) -> Iterator[Renewal]:
    """Renew during the block, where the server offers it."""
    sibling = client.sibling()
    renewal = Renewal(sibling, lease, every_s=every_s)
    if "renew" in client.extensions:
        renewal.start()
    try:
        yield renewal
    finally:
        renewal.stop()
