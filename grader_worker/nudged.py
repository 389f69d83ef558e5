"""`grader-worker run`: RQ workers that wait for nudges, as many as are wanted at the moment, and
one process that looks, so that a flushed, lost or absent Redis costs seconds and no submission."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from grader_worker.control import ControlClient, ControlDesk
from grader_worker.crew import Crew, Duties
from grader_worker.event_log import log_event
from grader_worker.look import look
from grader_worker.nudging import LOOK_EVERY_S, RedisAddress
from grader_worker.pool import Pool, queues_of
from grader_worker.pool_worker import work
from grader_worker.published.publications import Publications
from grader_worker.sandbox_gate import SandboxGate
from grader_worker.sandboxd.client import SandboxdClient
from grader_worker.sandboxd.socket_path import ListeningSocket
from grader_worker.scoreboard import Slot
from grader_worker.shared_flag import SharedFlag
from grader_worker.stopping import Stop, stop_on_signals
from grader_worker.supervisor import Supervisor

ReadPools = Callable[[], tuple[Pool, ...]]


@dataclass(frozen=True, kw_only=True)
class Host:
    """What the processes of this host do, under the settings of the moment."""

    pools: tuple[Pool, ...]
    publications: Publications
    redis: RedisAddress
    sandbox: SandboxdClient
    gate: SandboxGate
    redis_answers: SharedFlag
    control: ControlClient
    name: str
    look_every_s: float

    def worker(self, pool: Pool, slot: Slot) -> Callable[[], None]:
        return partial(
            work,
            pool,
            self.publications,
            self.redis,
            self.sandbox,
            self.gate,
            self.redis_answers,
            slot,
        )

    def look(self) -> Callable[[], None]:
        return partial(
            look,
            self.pools,
            self.publications,
            self.redis,
            self.sandbox,
            self.gate,
            self.redis_answers,
            self.control,
            host=self.name,
            every_s=self.look_every_s,
        )

    def sandbox_is_up(self) -> bool:
        return self.gate.is_open

    def changed_to(self, pools: tuple[Pool, ...]) -> Host:
        publications = self.publications.changed_to(queues_of(pools))
        return replace(self, pools=pools, publications=publications)


def run_nudged(
    read_pools: ReadPools,
    *,
    redis: RedisAddress,
    sandbox: SandboxdClient,
    control: Path,
    cache_dir: Path,
    host: str,
    look_every_s: float = LOOK_EVERY_S,
) -> None:
    """Returns after SIGTERM or SIGINT, when every grading in progress has ended. `read_pools` is
    asked at the start and after every SIGHUP.

    Raises SettingsError.
    """
    pools = read_pools()
    redis.connect().close()  # an address that can not be read is refused before any fork
    duties = Host(
        pools=pools,
        publications=Publications(queues_of(pools), cache_dir, host=host),
        redis=redis,
        sandbox=sandbox,
        gate=SandboxGate(sandbox),
        redis_answers=SharedFlag(),
        control=ControlClient(control),
        name=host,
        look_every_s=look_every_s,
    )
    stop = Stop()
    supervisor = Supervisor(stop, in_fork=lambda: desk.leave_to_parent())

    def reread() -> tuple[tuple[Pool, ...], Duties]:
        nonlocal duties
        changed = read_pools()
        duties = duties.changed_to(changed)
        return changed, duties

    crew = Crew(supervisor, pools, duties, stop=stop, read_settings=reread)
    listening = ListeningSocket(control, of="grader-worker run", flag="--control")
    desk = ControlDesk(listening, crew.answer)
    stop_on_signals(stop, at_once=supervisor.end_at_once)
    signal.signal(signal.SIGHUP, lambda *_: crew.reread_at_next_round())
    log_event("supervising", pools=[pool.name for pool in pools], control=str(control))
    try:
        supervisor.supervise(crew.tend, desk.serve)
    finally:
        desk.close()
