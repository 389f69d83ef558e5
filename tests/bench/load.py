"""One load: a client process with several connections, and what it saw."""

from __future__ import annotations

import itertools
import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from tests.bench.actors import Access, Plan, Tally
from tests.bench.connection import Actor, drive

ROUNDS = 3
"""New connections for each third of a load: the web processes share connections out by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    actor: Callable[[Plan], Actor]
    access: Access
    concurrency: int
    turns: Sequence[Any]
    first_user: int
    at_most_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    tally: Tally
    duration_s: float
    client_cpu_s: float


def run(address: tuple[str, int], load: Load) -> Seen:
    """Put the load on the server from a process of its own.

    Raises: RuntimeError with the client's own words if it could not go on.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    client = context.Process(target=_client, args=(address, load, theirs), daemon=True)
    client.start()
    theirs.close()
    try:
        seen = ours.recv()
    except EOFError:
        raise RuntimeError("the load client died") from None
    finally:
        client.join(5)
        client.kill()
    if isinstance(seen, Seen):
        return seen
    raise RuntimeError(str(seen))


def _client(address: tuple[str, int], load: Load, to: Connection) -> None:
    try:
        to.send(_drive_rounds(address, load))
    except Exception as error:  # noqa: BLE001 - the parent reports it
        to.send(f"{type(error).__name__}: {error}")
    finally:
        to.close()


def _drive_rounds(address: tuple[str, int], load: Load) -> Seen:
    tally = Tally()
    users = itertools.count(load.first_user)
    begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
    deadline_s = begun_s + load.at_most_s
    for turns in _thirds(load.turns):
        plan = Plan(access=load.access, users=users, turns=_until(deadline_s, turns), tally=tally)
        drive(address, [load.actor(plan) for _ in range(load.concurrency)])
    return Seen(
        tally=tally,
        duration_s=time.perf_counter() - begun_s,
        client_cpu_s=time.process_time() - begun_cpu_s,
    )


def _thirds(turns: Sequence[Any]) -> Iterator[Sequence[Any]]:
    size = -(-len(turns) // ROUNDS)
    for start in range(0, len(turns), max(size, 1)):
        yield turns[start : start + size]


def _until(deadline_s: float, turns: Iterable[Any]) -> Iterator[Any]:
    for turn in turns:
        if time.perf_counter() > deadline_s:
            return
        yield turn
