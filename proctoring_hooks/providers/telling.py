"""From a message in the outbox to what a plug-in knows, and from what it has read to the store."""

from __future__ import annotations

from dataclasses import dataclass

from proctoring_hooks import aftermath, attempts, provider_reviews
from proctoring_hooks.providers.base import About, Learned, Occasion
from proctoring_hooks.reviews import BadReview, read_rest_review
from proctoring_hooks.statuses import Status
from proctoring_hooks.store import NotFound, Overtaken, Session
from proctoring_hooks.transitions import Action, Actor, By, Refused

ONBOARDING = {
    Status.ONBOARDING_MISSING: Action.ONBOARDING_MISSING,
    Status.ONBOARDING_PENDING: Action.ONBOARDING_PENDING,
    Status.ONBOARDING_FAILED: Action.ONBOARDING_FAILED,
    Status.ONBOARDING_EXPIRED: Action.ONBOARDING_EXPIRED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a message to a provider is about."""

    provider: str
    occasion: Occasion
    exam_id: int
    attempt_id: int | None


def about(session: Session, told: Told, *, callback_url: str) -> About:
    """Exam, attempt and learner as they are now. Raises: NotFound."""
    attempt = None
    if told.attempt_id is not None:
        attempt = session.attempts.even_removed(told.attempt_id)
    return About(
        exam=session.exams.get(told.exam_id),
        attempt=attempt,
        names=session.names(attempt.lms, attempt.learner) if attempt else None,
        callback_url=callback_url,
        now=session.now,
    )


def keep(session: Session, told: Told, learned: Learned) -> None:
    """Store what a provider's answer told, and do what follows from it.

    What the attempt no longer allows is left out: the answer may have been long on its way.
    """
    if learned.exam_id and session.exams.get(told.exam_id).terms.provider == told.provider:
        session.exams.change(told.exam_id, provider_exam_id=learned.exam_id)
    if told.attempt_id is None:
        return
    if learned.attempt_id:
        session.attempts.set_provider_id(told.attempt_id, learned.attempt_id)
    try:
        _act(session, told.attempt_id, learned, _by(told))
        aftermath.tell(session, session.attempts.get(told.attempt_id), "provider")
    except (NotFound, Overtaken, Refused):
        return


def _by(told: Told) -> By:
    return By(actor=Actor.PROVIDER, who=f"provider {told.provider}")


def _act(session: Session, attempt_id: int, learned: Learned, by: By) -> None:
    if learned.onboarding is not None:
        attempts.act(session, attempt_id, ONBOARDING[learned.onboarding], by)
    if learned.is_ready:
        attempts.act(session, attempt_id, Action.READY, by)
    if learned.review is not None:
        try:
            review = read_rest_review(learned.review)
        except BadReview:
            return
        provider_reviews.take(session, attempt_id, review, by)
