"""Everything that is kept of one attempt, for the pages, commands and answers that show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import Exam
from proctoring_hooks.grades import ExamSubmission
from proctoring_hooks.history import Row
from proctoring_hooks.incidents import Incident
from xqueue_server.models.callback import Callback
from xqueue_server.storage.proctoring.browsing import messages_of
from xqueue_server.storage.proctoring.records import Received
from xqueue_server.storage.proctoring.session import ProctoringSession


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    now: datetime
    attempt: Attempt
    exam: Exam
    history: Sequence[Row]
    reviews: Sequence[Received]
    incidents: Sequence[Incident]
    submissions: Sequence[ExamSubmission]
    messages: Sequence[Callback]


def story_of(session: ProctoringSession, attempt_id: int) -> Story:
    """Raises: NotFound."""
    attempt = session.attempts.get(attempt_id)
    return Story(
        now=session.now,
        attempt=attempt,
        exam=session.exams.get(attempt.exam_id),
        history=session.attempts.history(attempt_id),
        reviews=session.records.received(attempt_id),
        incidents=session.records.incidents(attempt_id),
        submissions=session.grades.of_attempt(attempt_id),
        messages=messages_of(session.tx, attempt_id),
    )
