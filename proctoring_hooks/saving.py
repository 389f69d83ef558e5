"""Saving exams whose clock is ours: whatever a provider knows of one, it is told in the same
transaction in which it changes.

An exam that an LMS keeps has no provider but us, and is saved by its store alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from proctoring_hooks import messages
from proctoring_hooks.attempts import NotPossible
from proctoring_hooks.exam import ClockOwner, Exam, NewExam
from proctoring_hooks.statuses import OPEN, UNDER_REVIEW, Status
from proctoring_hooks.store import Session


def add(session: Session, new: NewExam) -> Exam:
    """Raises: Overtaken: see `store.Exams.add`."""
    exam = session.exams.add(new)
    _tell(session, exam)
    return exam


def change(session: Session, exam_id: int, **fields: Any) -> Exam:
    """`fields` are those of `Exam`. What changes nothing that its provider knows is told to nobody.

    Raises:
        NotFound
        NotPossible: another provider, while attempts are with the one that it has.
        Overtaken: see `store.Exams.change`.
    """
    before = session.exams.get(exam_id)
    after = replace(before, **fields)
    if after.terms.provider != before.terms.provider:
        _require_nothing_with(session, before)
        fields["provider_exam_id"] = ""  # that was the other's
    after = session.exams.change(exam_id, **fields)
    if _known(after) != _known(before):
        _tell(session, after)
    return after


def _require_nothing_with(session: Session, exam: Exam) -> None:
    """The new provider would hear of the rest of attempts that it has never heard of, and the old
    one's reviews would no longer be believed. What nobody but people judge can wait for them."""
    if exam.clock_owner is not ClockOwner.US or not exam.exam_type.is_proctored:
        return
    awaited = UNDER_REVIEW if exam.terms.provider else frozenset[Status]()
    count = session.attempts.count(exam.id, OPEN | awaited)
    if count:
        name = exam.terms.provider or "no provider"
        which = f"{count} {'attempt is' if count == 1 else 'attempts are'}"
        raise NotPossible(
            "open_attempts",
            f"Exam {exam.id} stays with {name}: {which} open{' or not judged' if awaited else ''}. "
            "Let them end, judge them or reset them first, then change it",
        )


def _tell(session: Session, exam: Exam) -> None:
    for message in messages.of_exam(session, exam):
        session.send(message)


def _known(exam: Exam) -> tuple[object, ...]:
    """What providers are told of an exam (see `providers.rest`)."""
    return (
        exam.terms.provider,
        exam.exam_name,
        exam.exam_type,
        exam.time_limit_mins,
        exam.due_at,
        exam.hide_after_due,
        exam.is_active,
        exam.terms.rules,
    )
