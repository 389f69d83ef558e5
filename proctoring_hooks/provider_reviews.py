"""Taking a provider's review: its verdict, and what it has seen, as incidents of the attempt."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from proctoring_hooks import attempts, reporting
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.attempts import Outcome
from proctoring_hooks.incidents import NewIncident, Source
from proctoring_hooks.reviews import Comment, Review, digest_of
from proctoring_hooks.store import Session
from proctoring_hooks.transitions import Action, By, Effect

SEVERITIES = {"suspicious": 0.5, "violation": 0.9, "rules violation": 0.9}
"""Of a comment's status, where the provider gives no severity: as of a proctor's warning, and of a
grave one. Comments of other statuses ("ok", "Clean") are no incidents."""


def take(session: Session, attempt_id: int, review: Review, by: By) -> Outcome:
    """As `attempts.judge`, and the incidents with it: at once, also where the verdict is kept until
    the exam is submitted.

    They are strikes where the provider itself does not let the attempt pass, and nobody has said
    more of it already: its verdict weighs what it has seen. Judged first, an attempt that has ended
    is not terminated on top of that.

    Raises: NotFound; Refused: see `attempts.judge`.
    """
    outcome = attempts.judge(session, attempt_id, review, by)
    if not outcome.is_new_review:
        return outcome
    counts = review.action is not Action.PASS and outcome.effect in (Effect.CHANGE, Effect.KEEP)
    for incident in _incidents(outcome.attempt, review, by, now=session.now):
        reporting.report(session, incident, counts=counts)
    return outcome


def _incidents(attempt: Attempt, review: Review, by: By, *, now: datetime) -> Iterator[NewIncident]:
    digest = digest_of(review).hex()
    for place, comment in enumerate(review.comments, start=1):
        status = comment.status.casefold().replace("_", " ").strip()
        if status not in SEVERITIES:
            continue
        severity = SEVERITIES[status] if comment.severity is None else comment.severity
        yield NewIncident(
            attempt_id=attempt.id,
            incident_id=f"review {digest} {place}",
            source=Source.PROVIDER,
            kind=f"{status} in the recording",
            severity=severity,
            happened_at=_seen_at(attempt, comment, now),
            detail=comment.comment + _within_the_recording(comment),
            reported_by=by.who,
        )


def _seen_at(attempt: Attempt, comment: Comment, now: datetime) -> datetime:
    """A recording begins with the exam, about."""
    if attempt.started_at is None or comment.start_s is None:
        return now
    return min(now, attempt.started_at + timedelta(seconds=max(0.0, comment.start_s)))


def _within_the_recording(comment: Comment) -> str:
    if comment.start_s is None:
        return ""
    until = "" if comment.stop_s is None else f" to {comment.stop_s:g}"
    return f" (at {comment.start_s:g}{until} s of the recording)"
