"""Staff let grades go that an exam holds back: of submissions that were late or of no attempt, and
of attempts that were rejected or never judged. The former they may refuse as well. Each is on
record, with who and why."""

from __future__ import annotations

from proctoring_hooks import aftermath
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.grades import GradeState
from proctoring_hooks.store import NO_ATTEMPT, News, NotFound, Session, Store
from proctoring_hooks.transitions import Actor, By

ACCEPTERS = frozenset({Actor.STAFF, Actor.PROCTOR})
AT_ONCE = 100
WHY = "accepted"


class NotAllowed(Exception):
    """Only staff and proctors accept. For the caller: HTTP 403."""


def accept(session: Session, submission_id: int, by: By) -> bool:
    """Release one grade; False if it has been released before.

    Raises:
        NotFound: it belongs to no exam.
        NotAllowed
    """
    _require_staff(by)
    found = session.grades.find(submission_id)
    if found is None:
        raise NotFound(f"Submission {submission_id} belongs to no exam")
    attempt = _locked(session, found.attempt_id)
    is_new = _release(session, submission_id, attempt, by)
    if is_new:
        _tell(session, found.exam_id, attempt, "accepted")
    return is_new


def refuse(session: Session, submission_id: int, by: By) -> bool:
    """Keep the grade of what was late or of no attempt; False if it does not wait for a decision
    (any more). It may still be accepted.

    Raises:
        NotFound: it belongs to no exam.
        NotAllowed
    """
    _require_staff(by)
    found = session.grades.find(submission_id)
    if found is None:
        raise NotFound(f"Submission {submission_id} belongs to no exam")
    attempt = _locked(session, found.attempt_id)
    is_new = session.grades.refuse(submission_id, who=by.who, reason=by.reason or "refused")
    if is_new:
        _tell(session, found.exam_id, attempt, "refused")
    return is_new


def accept_all_of(session: Session, attempt_id: int, by: By) -> int:
    """Release all grades of an attempt that are not yet; returns how many.

    Raises: NotFound; NotAllowed.
    """
    _require_staff(by)
    attempt = session.attempts.get(attempt_id, lock=True)
    held = [
        each
        for each in session.grades.of_attempt(attempt_id)
        if each.state is not GradeState.RELEASED
    ]
    count = sum(_release(session, each.submission_id, attempt, by) for each in held)
    if count:
        aftermath.tell(session, attempt, "accepted")
    return count


def accept_all_flagged(store: Store, exam_id: int, by: By) -> int:
    """Release what of an exam was late or of no attempt; returns how many.

    One transaction for each: they belong to many attempts, of which none may be kept locked while
    the others are waited for. What breaks off is simply asked for again.

    Raises: NotAllowed.
    """
    _require_staff(by)
    count, after = 0, 0
    while True:
        with store.read() as session:
            found = session.grades.flagged(exam_id, after=after, limit=AT_ONCE)
        for each in found:
            with store.write() as session:
                count += accept(session, each.submission_id, by)
        if len(found) < AT_ONCE:
            return count
        after = found[-1].submission_id


def _release(session: Session, submission_id: int, attempt: Attempt | None, by: By) -> bool:
    return session.grades.release(
        submission_id,
        factor=attempt.mark_factor if attempt else 1.0,
        why=WHY,
        who=by.who,
        reason=by.reason,
    )


def _tell(session: Session, exam_id: int, attempt: Attempt | None, kind: str) -> None:
    if attempt is not None:
        aftermath.tell(session, attempt, kind)
        return
    exam = session.exams.get(exam_id)
    session.tell(News(lms=exam.lms, course_id=exam.course_id, attempt_id=NO_ATTEMPT, kind=kind))


def _locked(session: Session, attempt_id: int | None) -> Attempt | None:
    """Before its submissions, as everybody locks them. None also where staff have reset it."""
    if attempt_id is None:
        return None
    try:
        return session.attempts.get(attempt_id, lock=True)
    except NotFound:
        return None


def _require_staff(by: By) -> None:
    if by.actor not in ACCEPTERS:
        raise NotAllowed(f"{by.actor} may not accept grades; staff and proctors may")
