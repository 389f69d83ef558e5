"""Taking the next submission of a pool's queues."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from grader_worker.assignments import Assignments
from grader_worker.errors import RequestRefused, ServerUnreachable
from grader_worker.event_log import log_warning
from grader_worker.lease import Lease
from grader_worker.renewal import LEASE_S
from grader_worker.xqueue_client import XQueueClient

REFUSED_S = 60.0
"""How long a queue is not asked for that the server does not know, or not for us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased:
    lease: Lease
    assignments: Assignments
    """Of the queue that it came from."""
    queue_at: int
    """The place of that queue in its pool."""


class Leases:
    """From one queue or several of one server. Belongs to one thread, as its client does."""

    def __init__(
        self,
        client: XQueueClient,
        books: Sequence[Assignments],
        *,
        wait_s: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._books = list(books)
        self._wait_s = wait_s
        self._clock = clock
        self._first = 0
        self._refused_until: dict[int, float] = {}

    @property
    def queues(self) -> str:
        """For logs."""
        return ",".join(book.queue for book in self._books)

    def are_ready(self) -> bool:
        """Whether any queue could be graded on this host now."""
        return any(book.ready() for book in self._books)

    def next(self, *, long_poll: bool) -> Leased | None:
        """None when there is nothing. Raises XQueueError.

        In the server's order where it can put several queues in one; else they are asked in turn,
        beginning behind the one that gave the last. One that it refuses does not starve the others.
        """
        ready = [at for at, book in enumerate(self._books) if book.ready()]
        places = [at for at in ready if not self._is_refused(at)] or ready
        if len(places) > 1 and "queues" not in self._client.extensions:
            return self._next_in_turn(places)
        try:
            return self._ask(places, long_poll=long_poll)
        except RequestRefused:
            if len(places) == 1:
                raise
            return self._next_in_turn(places)

    def _next_in_turn(self, places: Sequence[int]) -> Leased | None:
        refusals: list[RequestRefused] = []
        for at in sorted(places, key=lambda at: (at < self._first, at)):
            try:
                leased = self._ask([at], long_poll=False)
            except RequestRefused as error:
                refusals.append(error)
                self._note_refused(at, error)
                continue
            if leased is not None:
                self._first = at + 1
                return leased
        if len(refusals) == len(places):
            raise refusals[-1]
        return None

    def _is_refused(self, at: int) -> bool:
        return self._clock() < self._refused_until.get(at, 0.0)

    def _note_refused(self, at: int, error: RequestRefused) -> None:
        self._refused_until[at] = self._clock() + REFUSED_S
        log_warning(
            "queue-refused", queue=self._books[at].queue, error=str(error), again_in_s=REFUSED_S
        )

    def _ask(self, places: Sequence[int], *, long_poll: bool) -> Leased | None:
        books = [self._books[at] for at in places]
        lease = self._client.get_submission(
            *(book.queue for book in books),
            wait_s=self._wait_s if long_poll else None,
            lease_s=LEASE_S,
            name_grader=books[0].asks_server,
        )
        if lease is None:
            return None
        at = places[0] if len(places) == 1 else self._place_of(lease)
        return Leased(lease=lease, assignments=self._books[at], queue_at=at)

    def _place_of(self, lease: Lease) -> int:
        for at, book in enumerate(self._books):
            if book.queue == lease.queue:
                return at
        # It lapses: which grader to run nobody knows.
        raise ServerUnreachable("get_submission did not say which of the queues it took")
