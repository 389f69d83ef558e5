"""Containers that are started before anybody needs them, each for one use.

One shelf per kind of container. A shelf is made by the first who asks for that kind and by any run
of it. It is dropped when no run has come for a while or when its image has been rebuilt, and gives
containers away when memory is needed elsewhere.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.backends.docker.containers import ContainerSpec
from sandbox.backends.docker.settings import PoolSettings
from sandbox.backends.docker.starting import StartedContainer
from sandbox.errors import SandboxError, SandboxUnavailable

log = logging.getLogger(__name__)

Start = Callable[[ContainerSpec, float], StartedContainer]
COLD_MARGIN_S = 60.0
"""A container may be this much older than its run before others take it for forgotten."""
WARM_LIFETIME_S = 1800.0
"""How long a run may last that is given a waiting container; a longer one starts its own."""
FIRST_RETRY_S = 0.5
LAST_RETRY_S = 30.0
LIVE_FIRST_S = 0.1
"""For how long a refill lets the runs that are going on have the machine for themselves."""
SPARED_S = 30.0
"""Memory is taken only from shelves that nobody has asked for this long."""


@dataclass(slots=True, kw_only=True)
class Shelf:
    """What there is of one kind. `pending` are being started; `hoping` are runs that wait for
    one of those."""

    spec: ContainerSpec
    wanted_at: float
    waiting: deque[StartedContainer] = field(default_factory=deque)
    pending: int = 0
    hoping: int = 0
    failures: int = 0
    retry_at: float = 0.0
    error: SandboxError | None = None
    is_dropped: bool = False


class WarmPool:
    """Thread-safe. Without a size it has no thread and every container starts cold."""

    def __init__(
        self,
        settings: PoolSettings,
        start: Start,
        discard: Callable[[StartedContainer], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._start = start
        self._discard = discard
        self._clock = clock
        self._wall_clock = wall_clock
        self._changed = threading.Condition()
        self._shelves: dict[ContainerSpec, Shelf] = {}
        self._threads: list[threading.Thread] = []
        self._cold_starts = 0
        self._live_runs = 0
        self._taken_at = 0.0
        self._closing = False
        self._hits = 0
        self._misses = 0
        self._lost = 0

    @property
    def counters(self) -> dict[str, int]:
        """`hits` and `misses` of runs, `lost`: died while waiting, `waiting`: ready right now."""
        with self._changed:
            waiting = sum(len(shelf.waiting) for shelf in self._shelves.values())
            return {
                "hits": self._hits,
                "misses": self._misses,
                "lost": self._lost,
                "waiting": waiting,
            }

    def take(self, spec: ContainerSpec, lasting_s: float, *, want: bool = True) -> StartedContainer:
        """One for a run of at most so long: a waiting one, the next to become ready, or, when
        there is none of either, one that is started now.

        `want=False` leaves the pool as it was. Raises what `start` does.
        """
        container, useless = None, list[StartedContainer]()
        with self._changed:
            if self._settings.size and want:
                container, useless = self._take_waiting(spec, lasting_s)
            if container is None:
                # Before any refiller hears of a new shelf: this run goes first.
                self._cold_starts += 1
        try:
            return container or self._start_cold(spec, lasting_s)
        finally:
            self._discard_all(useless)

    def run_begins(self) -> None:
        """Refills hold back a little while runs go on."""
        with self._changed:
            self._live_runs += 1
            self._taken_at = self._clock()

    def run_ended(self) -> None:
        with self._changed:
            self._live_runs -= 1
            self._changed.notify_all()

    def fill(self, spec: ContainerSpec, timeout_s: float) -> None:
        """Want this kind and wait until some of it is ready; raises why none can be."""
        until = self._clock() + timeout_s
        with self._changed:
            shelf = self._wanted(spec)
            shelf.retry_at = 0.0
            shelf.error = None
            while not (shelf.waiting or shelf.error or self._closing):
                if shelf.is_dropped:
                    raise SandboxUnavailable(
                        f"{spec.image.reference} was replaced while containers of it "
                        "were being started"
                    )
                # A full house: others hold all the memory, and runs of this kind start cold.
                if not shelf.pending and not self._has_room(shelf):
                    return
                if not self._changed.wait(max(0.0, until - self._clock())):
                    raise SandboxUnavailable(f"no container was ready within {timeout_s:g} s")
            if not shelf.waiting and shelf.error is not None:
                raise shelf.error

    def require_startable(self, spec: ContainerSpec) -> None:
        """Raises why the last of this kind could not be started, if the next run would have to
        try. Wants nothing: a kind that no run takes any more goes its way."""
        with self._changed:
            shelf = self._shelves.get(spec)
            if shelf is not None and shelf.error is not None and not shelf.waiting:
                raise shelf.error

    def used_again(self, spec: ContainerSpec) -> None:
        """A run has come that needed none of those that wait: its slot was there already."""
        with self._changed:
            if spec in self._shelves:
                self._shelves[spec].wanted_at = self._clock()

    def wanted(self) -> list[ContainerSpec]:
        with self._changed:
            return list(self._shelves)

    def tend(self) -> None:
        """Drop what is dead, too old, or wanted by nobody. To be called now and then."""
        now = self._clock()
        with self._changed:
            useless: list[StartedContainer] = []
            for spec, shelf in list(self._shelves.items()):
                if now - shelf.wanted_at > self._settings.idle_expiry_s:
                    useless += self._dropped(spec)
                else:
                    useless += self._weeded(shelf, now)
            useless += self._making_room(now)
            self._changed.notify_all()
        self._discard_all(useless)

    def drop(self, spec: ContainerSpec, instead: ContainerSpec | None = None) -> None:
        """No more of this kind, because its image is gone or means something else: `instead`."""
        with self._changed:
            wanted_at = self._shelves[spec].wanted_at if spec in self._shelves else None
            useless = self._dropped(spec)
            if instead is not None and wanted_at is not None:
                self._wanted(instead).wanted_at = wanted_at
        self._discard_all(useless)

    def close(self) -> None:
        """Remove all that wait; returns when no thread is left."""
        with self._changed:
            self._closing = True
            threads, self._threads = self._threads, []
            self._changed.notify_all()
        for thread in threads:
            thread.join()
        with self._changed:
            useless = [one for spec in list(self._shelves) for one in self._dropped(spec)]
        self._discard_all(useless)

    def _take_waiting(
        self, spec: ContainerSpec, lasting_s: float
    ) -> tuple[StartedContainer | None, list[StartedContainer]]:
        """One that is ready or becomes so; and those met on the way that are no use."""
        shelf = self._wanted(spec)
        useless: list[StartedContainer] = []
        while True:
            container, more = self._next_usable(shelf, lasting_s)
            useless += more
            if container is not None or shelf.hoping >= shelf.pending or self._closing:
                break
            # One that is on its way is ready sooner than one begun now.
            shelf.hoping += 1
            self._changed.wait()
            shelf.hoping -= 1
        if container is None:
            self._misses += 1
        else:
            self._hits += 1
        return container, useless

    def _next_usable(
        self, shelf: Shelf, lasting_s: float
    ) -> tuple[StartedContainer | None, list[StartedContainer]]:
        """The oldest that still lives and will long enough; and those before it, which do not."""
        useless: list[StartedContainer] = []
        ends_at = self._wall_clock() + lasting_s
        while shelf.waiting:
            container = shelf.waiting.popleft()
            self._changed.notify_all()
            if not container.channel.is_silent():
                self._lost += 1
            elif ends_at <= container.expires_at:
                return container, useless
            useless.append(container)
        return None, useless

    def _start_cold(self, spec: ContainerSpec, lasting_s: float) -> StartedContainer:
        try:
            return self._start(spec, lasting_s + COLD_MARGIN_S)
        finally:
            with self._changed:
                self._cold_starts -= 1
                self._changed.notify_all()

    def _wanted(self, spec: ContainerSpec) -> Shelf:
        """The shelf of that kind, which is filled from now on."""
        now = self._clock()
        shelf = self._shelves.get(spec)
        if shelf is None:
            shelf = self._shelves[spec] = Shelf(spec=spec, wanted_at=now)
            self._changed.notify_all()
        shelf.wanted_at = now
        self._ensure_threads()
        return shelf

    def _ensure_threads(self) -> None:
        if self._closing:
            raise SandboxUnavailable("the Docker backend is closed")
        while len(self._threads) < self._settings.refillers:
            thread = threading.Thread(target=self._refill, name="pool-refiller", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _refill(self) -> None:
        while (shelf := self._next_to_fill()) is not None:
            container = error = None
            try:
                container = self._start(shelf.spec, self._settings.max_age_s + WARM_LIFETIME_S)
            except SandboxError as failed:
                error = failed
            except Exception as crashed:
                log.exception("starting a waiting container crashed")
                error = SandboxUnavailable(f"starting a container: {crashed!r}")
            self._shelve(shelf, container, error)

    def _next_to_fill(self) -> Shelf | None:
        """Wait for a shelf with room, and for a moment that suits; None when closing."""
        with self._changed:
            while not self._closing:
                wait_s = self._hold_back_s()
                if wait_s is None:
                    shelf, wait_s = self._emptiest()
                    if shelf is not None:
                        shelf.pending += 1
                        return shelf
                self._changed.wait(wait_s)
            return None

    def _hold_back_s(self) -> float | None:
        """None when nothing speaks against a refill now; otherwise how long to wait at most."""
        if self._cold_starts:
            return LAST_RETRY_S
        remaining_s = self._taken_at + LIVE_FIRST_S - self._clock()
        return remaining_s if self._live_runs and remaining_s > 0 else None

    def _emptiest(self) -> tuple[Shelf | None, float]:
        """The shelf to fill next, or how long until one that failed may be tried again."""
        now = self._clock()
        lacking = [
            shelf
            for shelf in self._shelves.values()
            if len(shelf.waiting) + shelf.pending < self._settings.size
        ]
        for shelf in sorted(lacking, key=_need):
            if shelf.retry_at <= now and self._has_room(shelf):
                return shelf, 0.0
        later = [shelf.retry_at - now for shelf in lacking if shelf.retry_at > now]
        return None, min(later, default=LAST_RETRY_S)

    def _has_room(self, shelf: Shelf) -> bool:
        return self._held_bytes() + self._bytes_of(shelf.spec) <= self._settings.memory_bytes

    def _held_bytes(self) -> int:
        return sum(
            (len(shelf.waiting) + shelf.pending) * self._bytes_of(shelf.spec)
            for shelf in self._shelves.values()
        )

    def _bytes_of(self, spec: ContainerSpec) -> int:
        settings = self._settings
        return settings.gvisor_idle_bytes if spec.is_gvisor else settings.idle_bytes

    def _shelve(
        self, shelf: Shelf, container: StartedContainer | None, error: SandboxError | None
    ) -> None:
        useless: list[StartedContainer] = []
        with self._changed:
            shelf.pending -= 1
            shelf.error = error
            if container is None:
                shelf.failures += 1
                pause_s = min(FIRST_RETRY_S * 2 ** min(shelf.failures - 1, 10), LAST_RETRY_S)
                shelf.retry_at = self._clock() + pause_s
            elif self._closing or shelf.is_dropped:
                useless.append(container)
            else:
                shelf.failures = 0
                shelf.waiting.append(container)
            self._changed.notify_all()
        if error is not None:
            log.warning(
                "a waiting container could not be started: %s",
                error,
                extra={
                    "action": "pool_refill_failed",
                    "image": shelf.spec.image.reference,
                    "why": str(error),
                },
            )
        self._discard_all(useless)

    def _weeded(self, shelf: Shelf, now: float) -> list[StartedContainer]:
        """Take out the dead and the old."""
        dead = [one for one in shelf.waiting if not one.channel.is_silent()]
        old = [
            one
            for one in shelf.waiting
            if one not in dead and now - one.started_at > self._settings.max_age_s
        ]
        self._lost += len(dead)
        for container in (*dead, *old):
            shelf.waiting.remove(container)
        return [*dead, *old]

    def _making_room(self, now: float) -> list[StartedContainer]:
        """For a kind that is wanted and has none: one of the kind that is wanted least. Never for
        one that is wanted still less, or two of them would take turns at starting containers."""
        spared = [s for s in self._shelves.values() if s.waiting and now - s.wanted_at > SPARED_S]
        if not spared:
            return []
        least = min(spared, key=lambda shelf: shelf.wanted_at)
        starved = [
            shelf
            for shelf in self._shelves.values()
            if not (shelf.waiting or shelf.pending)
            and shelf.wanted_at > least.wanted_at
            and shelf.retry_at <= now
        ]
        return [] if all(map(self._has_room, starved)) else [least.waiting.popleft()]

    def _dropped(self, spec: ContainerSpec) -> list[StartedContainer]:
        shelf = self._shelves.pop(spec, None)
        if shelf is None:
            return []
        shelf.is_dropped = True
        self._changed.notify_all()
        return list(shelf.waiting)

    def _discard_all(self, containers: list[StartedContainer]) -> None:
        for container in containers:
            self._discard(container)


def _need(shelf: Shelf) -> tuple[int, float]:
    """Sorts shelves: those with the fewest containers first, of these who is wanted most."""
    return len(shelf.waiting) + shelf.pending, -shelf.wanted_at
