"""Slots of the box engine between submissions: which may be used again, and which are thrown away.

A slot is a container that lives on. It comes from the warm pool like any other; here it waits,
after its run, for its next one. A slot about which anything is odd never gets one: it is removed,
and the pool starts another.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.backends.docker.containers import ContainerSpec
from sandbox.backends.docker.frame_aligned import FrameAlignedChannel
from sandbox.backends.docker.settings import SlotSettings
from sandbox.backends.docker.starting import StartedContainer
from sandbox.conversation import SupervisorLost, await_ready
from sandbox.errors import SandboxUnavailable

log = logging.getLogger(__name__)

CLEAN_S = 5.0
"""How long a slot may take to clean up after a run."""
LIFETIME_S = 1800.0
"""A slot is given runs for this long at least; its label says when anybody may remove it."""
REMOVAL_MARGIN_S = 30.0


@dataclass(slots=True, kw_only=True)
class Slot:
    """One container with its count of submissions."""

    spec: ContainerSpec
    container: StartedContainer
    channel: FrameAlignedChannel
    uses: int = 0
    is_ready: bool = True
    """It has said so since its last run."""
    returned_at: float = 0.0
    """On the monotonic clock."""


@dataclass(slots=True, kw_only=True)
class SlotCounters:
    reused: int = 0
    started: int = 0
    discarded: int = 0


class SlotPool:
    """Thread-safe; has no thread of its own. `take` starts a container, `discard` removes one."""

    def __init__(
        self,
        settings: SlotSettings,
        take: Callable[[ContainerSpec, float], StartedContainer],
        discard: Callable[[StartedContainer], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._take = take
        self._discard = discard
        self._clock = clock
        self._wall_clock = wall_clock
        self._lock = threading.Lock()
        self._waiting: dict[ContainerSpec, deque[Slot]] = {}
        self._counters = SlotCounters()
        self._is_closed = False

    @property
    def counters(self) -> dict[str, int]:
        with self._lock:
            return {
                "slots_reused": self._counters.reused,
                "slots_started": self._counters.started,
                "slots_discarded": self._counters.discarded,
                "slots_waiting": sum(map(len, self._waiting.values())),
            }

    def borrow(self, spec: ContainerSpec, lasting_s: float) -> Slot:
        """A clean slot for a run of at most so long, for this run alone. Raises as `take` does."""
        while (slot := self._next_waiting(spec)) is not None:
            if self._is_usable(slot, lasting_s):
                with self._lock:
                    self._counters.reused += 1
                return slot
            self.throw_away(slot)
        return self.start(spec, lasting_s)

    def start(self, spec: ContainerSpec, lasting_s: float) -> Slot:
        """A new one."""
        container = self._take(spec, max(lasting_s, LIFETIME_S))
        with self._lock:
            self._counters.started += 1
        channel = FrameAlignedChannel(container.channel)
        return Slot(spec=spec, container=container, channel=channel)

    def give_back(self, slot: Slot) -> None:
        """Its run has ended in good order. Whether it is clean, its next borrower asks."""
        slot.uses += 1
        slot.is_ready = False
        slot.returned_at = self._clock()
        if slot.uses >= self._settings.uses:
            self.throw_away(slot)
            return
        with self._lock:
            if not self._is_closed:
                self._waiting.setdefault(slot.spec, deque()).append(slot)
                surplus = self._surplus()
            else:
                surplus = [slot]
        for one in surplus:
            self.throw_away(one)

    def throw_away(self, slot: Slot) -> None:
        with self._lock:
            self._counters.discarded += 1
        self._discard(slot.container)

    def tend(self) -> None:
        """Remove what is dead, dirty, or wanted by nobody. To be called now and then."""
        for slot in self._withdraw_due():
            is_wanted = self._clock() - slot.returned_at <= self._settings.idle_expiry_s
            if is_wanted and self._is_usable(slot, 0.0):
                self._put_back(slot)
            else:
                self.throw_away(slot)

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            everything = [slot for slots in self._waiting.values() for slot in slots]
            self._waiting.clear()
        for slot in everything:
            self.throw_away(slot)

    def _next_waiting(self, spec: ContainerSpec) -> Slot | None:
        """The one used last, so that surplus ones expire."""
        with self._lock:
            slots = self._waiting.get(spec)
            return slots.pop() if slots else None

    def _withdraw_due(self) -> list[Slot]:
        """Those that have had their time to clean up, so that looking at one takes no time."""
        now = self._clock()
        with self._lock:
            due = [
                slot
                for slots in self._waiting.values()
                for slot in slots
                if now - slot.returned_at > CLEAN_S
            ]
            for slot in due:
                self._waiting[slot.spec].remove(slot)
        return due

    def _put_back(self, slot: Slot) -> None:
        """Where it was: behind those that were used later."""
        with self._lock:
            if not self._is_closed:
                self._waiting.setdefault(slot.spec, deque()).appendleft(slot)
                return
        self.throw_away(slot)

    def _surplus(self) -> list[Slot]:
        """What waits beyond the limit: those that have waited longest."""
        everything = [slot for slots in self._waiting.values() for slot in slots]
        too_many = len(everything) - self._settings.most_waiting
        oldest = sorted(everything, key=lambda slot: slot.returned_at)[: max(0, too_many)]
        for slot in oldest:
            self._waiting[slot.spec].remove(slot)
        return oldest

    def _is_usable(self, slot: Slot, lasting_s: float) -> bool:
        ends_at = self._wall_clock() + lasting_s + REMOVAL_MARGIN_S
        if ends_at > slot.container.expires_at:
            return False
        if slot.is_ready:
            return slot.channel.is_silent()
        return self._says_ready(slot)

    def _says_ready(self, slot: Slot) -> bool:
        try:
            patience_s = slot.returned_at + CLEAN_S - self._clock()
            await_ready(slot.channel, max(0.05, patience_s))
        except (SupervisorLost, SandboxUnavailable) as error:
            why = f"{error}; {slot.container.channel.stderr}"[:300]
            log.warning(
                "a slot is thrown away after its run: %s",
                why,
                extra={
                    "action": "slot_unclean",
                    "container": slot.container.container_id[:12],
                    "why": why,
                },
            )
            return False
        slot.is_ready = True
        return slot.channel.is_silent()
