"""What a queue's own history says about it, each figure with where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from xqueue_server.capacity import arrivals
from xqueue_server.capacity.arrivals import Fit, Law, PastRush, Rush
from xqueue_server.capacity.policy import Service
from xqueue_server.instant import to_datetime
from xqueue_server.storage import Transaction, load, marks
from xqueue_server.storage.deadlines import Deadline
from xqueue_server.storage.load import LoadMinute
from xqueue_server.workload.history import MINUTE

ASSUMED_SERVICE = Service(mean_s=15.0)
LEAST_GRADINGS = 20
SERVICE_SPANS = (timedelta(hours=1), timedelta(days=1), timedelta(days=30))
"""The shortest that has enough gradings is taken: a grader may have been changed."""
RUSH_SEEN = timedelta(hours=12)
"""Of each past deadline: d0 shows in the last hours."""
PAST_RUSHES = 5
USUAL_WEEKS = 4
MINUTE_S = 60
HOUR, WEEK = timedelta(hours=1), timedelta(weeks=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceTimes:
    service: Service
    gradings: int
    """On which it rests; 0: it is assumed."""
    span: timedelta

    @property
    def source(self) -> str:
        if not self.gradings:
            return f"assumed: fewer than {LEAST_GRADINGS} gradings are known"
        days = self.span / timedelta(days=1)
        over = f"{days:.0f} days" if days >= 1 else f"{self.span / timedelta(hours=1):.0f} h"
        return f"history of {self.gradings} gradings over {over}"


def service_times(tx: Transaction, queue: str, now: datetime) -> ServiceTimes:
    """How long a grading takes, from lease to result."""
    for span in SERVICE_SPANS:
        found = load.steps(tx, queue, now - span, now, step_s=24 * 3600)
        graded = sum(each.graded for each in found)
        if graded >= LEAST_GRADINGS:
            begun = min(each.minute for each in found if each.graded)
            return ServiceTimes(
                service=_service(found, graded), gradings=graded, span=min(span, now - begun)
            )
    return ServiceTimes(service=ASSUMED_SERVICE, gradings=0, span=timedelta(0))


def _service(found: Sequence[LoadMinute], graded: int) -> Service:
    mean_s = sum(each.service_us for each in found) / graded / 1e6
    if mean_s <= 0:
        return ASSUMED_SERVICE
    square_s2 = sum(each.service_sq_s2 for each in found) / graded
    return Service(mean_s=mean_s, cv2=max(0.0, square_s2 / mean_s**2 - 1))


# -- arrivals ------------------------------------------------------------------------------------


def fitted(tx: Transaction, queue: str, deadlines: Sequence[Deadline], like: Deadline) -> Fit:
    """d0 from the queue's past deadlines that are exams, or not, as this one is."""
    is_exam = arrivals.is_exam(_minutes(like.window))
    past = [
        each
        for each in deadlines
        if each.at < like.at and arrivals.is_exam(_minutes(each.window)) is is_exam
    ]
    over = [each for each in past if each.at <= history_until(tx)]
    return arrivals.fit(
        [_past_rush(tx, queue, each) for each in over[-PAST_RUSHES:]],
        otherwise_min=arrivals.assumed_d0_min(_minutes(like.window)),
    )


def history_until(tx: Transaction) -> datetime:
    """Up to when the history is complete; long ago if it was never written."""
    return to_datetime(marks.position(tx, MINUTE) or 0)


def rush(deadline: Deadline, d0_min: float) -> Rush:
    law = Law(submissions=deadline.submissions, window_min=_minutes(deadline.window), d0_min=d0_min)
    return Rush(deadline_s=deadline.at.timestamp(), law=law)


def _past_rush(tx: Transaction, queue: str, deadline: Deadline) -> PastRush:
    seen = min(RUSH_SEEN, deadline.window)
    by_minute: dict[int, int] = {}
    for each in load.minutes(tx, queue, deadline.at - seen, deadline.at):
        left = int((deadline.at - each.minute).total_seconds() - 1) // MINUTE_S
        by_minute[left] = by_minute.get(left, 0) + each.arrived
    return PastRush(
        by_minute=by_minute, seen_min=int(_minutes(seen)), window_min=_minutes(deadline.window)
    )


def usual_per_min(
    tx: Transaction, queue: str, moment: datetime, deadlines: Sequence[Deadline]
) -> float:
    """Arrivals at this hour of this weekday, in weeks without a rush; 0 without a history."""
    begun, until = load.first_minute(tx, queue), history_until(tx)
    if begun is None:
        return 0.0
    while moment - WEEK > until:  # of what lies far ahead, no week before may be ahead as well
        moment -= WEEK
    hours_s = arrivals.same_hours_before(
        moment.timestamp(), USUAL_WEEKS, [each.at.timestamp() for each in deadlines]
    )
    hours = [datetime.fromtimestamp(s, UTC) for s in hours_s]
    return arrivals.usual_per_min(
        [_arrived(tx, queue, hour) for hour in hours if begun <= hour and hour + HOUR <= until]
    )


def _arrived(tx: Transaction, queue: str, hour: datetime) -> int:
    return sum(each.arrived for each in load.minutes(tx, queue, hour, hour + HOUR))


def _minutes(span: timedelta) -> float:
    return span / timedelta(minutes=1)
