"""Learners who submit code in exams: a desk of the queue beside a store of proctoring."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from proctoring_hooks import attempts
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import Exam
from proctoring_hooks.grades import ExamSubmission
from proctoring_hooks.reviews import Review
from proctoring_hooks.transitions import Action, Actor, By
from tests.proctoring.sitting import LEARNER, PROCTOR, started
from tests.server.builders import BLOCK, Desk, callback_url, grade, lms_body
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.storage.proctoring.claims import ClaimKind, add
from xqueue_server.submissions import why_waiting
from xqueue_server.submissions.why_waiting import Reason

LMS_ORIGIN = "https://lms.example"
PROBLEM = f"{BLOCK}{'0' * 32}"
HALF = grade(0.5, msg="<p>Half of it</p>")


def url(user: int = 17, *, block: str = "0" * 32, dispatch: str = "score_update") -> str:
    return callback_url(block, origin=LMS_ORIGIN, user=user, dispatch=dispatch)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamDesk:
    desk: Desk
    store: ProctoringStore

    def claim(self, exam: Exam, value: str = PROBLEM, kind: ClaimKind = ClaimKind.PROBLEM) -> None:
        with self.store.write() as session:
            add(session.tx, exam, kind, value, actor="operator ann")

    def start(self, exam: Exam, user_id: str = "17") -> Attempt:
        return started(self.store, exam, user_id)

    def submit(self, user: int = 17, *, made_at: str = "20260101120000", **given: Any) -> int:
        return self.desk.submit(url(user, **given), body=lms_body(made_at))

    def grade(self, body: str = HALF) -> None:
        """The next submission in the line."""
        self.desk.put(self.desk.lease(), body)

    def act(self, attempt: Attempt, action: Action, by: By = LEARNER) -> Attempt:
        with self.store.write() as session:
            return attempts.act(session, attempt.id, action, by).attempt

    def judge(self, attempt: Attempt, action: Action) -> Attempt:
        review = Review(action=action, actor=Actor.PROCTOR, reviewed_by="jane")
        with self.store.write() as session:
            return attempts.judge(session, attempt.id, review, PROCTOR).attempt

    def see(self, submission_id: int) -> ExamSubmission:
        with self.store.read() as session:
            found = session.grades.find(submission_id)
        assert found is not None, "it belongs to an exam"
        return found

    def states(self, submission_id: int) -> list[str]:
        """Of its messages to the LMS, oldest first."""
        return [state for state, _ in self.desk.outgoing(submission_id)]

    def sent(self, submission_id: int) -> dict[str, Any]:
        """The reply that the LMS gets."""
        ((state, body),) = self.desk.outgoing(submission_id)
        assert state == "pending"
        reply: dict[str, Any] = json.loads(body)
        return reply

    def reason(self, submission_id: int) -> Reason:
        with self.desk.storage.read() as tx:
            return why_waiting.explain(tx, submission_id)
