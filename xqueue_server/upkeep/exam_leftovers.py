"""What is left of exams when nobody needs it any more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from proctoring_hooks import attempts
from xqueue_server.ending import IsEnding, never
from xqueue_server.storage import marks
from xqueue_server.storage.proctoring import ProctoringStore, keeping, leftovers
from xqueue_server.storage.proctoring.session import ProctoringSession

ORPHAN_S = 30 * 24 * 3600
"""An LMS that has not started an attempt for so long means another one."""
NEWS_KEPT_S = 24 * 3600
"""A page that was away for longer is loaded anew."""
ORPHANS_AT_ONCE = 50
DAILY = "exam leftovers"
EVERY_S = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepExams:
    """In seconds; 0: for ever."""

    attempts_s: int = 0
    """After their end; allowances after they were granted, once the exam is over."""
    names_s: int = 0
    """Of learners, and what people wrote about attempts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamLeftovers:
    orphans: int = 0
    """Attempts that an LMS had registered and never started."""
    news: int = 0
    tokens: int = 0
    attempts: int = 0
    """That went with everything."""
    allowances: int = 0
    words: int = 0
    """Learners whose names went, and attempts that lost reasons, comments, details, addresses of
    recordings, and what others were told."""
    sessions: int = 0
    """At the console, that had ended."""


def remove_exam_leftovers(
    store: ProctoringStore, keep: KeepExams, *, is_ending: IsEnding = never
) -> ExamLeftovers:
    """Once a day, whoever asks how often; in small transactions. Raises: StorageUnavailable."""
    with store.write() as session:
        if not marks.claim(session.tx, DAILY, every_s=EVERY_S):
            return ExamLeftovers()
    return remove_exam_leftovers_now(store, keep, is_ending=is_ending)


def preview_exam_leftovers(store: ProctoringStore, keep: KeepExams) -> ExamLeftovers:
    """Of attempts and words, what would be removed now; changes nothing."""
    with store.read() as session:
        tx = session.tx
        return ExamLeftovers(
            attempts=keeping.count_old_attempts(tx, age_s=keep.attempts_s)
            if keep.attempts_s
            else 0,
            allowances=keeping.count_old_allowances(tx, age_s=keep.attempts_s)
            if keep.attempts_s
            else 0,
            words=keeping.count_old_words(tx, age_s=keep.names_s) if keep.names_s else 0,
        )


def remove_exam_leftovers_now(
    store: ProctoringStore, keep: KeepExams, *, is_ending: IsEnding = never
) -> ExamLeftovers:
    """The same without waiting for the day."""
    all_of = partial(_until_none_is_left, store, is_ending)
    return ExamLeftovers(
        orphans=all_of(_remove_orphans),
        news=all_of(lambda session: leftovers.remove_news(session.tx, age_s=NEWS_KEPT_S)),
        tokens=all_of(lambda session: leftovers.remove_used_tokens(session.tx)),
        attempts=all_of(lambda session: _remove_attempts(session, keep)),
        allowances=all_of(lambda session: _remove_allowances(session, keep)),
        words=all_of(lambda session: _forget_words(session, keep)),
        sessions=all_of(lambda session: keeping.remove_ended_sessions(session.tx)),
    )


def _until_none_is_left(
    store: ProctoringStore, is_ending: IsEnding, remove: Callable[[ProctoringSession], int]
) -> int:
    removed, count = 0, 1
    while count and not is_ending():
        with store.write() as session:
            count = remove(session)
        removed += count
    return removed


def _remove_orphans(session: ProctoringSession) -> int:
    ids = session.attempts.never_started(age_s=ORPHAN_S, limit=ORPHANS_AT_ONCE)
    return sum(attempts.remove_if_never_started(session, each, age_s=ORPHAN_S) for each in ids)


def _remove_attempts(session: ProctoringSession, keep: KeepExams) -> int:
    if not keep.attempts_s:
        return 0
    return keeping.remove_old_attempts(session.tx, age_s=keep.attempts_s)


def _remove_allowances(session: ProctoringSession, keep: KeepExams) -> int:
    if not keep.attempts_s:
        return 0
    return keeping.remove_old_allowances(session.tx, age_s=keep.attempts_s)


def _forget_words(session: ProctoringSession, keep: KeepExams) -> int:
    if not keep.names_s:
        return 0
    return keeping.forget_old_words(session, age_s=keep.names_s)
