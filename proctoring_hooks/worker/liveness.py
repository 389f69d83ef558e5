"""What workers tell of attempts, and what their silence means.

Only the incident that a long silence becomes has consequences, those of the exam's policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from proctoring_hooks.incidents import NewIncident, Source
from proctoring_hooks.statuses import IN_PROGRESS, Status


class Report(StrEnum):
    START = "start"
    PING = "ping"
    END = "end"


class Liveness(Protocol):
    """What the endpoints need of a database."""

    def status(self, lms: str, attempt: str) -> Status | None:
        """Of the attempt with this external id; None: there is none."""

    def heard(self, lms: str, attempt: str, report: Report) -> Status | None:
        """Note that this attempt's worker was heard of just now; `END` means that no more is to be
        expected. Changes nothing else. Returns the attempt's status; None: there is none."""


def is_worth_noting(last_at: datetime | None, now: datetime) -> bool:
    """A worker that tells something every moment costs no writing."""
    return last_at is None or now - last_at >= timedelta(seconds=5)


def why_not_to_start(status: Status) -> str:
    """In words for the learner; "": the page may start the attempt, as far as we know."""
    if status is Status.READY_TO_START or status in IN_PROGRESS:
        return ""
    if status in (Status.CREATED, Status.DOWNLOAD_SOFTWARE_CLICKED):
        return "The proctoring checks of this attempt are not complete yet"
    return "This attempt can not be started: it has ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceRule:
    """When silence is an incident."""

    ping_interval_s: int = 60
    """What the LMS's backend is configured with."""
    misses: int = 3
    """How many pings in a row; 0: silence is no incident."""
    severity: float = 0.4
    """Below what is a strike by default: a lost network is nobody's fault, and costs no marks."""
    expects_pings: bool = False
    """Also of an attempt that was never heard of. Then all its pages must have the worker."""

    @property
    def allowed(self) -> timedelta:
        return timedelta(seconds=self.ping_interval_s * self.misses)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """An attempt that is `started`: in no other status do pages ping."""

    attempt_id: int
    started_since: datetime
    """When it last became `started`: pages do not ping while the learner looks back."""
    heard_at: datetime | None
    """None: never, in this attempt."""
    has_ended: bool = False
    """Its worker said so, and the LMS's word is still on its way."""


def silence(
    watched: Watched, rule: SilenceRule, *, now: datetime, listening_since: datetime
) -> NewIncident | None:
    """The incident that an attempt's silence is by now; the same silence makes the same one.

    `listening_since`: from when on we would have heard; before, the silence was ours.
    """
    if rule.misses == 0 or watched.has_ended:
        return None
    if watched.heard_at is None and not rule.expects_pings:
        return None
    last = max(watched.heard_at or watched.started_since, watched.started_since)
    if now - max(last, listening_since) < rule.allowed:
        return None
    return NewIncident(
        attempt_id=watched.attempt_id,
        incident_id=f"silent since {last.isoformat()}",
        source=Source.WORKER,
        kind="no ping",
        severity=rule.severity,
        happened_at=last,
        detail=f"{rule.misses} pings in a row did not come",
        reported_by="server",
    )


class Silences(Protocol):
    """What looking for silence needs of a database."""

    def watched(self) -> Sequence[Watched]:
        """All attempts that are `started`, proctored, and not yet reported silent since they were
        last heard of."""

    def report(self, incident: NewIncident) -> None:
        """See `reporting.report`; the same one again changes nothing."""


def report_silences(
    silences: Silences, rule: SilenceRule, *, now: datetime, listening_since: datetime
) -> int:
    """For a sweeper; returns how many attempts are silent."""
    found = [
        incident
        for watched in silences.watched()
        if (incident := silence(watched, rule, now=now, listening_since=listening_since))
    ]
    for incident in found:
        silences.report(incident)
    return len(found)
