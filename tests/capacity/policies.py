"""The policies that are compared: ours as it is, and what others do."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from tests.capacity.simulation import DEADLINE_S, Policy, View
from xqueue_server.capacity import policy
from xqueue_server.capacity.arrivals import Law, Rush
from xqueue_server.capacity.policy import Aims, Desired, Service, Situation

ASSUMED = Service(mean_s=15.0)
"""Before anything was graded."""
HISTORY_MIN = 60
LATE_MIN = 1
"""The history knows a minute some seconds after it is over: at worst, one decision later."""
SERVED, LEAST_SERVED = 500, 20


def fixed(workers: int) -> Policy:
    return lambda view: workers


def prairielearn() -> Policy:
    """Its published rule with one job for each worker: jobs now, or the most of 15 minutes, kept
    for another 15. Its own prediction counts learners who look at questions; nobody knows them
    here."""
    jobs: list[int] = []
    asked: list[int] = []

    def rule(view: View) -> int:
        jobs.append(view.waiting + view.running)
        asked.append(max(1, *jobs[-15:]))
        return max(asked[-15:])

    return rule


def keda(per_replica: int = 5) -> Policy:
    """Length of the queue by a target, with the usual five minutes before it goes down."""
    asked: list[int] = []

    def rule(view: View) -> int:
        asked.append(math.ceil((view.waiting + view.running) / per_replica))
        return max(1, *asked[-5:])

    return rule


def ours(law: Law | None, aims: Aims | None = None) -> Policy:
    """The product's policy; `law` is what it was told of the deadline (None: nothing)."""
    rushes = (Rush(deadline_s=DEADLINE_S, law=law),) if law else ()
    decided: list[Desired] = []

    def rule(view: View) -> int:
        decided.append(
            policy.desired(
                Situation(
                    queue="exam",
                    now_s=view.now_s,
                    waiting=view.waiting,
                    running=view.running,
                    service=_service(view.served_s),
                    arrivals=view.arrivals[-HISTORY_MIN - LATE_MIN : -LATE_MIN],
                    arrivals_until_s=view.now_s - 60 * LATE_MIN,
                    rushes=rushes,
                    recent_desired=[d.workers for d in decided[-policy.HOLD_MIN :]],
                ),
                aims or Aims(),
            )
        )
        return decided[-1].workers

    return rule


def wrong(law: Law, *, submissions_by: float = 1.0, d0_min: float | None = None) -> Law:
    """What an operator may have told instead of the truth."""
    return dataclasses.replace(
        law, submissions=law.submissions * submissions_by, d0_min=d0_min or law.d0_min
    )


def _service(served_s: Sequence[float]) -> Service:
    """Of the latest ones, as the product sums them."""
    latest = served_s[-SERVED:]
    if len(latest) < LEAST_SERVED:
        return ASSUMED
    mean = sum(latest) / len(latest)
    return Service(mean_s=mean, cv2=sum(s * s for s in latest) / len(latest) / mean**2 - 1)
