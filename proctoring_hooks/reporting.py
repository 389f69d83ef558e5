"""Taking incidents, and doing what the exam's policy says of them."""

from __future__ import annotations

from proctoring_hooks import aftermath, attempts
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.incidents import Consequence, Incident, NewIncident, Policy, read_policy
from proctoring_hooks.reviews import Review
from proctoring_hooks.statuses import IN_PROGRESS
from proctoring_hooks.store import Session
from proctoring_hooks.transitions import Action, Actor, By, Refused


def report(session: Session, new: NewIncident, *, counts: bool = True) -> Incident | None:
    """Record an incident and what follows; None if it was reported before. One that does not count
    is on record alone, however severe.

    Raises:
        NotFound: no such attempt.
    """
    attempt = session.attempts.get(new.attempt_id, lock=True)
    policy = read_policy(session.exams.get(attempt.exam_id).terms.incident_policy)
    strike = None
    if counts and policy.is_strike(new.severity):
        strike = session.records.strikes(attempt.id) + 1
    consequences = policy.consequences(strike) if strike else frozenset()
    incident = session.records.add_incident(new, strike=strike, consequences=sorted(consequences))
    if incident is None:
        return None
    _carry_out(session, attempt, policy, consequences, strike)
    aftermath.tell(session, attempt, "incident")
    return incident


def _carry_out(
    session: Session,
    attempt: Attempt,
    policy: Policy,
    consequences: frozenset[Consequence],
    strike: int | None,
) -> None:
    """By the system: a policy is a rule of the course team's, carried out without them."""
    by = By(actor=Actor.SYSTEM, who="incident policy", reason=f"strike {strike}")
    if Consequence.FLAG in consequences or Consequence.MARK_DOWN in consequences:
        is_marked_down = Consequence.MARK_DOWN in consequences
        factor = attempt.mark_factor * (policy.mark_factor if is_marked_down else 1)
        attempts.mark(session, attempt.id, factor=factor, by=by)
    if Consequence.TERMINATE in consequences:
        _terminate(session, attempt, by)
    elif Consequence.SECOND_REVIEW in consequences:
        _require_second_review(session, attempt, by, strike)


def _terminate(session: Session, attempt: Attempt, by: By) -> None:
    try:
        attempts.act(session, attempt.id, Action.TERMINATE, by)
    except Refused:
        return  # it has ended otherwise, and a person or a review has judged it


def _require_second_review(session: Session, attempt: Attempt, by: By, strike: int | None) -> None:
    review = Review(
        action=Action.REQUIRE_SECOND_REVIEW,
        actor=Actor.SYSTEM,
        reviewed_by="",
        review_id=f"strike {strike}",
    )
    try:
        attempts.judge(session, attempt.id, review, by)
    except Refused:
        assert attempt.status not in IN_PROGRESS, "there it is kept"
