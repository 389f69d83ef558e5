"""The phases: which load each puts on, on what state of the queue, and how much of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from tests.bench import actors
from tests.bench.actors import Plan
from tests.bench.connection import Actor


class Needs(StrEnum):
    """What must be there before the phase begins."""

    NOTHING = "nothing"
    EMPTY = "empty"
    """A queue with nothing to hand out."""
    READY = "ready"
    """As many waiting submissions as there will be turns."""
    LEASED = "leased"
    """As many leases to answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    name: str
    actor: Callable[[Plan], Actor]
    turns: int
    """Requests of a full run (submissions or cycles where one takes several requests)."""
    is_lms: bool = False
    needs: Needs = Needs.NOTHING


SUBMIT = Phase(name="submit", actor=actors.submit, turns=1500, is_lms=True)
GET = Phase(name="get", actor=actors.get_submission, turns=1500, needs=Needs.READY)
QUEUE_LENGTH = Phase(name="get_queuelen", actor=actors.get_queuelen, turns=2400)

PHASES = (
    Phase(name="status", actor=actors.status, turns=6000),
    SUBMIT,
    Phase(name="lms_submit", actor=actors.lms_submit, turns=600, is_lms=True),
    QUEUE_LENGTH,
    GET,
    Phase(name="put", actor=actors.put_result, turns=1500, needs=Needs.LEASED),
    Phase(name="get+put", actor=actors.get_put_cycle, turns=900, needs=Needs.READY),
    Phase(name="get_empty", actor=actors.get_empty, turns=2400, needs=Needs.EMPTY),
)
BACKLOG_PHASES = (GET, SUBMIT, QUEUE_LENGTH)
CONCURRENCIES = (1, 8)
BACKLOG_CONCURRENCY = 8
