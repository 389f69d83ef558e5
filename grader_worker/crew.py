"""Who works on this host: for every pool as many workers as are wanted, and one process that looks.

Lives in the supervisor. What it is asked over the control socket only changes what is wanted; the
next round starts and lets go.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from grader_worker.errors import SettingsError
from grader_worker.event_log import log_event, log_warning
from grader_worker.pool import MOST_WORKERS, Pool
from grader_worker.scoreboard import Scoreboard, Slot, WorkState
from grader_worker.stopping import Stop
from grader_worker.supervisor import Member, Supervisor
from grader_worker.wanted import Wanted

LOOK = "look"
Main = Callable[[], None]


class Duties(Protocol):
    """What the processes do, under the settings of the moment."""

    def worker(self, pool: Pool, slot: Slot) -> Main: ...

    def look(self) -> Main: ...

    def sandbox_is_up(self) -> bool: ...


@dataclass(slots=True, kw_only=True, eq=False)
class _Worker:
    pool: Pool
    member: Member
    slot: Slot


class Crew:
    """`read_settings` gives the pools anew and the duties that go with them; it raises
    SettingsError."""

    def __init__(
        self,
        supervisor: Supervisor,
        pools: tuple[Pool, ...],
        duties: Duties,
        *,
        stop: Stop,
        read_settings: Callable[[], tuple[tuple[Pool, ...], Duties]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        refuse_same_names(pools)
        refuse_too_many(pools)
        self._supervisor = supervisor
        self._read_settings = read_settings
        self._clock = clock
        self._board = Scoreboard()
        self._pools = pools
        self._duties = duties
        self._wanted = {pool.name: Wanted(pool, clock=clock) for pool in pools}
        self._workers: list[_Worker] = []
        self._look: Member | None = None
        self._started_at = datetime.now(UTC)
        self._stop = stop
        self._must_reread = False

    def reread_at_next_round(self) -> None:
        """Also from a signal handler."""
        self._must_reread = True

    def tend(self) -> None:
        """One round: read the settings if asked to, start who is missing, let go of who is too
        many."""
        if self._must_reread:
            self._must_reread = False
            self._reread()
        self._forget_the_ended()
        if self._look is None:
            self._look = Member(name=LOOK, main=self._duties.look(), ends_last=True)
            self._supervisor.members.append(self._look)
        for worker in self._workers:
            if worker.pool not in self._pools:
                self._supervisor.let_go(worker.member)
        for pool in self._pools:
            self._fit(pool)

    def answer(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """To the control socket: {"ok": …} or {"error": why}."""
        try:
            match question.get("ask"):
                case "status":
                    return {"ok": self.status()}
                case "scale":
                    self._scale(question.get("counts"))
                    return {"ok": self.status()}
                case "heed":
                    self._heed(question)
                    return {"ok": {}}
        except SettingsError as error:
            return {"error": str(error)}
        return {"error": "asked for something else"}

    def status(self) -> dict[str, Any]:
        """{"pid", "started_at", "ending", "pools": [{"name", "queues", "server", "wanted",
        "autoscale"}], "workers": [{"name", "pid", "pool", "server", "queue", "state",
        "submission_id", "since_s"}]}"""
        now, is_up = self._clock(), self._duties.sandbox_is_up()
        return {
            "pid": os.getpid(),
            "started_at": self._started_at.isoformat(timespec="seconds"),
            "ending": self._stop.is_set(),
            "pools": [self._pool_row(pool) for pool in self._pools],
            "workers": [
                _worker_row(worker, now, sandbox_is_up=is_up)
                for worker in self._workers
                if worker.member.pid
            ],
        }

    def _pool_row(self, pool: Pool) -> dict[str, Any]:
        bounds = pool.autoscale
        return {
            "name": pool.name,
            "queues": list(pool.queue_names),
            "server": pool.account.url,
            "wanted": self._wanted[pool.name].count,
            "autoscale": {"min": bounds.least, "max": bounds.most} if bounds else None,
        }

    # What is wanted

    def _scale(self, counts: object) -> None:
        """All of it or nothing. None for a count takes back what was said."""
        if self._stop.is_set():
            raise SettingsError("the workers are ending")
        if not isinstance(counts, dict) or not counts:
            raise SettingsError("give QUEUE=N")
        said = {self._pool_named(name): count for name, count in counts.items()}
        for name, count in counts.items():
            _require_count(name, count)
        changed = {**{name: wanted.count for name, wanted in self._wanted.items()}, **said}
        if sum(count or 0 for count in changed.values()) > MOST_WORKERS:
            raise SettingsError(f"at most {MOST_WORKERS} workers on one host")
        for name, count in said.items():
            self._wanted[name].say(count)
            log_event("scaled", pool=name, count=self._wanted[name].count, by="scale")

    def _pool_named(self, name: str) -> str:
        """By its own name or one of its queues'. Raises SettingsError."""
        for pool in self._pools:
            if name in _names_of(pool):
                return pool.name
        raise SettingsError(f"no queue or pool {name!r} here; there are: {', '.join(self._wanted)}")

    def _heed(self, question: Mapping[str, Any]) -> None:
        """What a server answered to an announcement, by its queues."""
        wishes, needs = _counts(question.get("wishes")), _counts(question.get("needs"))
        said_at = question.get("said_at")
        said_at = said_at if isinstance(said_at, dict) else {}
        for pool in self._pools:
            if pool.account.url != question.get("server"):
                continue
            wanted = self._wanted[pool.name]
            before = wanted.count
            of_pool = [name for name in _names_of(pool) if name in wishes]
            wanted.wish(
                max((wishes[name] for name in of_pool), default=None),
                said_at=max((str(said_at.get(name, "")) for name in of_pool), default=""),
            )
            if any(name in needs for name in pool.queue_names):
                wanted.need(sum(needs.get(name, 0) for name in pool.queue_names))
            if wanted.count != before:
                by = "need" if wanted.follows_need else "wish"
                log_event("scaled", pool=pool.name, count=wanted.count, by=by)

    def _reread(self) -> None:
        try:
            pools, duties = self._read_settings()
            refuse_same_names(pools)
            refuse_too_many(pools)
        except SettingsError as error:
            log_warning("settings-not-reread", error=str(error))
            return
        before, self._pools, self._duties = self._pools, pools, duties
        known, self._wanted = self._wanted, {}
        for pool in pools:
            wanted = known.get(pool.name) or Wanted(pool, clock=self._clock)
            wanted.configure(pool)
            self._wanted[pool.name] = wanted
        self._keep_unchanged(before)
        if self._look is not None:
            self._supervisor.let_go(self._look)
            self._look = None
        log_event("settings-reread", pools=[pool.name for pool in pools])

    def _keep_unchanged(self, before: tuple[Pool, ...]) -> None:
        """Workers whose pool differs in its numbers only go on."""
        same = {pool.name: pool for pool in self._pools}
        for worker in self._workers:
            now = same.get(worker.pool.name)
            if now is not None and worker.pool in before and _is_same_work(worker.pool, now):
                worker.pool = now

    # Starting and letting go

    def _fit(self, pool: Pool) -> None:
        ours = [
            worker
            for worker in self._workers
            if worker.pool is pool and not worker.member.is_leaving
        ]
        too_many = len(ours) - self._wanted[pool.name].count
        for _ in range(-too_many):
            self._start(pool)
        for worker in sorted(ours, key=_how_dear)[: max(0, too_many)]:
            log_event("worker-let-go", worker=worker.member.name)
            self._supervisor.let_go(worker.member)

    def _start(self, pool: Pool) -> None:
        slot = self._board.take()
        if slot is None:
            return  # until one that is leaving has left
        member = Member(name=self._free_name(pool), main=self._duties.worker(pool, slot), slot=slot)
        self._workers.append(_Worker(pool=pool, member=member, slot=slot))
        self._supervisor.members.append(member)

    def _free_name(self, pool: Pool) -> str:
        taken = {worker.member.name for worker in self._workers}
        numbers = range(1, len(taken) + 2)
        names = (f"{pool.name[:120]}-{number}" for number in numbers)
        return next(name for name in names if name not in taken)

    def _forget_the_ended(self) -> None:
        present = set(map(id, self._supervisor.members))
        for worker in list(self._workers):
            if id(worker.member) not in present:
                self._workers.remove(worker)
                self._board.give_back(worker.slot)


def refuse_same_names(pools: tuple[Pool, ...]) -> None:
    """A nudge names its queue only: of two servers on one Redis the wrong one would be asked.

    Raises SettingsError.
    """
    queues = [name for pool in pools for name in pool.queue_names]
    for name in queues:
        if queues.count(name) > 1:
            raise SettingsError(f"queue {name!r} of several servers can not share one Redis")
    names = [pool.name for pool in pools]
    for pool in pools:
        if names.count(pool.name) > 1:
            raise SettingsError(f"pool {pool.name!r} has the name of a queue or of another pool")


def refuse_too_many(pools: tuple[Pool, ...]) -> None:
    """Raises SettingsError."""
    together = sum(pool.concurrency for pool in pools)
    if together > MOST_WORKERS:
        raise SettingsError(f"{together} workers, and at most {MOST_WORKERS} on one host")


def _is_same_work(one: Pool, other: Pool) -> bool:
    return one.queues == other.queues


def _names_of(pool: Pool) -> list[str]:
    return list(dict.fromkeys((pool.name, *pool.queue_names)))


def _how_dear(worker: _Worker) -> tuple[bool, float]:
    """Those who grade last; of the others, the youngest first."""
    doing = worker.slot.read()
    return (doing.state is WorkState.GRADING, -worker.member.started_at)


def _worker_row(worker: _Worker, now: float, *, sandbox_is_up: bool) -> dict[str, Any]:
    doing = worker.slot.read()
    state = str(doing.state)
    if doing.state is WorkState.IDLE and not sandbox_is_up:
        state = "waiting"
    if worker.member.is_leaving:
        state = "draining"
    return {
        "name": worker.member.name,
        "pid": worker.member.pid,
        "pool": worker.pool.name,
        "server": worker.pool.account.url,
        "queue": worker.pool.queue_names[doing.queue_at],
        "state": state,
        "submission_id": doing.submission_id,
        "since_s": round(max(0.0, now - doing.since), 1),
    }


def _require_count(name: str, count: object) -> None:
    is_count = type(count) is int and 0 <= count <= MOST_WORKERS
    if count is not None and not is_count:
        raise SettingsError(f"{name}: a number from 0 to {MOST_WORKERS}, or auto")


def _counts(value: object) -> dict[str, int]:
    """What can be used of it."""
    if not isinstance(value, dict):
        return {}
    return {
        name: min(count, MOST_WORKERS)
        for name, count in value.items()
        if isinstance(name, str) and type(count) is int and count >= 0
    }
