"""Learners who sit exams: attempts as a test needs them, made by the ways that all others go."""

from __future__ import annotations

from itertools import count

from proctoring_hooks import attempts
from proctoring_hooks.attempt import Attempt, Learner
from proctoring_hooks.attempts import Registration
from proctoring_hooks.exam import Exam
from proctoring_hooks.transitions import Action, Actor, By
from xqueue_server.storage.proctoring import ProctoringStore

LEARNER = By(actor=Actor.LEARNER, who="learner", request_id="r1")
LMS_SAYS = By(actor=Actor.LMS, who="lms edx")
PROVIDER = By(actor=Actor.PROVIDER, who="provider p")
PROCTOR = By(actor=Actor.PROCTOR, who="account jane", reason="looked away")
STAFF = By(actor=Actor.STAFF, who="account joe")

_NUMBERS = count(1)


def registered(
    store: ProctoringStore, exam: Exam, user_id: str = "17", by: By = LEARNER
) -> Attempt:
    asked = Registration(
        learner=Learner(user_id=user_id), external_id=f"sitting-{next(_NUMBERS)}", allowed_s=600
    )
    with store.write() as session:
        return attempts.register(session, exam, asked, by).attempt


def started(store: ProctoringStore, exam: Exam, user_id: str = "17") -> Attempt:
    """In progress, by whichever clock the exam has."""
    attempt = registered(store, exam, user_id)
    with store.write() as session:
        if exam.exam_type.is_proctored:
            attempts.act(session, attempt.id, Action.READY, PROVIDER)
        return attempts.act(session, attempt.id, Action.START, LEARNER).attempt


def now(store: ProctoringStore, attempt: Attempt) -> Attempt:
    """As it stands."""
    with store.read() as session:
        return session.attempts.get(attempt.id)


def actions(store: ProctoringStore, attempt: Attempt) -> list[str]:
    """Of its history, oldest first."""
    with store.read() as session:
        return [row.change.action for row in session.attempts.history(attempt.id)]
