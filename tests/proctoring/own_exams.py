"""Learners of exams whose clock is ours, at a server that runs: they ask its exam service over
HTTP, with tokens as the LMS's that has `ISSUER` and `PUBLIC` in its entry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import requests

from proctoring_hooks.exam import Exam
from tests.proctoring.exam_pages import ISSUER, PUBLIC, person, token
from xqueue_server.instant import ManualClock

ANSWER_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLearner:
    url: str
    """Of our server."""
    user_id: int
    is_staff: bool = False

    def begin(self, exam: Exam) -> int:
        """An attempt whose clock does not run yet. Returns its id."""
        answer = self.try_to_begin(exam)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["exam_attempt_id"])

    def try_to_begin(self, exam: Exam) -> requests.Response:
        body = {"exam_id": exam.id, "start_clock": "false", "attempt_proctored": "true"}
        return self._ask("POST", "", body)

    def act(self, attempt_id: int, action: str) -> None:
        answer = self.try_to_act(attempt_id, action)
        assert answer.status_code == 200, answer.text

    def try_to_act(self, attempt_id: int, action: str) -> requests.Response:
        return self._ask("PUT", f"/{attempt_id}", {"action": action})

    def _ask(self, method: str, path: str, body: object) -> requests.Response:
        who = person(self.user_id, f"learner-{self.user_id}", administrator=self.is_staff)
        said = token(ManualClock(datetime.now(UTC)), who)
        return requests.request(
            method,
            f"{self.url}/exams/api/v1/exams/attempt{path}",
            json=body,
            headers={"Authorization": f"JWT {said}"},
            timeout=ANSWER_WITHIN_S,
        )


__all__ = ["ISSUER", "PUBLIC", "OwnLearner"]
