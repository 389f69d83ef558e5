"""The mark sheet of an exam as a file for people."""

from __future__ import annotations

import csv
import io

from proctoring_hooks.marks import Mark
from proctoring_hooks.store import Session
from xqueue_server.repair.override_file import cell

COLUMNS = (
    "user_id",
    "block_id",
    "score",
    "factor",
    "counts",
    "state",
    "submission_id",
    "attempt_id",
    "written_at",
)


def write(session: Session, exam_id: int) -> str:
    """CSV with a header, by learner and problem. Raises: NotFound: no such exam."""
    session.exams.get(exam_id)
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(COLUMNS)
    writer.writerows(
        [cell(value) for value in _values(mark)] for mark in session.marks.of_exam(exam_id)
    )
    return written.getvalue()


def _values(mark: Mark) -> tuple[object, ...]:
    return (
        mark.learner,
        mark.problem,
        mark.score,
        mark.factor,
        mark.counts,
        mark.state.value,
        mark.submission_id,
        mark.attempt_id,
        mark.written_at,
    )
