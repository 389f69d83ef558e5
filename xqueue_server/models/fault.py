"""Faults of graders: what two have in common, so that a course team hears of each kind once."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from xqueue_server.keys import digest

MAX_SIGNATURE_CHARS = 200
MAX_DETAIL_CHARS = 4000
# In this order: what is in quotes may hold paths, paths hold numbers.
_VARIABLE = (
    (re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|`[^`\n]*`"), "'…'"),
    (re.compile(r"(?<!\w)(?:[A-Za-z]:)?(?:[\w.~+-]*[/\\])+[\w.~+-]*"), "PATH"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b|\b(?=[0-9a-fA-F-]*\d)[0-9a-fA-F]{8}[0-9a-fA-F-]*\b"), "ID"),
    (re.compile(r"\d+(?:[.,:]\d+)*"), "N"),
)
_TRACEBACK = "Traceback (most recent call last):"


class FaultKind(StrEnum):
    """How the fault showed."""

    GRADER = "grader"
    """A worker reported it."""
    INVALID_RESULT = "invalid_result"
    """The LMS would refuse the answer."""
    ATTEMPTS = "attempts"
    """Every lease ran out."""
    UNKNOWN_GRADER = "unknown_grader"
    """The grader_payload names one that the queue does not have, or that may not be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """One submission held for its grader's fault."""

    queue: str
    submission_id: int
    grader: str | None
    version: int | None
    kind: FaultKind
    detail: str = field(repr=False)

    @property
    def signature(self) -> str:
        if self.kind is FaultKind.UNKNOWN_GRADER:  # each wrong name is a mistake of its own
            return _shown(self.detail.partition(";")[0])
        return signature_of(self.detail)

    @property
    def kind_key(self) -> bytes:
        """The same for all occurrences of one kind."""
        return digest(
            self.queue, self.grader or "", str(self.version or ""), self.kind, self.signature
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A kind of fault and how often it was seen."""

    id: int
    queue: str
    grader: str | None
    version: int | None
    kind: FaultKind
    signature: str
    count: int
    first_at: datetime
    last_at: datetime
    detail: str = field(repr=False)
    """Of the first one; may quote what the learner wrote."""


def signature_of(detail: str) -> str:
    """The telling line of a report, without what differs from one occurrence to the next."""
    line = _telling_line(detail)[: 4 * MAX_SIGNATURE_CHARS]
    for pattern, replacement in _VARIABLE:
        line = pattern.sub(replacement, line)
    return _shown(line)


def _shown(line: str) -> str:
    printable = "".join(c if c.isprintable() else " " for c in line)
    return " ".join(printable.split())[:MAX_SIGNATURE_CHARS] or "(no message)"


def _telling_line(detail: str) -> str:
    """The first line; of a traceback the one below the frames, which names the exception."""
    lines = [line for line in detail.splitlines() if line.strip()]
    if not lines:
        return ""
    starts = [i for i, line in enumerate(lines) if line.strip() == _TRACEBACK]
    if not starts:
        return lines[0]
    below = lines[starts[-1] + 1 :]
    return next((line for line in below if not line[0].isspace()), lines[0])
