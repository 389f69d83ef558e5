"""Submissions that an exam claims: whose attempt covers them, and how their grades go.

A learner is found by what the callback URL says: the LMS by its origin, and he himself by his
number there or, where the LMS keeps the attempt, by what it makes of that number for providers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proctoring_hooks import aftermath
from proctoring_hooks.attempt import Attempt, Learner
from proctoring_hooks.exam import Exam, Unmatched
from proctoring_hooks.grades import (
    REFUSAL,
    Covering,
    GradeState,
    covering,
    marked_down_words,
    state_for,
)
from proctoring_hooks.lms import Lms
from proctoring_hooks.obscuring import obscured_id
from proctoring_hooks.store import NotFound
from xqueue_server.errors import InvalidRequest
from xqueue_server.models.callback import CallbackKind, CallbackState
from xqueue_server.models.marked_down import marked_down
from xqueue_server.models.submission import NewSubmission, Submission
from xqueue_server.settings import origin_of
from xqueue_server.storage import Transaction, events
from xqueue_server.storage.proctoring.grades import Grades
from xqueue_server.storage.proctoring.session import ProctoringSession
from xqueue_server.storage.superseding import Superseded

ACTOR = "exam"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A submission belongs to this exam, and stands so to its learner's attempt."""

    exam: Exam
    covering: Covering


def claim_of(session: ProctoringSession, new: NewSubmission) -> Claim | None:
    """None: no exam of the LMS that it comes from claims it.

    The attempt that covers it stays locked until the transaction ends, so that one that is
    submitted meanwhile finds the grade that it lets go.

    Raises:
        InvalidRequest: no attempt covers it, and the exam refuses such; the text is for the
            learner.
    """
    lms = session.lmses.of_origin(origin_of(new.callback_url) or "")
    if lms is None:
        return None
    exam = session.exams.claiming(lms.name, new.place.problem, new.queue)
    if exam is None:
        return None
    found = _covering(session, exam, lms, new.place.learner)
    if found.standing in REFUSAL and exam.terms.unmatched is Unmatched.REFUSE:
        raise InvalidRequest(REFUSAL[found.standing])
    return Claim(exam=exam, covering=found)


def _covering(session: ProctoringSession, exam: Exam, lms: Lms, user_id: str) -> Covering:
    def by(attempts: Sequence[Attempt]) -> Covering:
        return covering(
            exam,
            attempts,
            user_id,
            session.now,
            is_course_staff=lambda: session.exams.is_course_staff(
                lms.name, exam.course_id, user_id
            ),
        )

    seen = by(session.attempts.of_learner(exam.id, learner_of(lms, user_id)))
    if seen.attempt is None:
        return seen
    try:
        return by([session.attempts.get(seen.attempt.id, lock=True)])
    except NotFound:  # removed since
        return by([])


def learner_of(lms: Lms, user_id: str) -> Learner:
    """By all that he is known by. Nobody, if the URL does not tell."""
    if not user_id or not lms.obfuscation_key:
        return Learner(user_id=user_id)
    obscured = obscured_id(lms.obfuscation_key, user_id, lms.backend)
    return Learner(user_id=user_id, obscured_id=obscured)


def may_supersede(
    session: ProctoringSession, claim: Claim, older: Sequence[Superseded]
) -> Sequence[Superseded]:
    """What no attempt covers retires nothing that one did: staff may never accept it."""
    if claim.covering.is_covered:
        return older
    return [each for each in older if not _was_covered(session, each.submission_id)]


def _was_covered(session: ProctoringSession, submission_id: int) -> bool:
    found = session.grades.find(submission_id)
    return found is not None and found.is_covered


def add(session: ProctoringSession, claim: Claim, submission_id: int) -> None:
    """Note whose it is, in the transaction that stores it."""
    attempt, standing = claim.covering.attempt, claim.covering.standing
    state = state_for(claim.exam.terms.release, standing, attempt.status if attempt else None)
    session.grades.add(
        submission_id,
        claim.exam.id,
        attempt.id if attempt else None,
        standing,
        state,
        factor=attempt.mark_factor if attempt and state is GradeState.RELEASED else 1.0,
    )
    of_attempt = f", attempt {attempt.id}" if attempt else ""
    events.append(
        session.tx,
        subject=f"submission {submission_id}",
        submission_id=submission_id,
        actor=ACTOR,
        why="exam",
        detail=f"exam {claim.exam.id}{of_attempt}: {standing}",
    )
    if attempt is not None:
        aftermath.tell(session, attempt, "submission")


# -- the way to the LMS --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    state: CallbackState
    body: str


def sending(tx: Transaction, submission: Submission, kind: CallbackKind, body: str) -> Sending:
    """How a message about a submission goes into the outbox: held back until its exam lets it go,
    and worth what its attempt's strikes have left. Any other goes as it is, at no cost."""
    if submission.exam_id is None:
        return Sending(state=CallbackState.PENDING, body=body)
    decided = Grades(tx).has_news(submission.id)
    if decided.state is not GradeState.RELEASED:
        return Sending(state=CallbackState.WITHHELD, body=body)
    if kind is CallbackKind.RESULT and decided.factor < 1:
        words = marked_down_words(decided.factor)
        body = marked_down(submission.callback_url, body, decided.factor, words)
    return Sending(state=CallbackState.PENDING, body=body)
