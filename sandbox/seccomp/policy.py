"""What each place in which programs run makes of the table: the verdict per call."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from enum import StrEnum

from sandbox.seccomp.arguments import ARGUMENT_RULES, ArgumentRule
from sandbox.seccomp.table import Rule, SystemCall


class Place(StrEnum):
    """Where a filter applies."""

    CONTAINER = "container"
    """A single-use Docker container with our supervisor in it."""
    SLOT = "slot"
    """A long-lived Docker container whose launcher makes boxes: the outer of two filters."""
    BOX = "box"
    """A bubblewrap box: the inner filter in a slot, the only one on a host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`error` is None when the call is allowed; with `arguments` it depends on them."""

    error: int | None = None
    arguments: ArgumentRule | None = None


ALLOW = Verdict()


def verdict(call: SystemCall, place: Place) -> Verdict:
    """What becomes of the call there."""
    match call.rule:
        case Rule.ALLOWED:
            return ALLOW
        case Rule.BY_ARGUMENTS if place is Place.SLOT and call.name == "clone":
            return ALLOW
        case Rule.BY_ARGUMENTS:
            return Verdict(arguments=ARGUMENT_RULES[call.name])
        case Rule.ABSENT:
            return Verdict(error=errno.ENOSYS)
        case Rule.MAKING_BOXES if place is Place.SLOT:
            return ALLOW
        case _:
            return Verdict(error=errno.EPERM)
