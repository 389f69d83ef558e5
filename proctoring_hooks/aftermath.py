"""What follows from a change of an attempt, in the transaction that makes it: grades that may go
or must stay, messages to those who must know, and news for pages that are open."""

from __future__ import annotations

from proctoring_hooks import messages
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import Exam
from proctoring_hooks.grades import GradeState, state_for
from proctoring_hooks.happened import Happened
from proctoring_hooks.statuses import Status
from proctoring_hooks.store import News, Session


def follow(session: Session, happened: Happened) -> None:
    """Everything, in the order in which others may rely on it."""
    if happened.after is None:
        _keep_grades(session, happened.attempt)
    else:
        _move_grades(session, happened.exam, happened.after)
    for message in messages.of(session, happened):
        session.send(message)
    tell(session, happened.attempt, happened.after.status if happened.after else "removed")


def tell(session: Session, attempt: Attempt, kind: str) -> None:
    session.tell(
        News(lms=attempt.lms, course_id=attempt.course_id, attempt_id=attempt.id, kind=kind)
    )


def _move_grades(session: Session, exam: Exam, attempt: Attempt) -> None:
    """Of the attempt, and of those that it goes on with: they broke off, and what was submitted in
    them is judged with it. Whoever owns the clock may let a learner go on; only we say `resumes`.
    """
    earlier = session.attempts.of_learner(exam.id, attempt.learner)
    broken_off = [each for each in earlier if each.id < attempt.id and each.status is Status.ERROR]
    for of in (attempt, *broken_off):
        _move_grades_of(session, exam, of, attempt)


def _move_grades_of(session: Session, exam: Exam, of: Attempt, judged: Attempt) -> None:
    why = f"attempt {judged.status}"
    factor = min(of.mark_factor, judged.mark_factor)
    for each in session.grades.of_attempt(of.id):
        if each.state in (GradeState.RELEASED, GradeState.FLAGGED):
            continue
        state = state_for(exam.terms.release, each.standing, judged.status)
        if state is GradeState.RELEASED:
            session.grades.release(each.submission_id, factor=factor, why=why)
        elif state is GradeState.WITHHELD:
            session.grades.withhold(each.submission_id, why=why)


def _keep_grades(session: Session, removed: Attempt) -> None:
    for each in session.grades.of_attempt(removed.id):
        session.grades.withhold(each.submission_id, why="attempt removed")
