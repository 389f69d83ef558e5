"""One reading of the database for all who listen, and a bounded queue for each of them.

Whoever takes too long is cut off, and comes back with the place that it has reached: it never
holds up the others, nor those who write.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from proctoring_hooks.store import NO_ATTEMPT
from xqueue_server.errors import StorageUnavailable
from xqueue_server.live.ticket import Ticket
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import news
from xqueue_server.storage.proctoring.news import BEGINNING, Place, PlacedNews

log = logging.getLogger(__name__)

EVERY_S = 0.5
"""Between two looks at the database: by so much a page is behind."""
AT_ONCE = 1000
"""Rows of one look."""
KEPT = 5000
"""News in memory, for those who come back; who was away for longer costs a reading of its own."""
LONGEST_QUEUE = 200
"""News that wait for one client."""
READERS = 2
"""Readings for clients that come back, at once."""


class Gone(Exception):
    """The client is too far behind to be told one by one: it must look at everything anew."""


@dataclass(eq=False, kw_only=True)
class Client:
    """One stream."""

    ticket: Ticket
    exam_id: int | None
    attempt_id: int | None
    queue: asyncio.Queue[PlacedNews] = field(
        default_factory=lambda: asyncio.Queue(maxsize=LONGEST_QUEUE)
    )
    is_cut_off: asyncio.Event = field(default_factory=asyncio.Event)
    known: Place = BEGINNING
    """What comes up to here it has been told, or is told otherwise."""

    def is_about(self, told: PlacedNews) -> bool:
        """What is of no attempt is about every list of attempts of its course."""
        return (
            told.lms == self.ticket.lms
            and told.course_id == self.ticket.course_id
            and (told.attempt_id == NO_ATTEMPT or self.exam_id in (None, told.exam_id))
            and self.attempt_id in (None, told.attempt_id)
        )

    def offer(self, told: PlacedNews) -> None:
        """Never waits: a queue that is full cuts the client off."""
        if told.place <= self.known or not self.is_about(told):
            return
        try:
            self.queue.put_nowait(told)
        except asyncio.QueueFull:
            self.is_cut_off.set()


class Feed:
    """To be used by one event loop. `monotonic` is what `is_fresh` counts by, in seconds."""

    def __init__(self, storage: Storage, monotonic: Callable[[], float]) -> None:
        self._storage = storage
        self._monotonic = monotonic
        self.clients: set[Client] = set()
        self._kept: list[PlacedNews] = []
        self._since: Place | None = None
        """After this place everything is in `_kept`. None: it was not begun."""
        self._place = BEGINNING
        self._looked_at: float | None = None
        self._readers = asyncio.Semaphore(READERS)

    # -- reading ---------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event, beat: Callable[[], None]) -> None:
        """Look every `EVERY_S` until told to stop. A database that is away is waited for.

        `beat` is called each time around (see `beating`).
        """
        while not stop.is_set():
            await asyncio.to_thread(beat)
            has_more = False
            try:
                has_more = await self.look()
            except StorageUnavailable as error:
                log.warning("no database", extra={"action": "live_waits", "why": str(error)})
            if not has_more:
                await _wait(stop, EVERY_S)

    async def look(self) -> bool:
        """Hand out what is new; whether there may be more.

        Raises: StorageUnavailable.
        """
        if self._since is None:
            self._since = self._place = await asyncio.to_thread(self._settled)
        found = await asyncio.to_thread(self._after, self._place)
        self._looked_at = self._monotonic()
        for told in found:
            for client in self.clients:
                client.offer(told)
        if found:
            self._place = found[-1].place
            self._kept += found
            self._drop_oldest()
        return len(found) == AT_ONCE

    def is_fresh(self, within_s: float) -> bool:
        return self._looked_at is not None and self._monotonic() - self._looked_at < within_s

    def _drop_oldest(self) -> None:
        surplus = len(self._kept) - KEPT
        if surplus > 0:
            self._since = self._kept[surplus - 1].place
            del self._kept[:surplus]

    def _settled(self) -> Place:
        with self._storage.read() as tx:
            return news.settled(tx)

    def _after(self, place: Place) -> Sequence[PlacedNews]:
        with self._storage.read() as tx:
            return news.after(tx, place, limit=AT_ONCE)

    # -- listening -------------------------------------------------------------------------------

    async def join(self, client: Client, after: Place | None) -> Sequence[PlacedNews]:
        """What it has missed since `after`; what comes then is put into its queue. Without gap or
        overlap: the client listens from the very place up to which this answers.

        Raises:
            Gone
            StorageUnavailable
        """
        if self._since is None:
            raise StorageUnavailable("the database was not read yet")
        place, since = self._place, self._since
        client.known = max(place, after or place)
        self.clients.add(client)  # no await between this and reading `_place`
        try:
            if after is None or after == place:
                return []
            if after > place:
                await self._check_is_ahead(after)
                return []
            if after >= since:
                begin = bisect_right(self._kept, after, key=lambda told: told.place)
                return [told for told in self._kept[begin:] if client.is_about(told)]
            return await self._from_database(client, after, place)
        except BaseException:
            self.clients.discard(client)
            raise

    def leave(self, client: Client) -> None:
        self.clients.discard(client)

    async def _from_database(
        self, client: Client, after: Place, until: Place
    ) -> Sequence[PlacedNews]:
        async with self._readers:
            found = await asyncio.to_thread(self._after, after)
        missed = [told for told in found if told.place <= until]
        is_more = len(found) == AT_ONCE and len(missed) == AT_ONCE
        if is_more or any(told.kind == news.FORGOTTEN for told in missed):
            raise Gone
        return [told for told in missed if client.is_about(told)]

    async def _check_is_ahead(self, after: Place) -> None:
        """Another process of this kind has told it more than we know yet, or the database was
        restored from a copy, and its transactions are counted anew."""
        async with self._readers:
            settled = await asyncio.to_thread(self._settled)
        if after > settled:
            raise Gone


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
