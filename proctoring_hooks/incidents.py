"""Incidents: what was seen during an attempt, and what an exam's policy makes of it.

An incident that is severe enough is a strike; a policy says what follows from the first, the
second, ... No strike alone decides a mark for good: a terminated attempt waits for a person.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Consequence(StrEnum):
    WARN = "warn"
    """The learner is told."""
    MARK_DOWN = "mark_down"
    """Marks of this attempt count less, by the policy's factor."""
    FLAG = "flag"
    """The console shows it first."""
    SECOND_REVIEW = "second_review"
    """A person must judge, whatever the provider says."""
    TERMINATE = "terminate"
    """The exam ends for the learner; a person must judge."""


class Source(StrEnum):
    PROVIDER = "provider"
    WORKER = "worker"
    """The JavaScript worker in the learner's browser."""
    PROCTOR = "proctor"
    API = "api"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewIncident:
    attempt_id: int
    incident_id: str
    """Chosen by whoever saw it; the same one again changes nothing."""
    source: Source
    kind: str
    """In a word or two: "left full screen"."""
    severity: float
    """0 (a remark) to 1 (certain and grave), as LTI's assessment control has it."""
    happened_at: datetime
    detail: str = ""
    reported_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident(NewIncident):
    id: int
    reported_at: datetime
    strike: int | None
    """The how-manieth; None: not severe enough to count."""
    consequences: tuple[Consequence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    strikes: tuple[frozenset[Consequence], ...] = ()
    """What follows from each; the last stands for all later ones."""
    counts_from: float = 0.5
    """The least severity of a strike."""
    mark_factor: float = 0.5
    """Of each MARK_DOWN, on top of one another."""

    def is_strike(self, severity: float) -> bool:
        return severity >= self.counts_from

    def consequences(self, strike: int) -> frozenset[Consequence]:
        """Of the strike with this number, from 1."""
        if not self.strikes:
            return frozenset()
        return self.strikes[min(strike, len(self.strikes)) - 1]


_C = Consequence
PRESETS = {
    "": Policy(),
    "record": Policy(),
    "flag": Policy(strikes=(frozenset({_C.FLAG}),)),
    "two_strikes": Policy(
        strikes=(frozenset({_C.WARN, _C.MARK_DOWN}), frozenset({_C.TERMINATE, _C.FLAG}))
    ),
    "warn_then_review": Policy(
        strikes=(frozenset({_C.WARN}), frozenset({_C.SECOND_REVIEW, _C.FLAG}))
    ),
}
"""By name; "" is none."""


class BadPolicy(ValueError):
    """The text says which field is wrong and what it may be."""


def read_policy(text: str) -> Policy:
    """A preset's name, or JSON: {"counts_from": 0.5, "mark_factor": 0.5, "strikes": [["warn"]]}.

    Raises:
        BadPolicy
    """
    if text in PRESETS:
        return PRESETS[text]
    try:
        given: Any = json.loads(text)
    except ValueError:
        names = ", ".join(name for name in PRESETS if name)
        raise BadPolicy(f"{text!r} is neither a policy of ours ({names}) nor JSON") from None
    if not isinstance(given, dict) or set(given) - {"counts_from", "mark_factor", "strikes"}:
        raise BadPolicy("a policy is an object with strikes, counts_from, mark_factor")
    return Policy(
        strikes=_strikes(given.get("strikes", [])),
        counts_from=_share(given.get("counts_from", 0.5), "counts_from"),
        mark_factor=_share(given.get("mark_factor", 0.5), "mark_factor"),
    )


def _strikes(value: Any) -> tuple[frozenset[Consequence], ...]:
    try:
        return tuple(frozenset(Consequence(each) for each in strike) for strike in value)
    except (TypeError, ValueError):
        names = ", ".join(Consequence)
        raise BadPolicy(f"strikes is a list of lists of {names}") from None


def _share(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise BadPolicy(f"{name} must be a number from 0 to 1")
    return float(value)
