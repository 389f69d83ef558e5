"""A plan for a deadline from what its queue has seen, each input with where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from xqueue_server.capacity.plan import Plan, make_plan
from xqueue_server.capacity.policy import USUAL_AIMS, Aims, Service
from xqueue_server.errors import Conflict
from xqueue_server.instant import to_datetime
from xqueue_server.storage import Storage, Transaction, deadlines, queues
from xqueue_server.storage.deadlines import BY_HAND, Deadline
from xqueue_server.workload import experience

LONGEST = timedelta(days=366)
GIVEN = "given"
MEDIAN = f"median of the same hours of the last {experience.USUAL_WEEKS} weeks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What an operator wants to know; None: let the history say."""

    queue: str
    deadline: datetime
    submissions: int
    opens_at: datetime | None = None
    service_s: float | None = None
    d0_min: float | None = None
    aims: Aims = USUAL_AIMS


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    name: str
    value: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    plan: Plan
    inputs: tuple[Input, ...]


def plan_for(storage: Storage, question: Question) -> Planned:
    """Raises: NotFound: no such queue; Conflict: the deadline is over, or the window too long."""
    now = to_datetime(storage.now_us())
    asked = _as_deadline(question, now)
    begin = _begin(asked, now)
    with storage.read() as tx:
        queues.get(tx, question.queue)
        told = deadlines.of_queue(tx, question.queue)
        service, of_service = _service(tx, question, now)
        d0_min, of_d0 = _d0(tx, question, told, asked)
        others = [
            experience.rush(each, experience.fitted(tx, question.queue, told, each).d0_min)
            for each in told
            if each.at > begin and each.at - each.window < asked.at and each.at != asked.at
        ]
        usual = _usual(tx, question.queue, told)
        plan = make_plan(
            [experience.rush(asked, d0_min), *others],
            service,
            from_s=begin.timestamp(),
            until_s=asked.at.timestamp(),
            usual_per_min=usual,
            aims=question.aims,
        )
        besides = sum(usual(each.from_s) * (each.to_s - each.from_s) / 60 for each in plan.steps)
    known = (
        ("submissions", question.submissions, GIVEN),
        ("service_s", service.mean_s, of_service),
        ("service_cv2", service.cv2, of_service),
        ("d0_min", d0_min, of_d0),
        ("target_s", question.aims.target_s, "5 % may wait longer"),
        ("usual_submissions", besides, MEDIAN if besides else "none known"),
        ("other_deadlines", len(others), "known for this queue"),
    )
    inputs = (Input(name=name, value=value, source=source) for name, value, source in known)
    return Planned(plan=plan, inputs=tuple(inputs))


def _begin(asked: Deadline, now: datetime) -> datetime:
    if asked.at <= now:
        raise Conflict(f"The deadline {asked.at.isoformat()} is over")
    begin = max(now, asked.at - asked.window)
    if asked.at - begin > LONGEST:
        raise Conflict(f"The window is too long: at most {LONGEST.days} days are planned")
    return begin


def _as_deadline(question: Question, now: datetime) -> Deadline:
    return Deadline(
        id=0,
        queue=question.queue,
        course="",
        at=question.deadline,
        opens_at=question.opens_at,
        submissions=question.submissions,
        source=BY_HAND,
        note="",
        created_by="",
        created_at=now,
    )


def _service(tx: Transaction, question: Question, now: datetime) -> tuple[Service, str]:
    known = experience.service_times(tx, question.queue, now)
    if question.service_s is None:
        return known.service, known.source
    return replace(known.service, mean_s=question.service_s), GIVEN


def _d0(
    tx: Transaction, question: Question, told: Sequence[Deadline], asked: Deadline
) -> tuple[float, str]:
    if question.d0_min is not None:
        return question.d0_min, GIVEN
    found = experience.fitted(tx, question.queue, told, asked)
    return found.d0_min, found.reason


def _usual(tx: Transaction, queue: str, told: Sequence[Deadline]) -> Callable[[float], float]:
    """Submissions per minute at a moment; each hour of the week is looked up once."""
    known: dict[float, float] = {}

    def per_min(moment_s: float) -> float:
        hour = moment_s // 3600 % (7 * 24)
        if hour not in known:
            moment = datetime.fromtimestamp(moment_s, UTC)
            known[hour] = experience.usual_per_min(tx, queue, moment, told)
        return known[hour]

    return per_min
