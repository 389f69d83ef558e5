"""A learner with a problem of her own: submits, and looks at what the LMS has recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from requests.exceptions import ChunkedEncodingError

from deploy.demo.capa import (
    CapaClient,
    QueueReply,
    UploadedFile,
    new_lms_key,
    submission_body,
    submission_header,
)
from deploy.demo.gradebook import InputState, InputStatus, ProblemInput, Reception
from deploy.demo.lms import Callback, StandInLms
from grader_worker.lease import Lease
from grader_worker.xqueue_client import XQueueClient
from graders.reply import build_reply
from sandbox.backends.fake import a_result

GRADE_S = 60.0
LEASE_S = 120.0
"""Failures of the platform are backed off for up to a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learner:
    where: ProblemInput
    lms: StandInLms
    capa: CapaClient

    def submit(
        self, answer: str, queue: str, *, files: tuple[UploadedFile, ...] = ()
    ) -> QueueReply:
        return self._unless_cut_off(
            lambda: self.lms.submit(self.where, answer, client=self.capa, queue=queue, files=files)
        )

    def submit_at(self, made_at: datetime, queue: str) -> QueueReply:
        """As if the button was pressed at this moment."""
        key = new_lms_key()
        header = submission_header(callback_url=self.callback_url, lms_key=key, queue=queue)
        body = submission_body(grader_payload="{}", answer="", learner="7", now=made_at)
        self.lms.book.expect(self.where, key)
        reply = self._unless_cut_off(lambda: self.capa.submit(header, body))
        if not reply.accepted:
            self.lms.book.withdraw(self.where)
        return reply

    def _unless_cut_off(self, submit: Callable[[], QueueReply]) -> QueueReply:
        """The server may die between the head and the body of an answer: capa lets that pass, the
        LMS shows an error and forgets that it has sent anything."""
        try:
            return submit()
        except ChunkedEncodingError:
            self.lms.book.withdraw(self.where)
            return QueueReply(accepted=False, content="500 Internal Server Error")

    def must_submit(self, answer: str, queue: str, *, files: tuple[UploadedFile, ...] = ()) -> None:
        reply = self.submit(answer, queue, files=files)
        assert reply.accepted, reply.content

    @property
    def callback_url(self) -> str:
        return self.lms.callback_url(self.where)

    @property
    def callbacks(self) -> Sequence[Callback]:
        """What has reached the LMS for this learner, applied or not."""
        path = self.callback_url.removeprefix(self.lms.origin)
        return [c for c in self.lms.callbacks if c.path == path]

    @property
    def _receptions(self) -> list[Reception]:
        return [c.reception for c in self.callbacks]

    def assert_graded(self, score: float) -> None:
        """With this score, by the first of the callbacks that was for her key; once."""
        state = self.wait_for_grade()
        assert state.score == score, state
        wanted = InputStatus.CORRECT if score == 1 else InputStatus.INCORRECT
        assert state.status is wanted, state

    def wait_for_grade(self) -> InputState:
        state = self.lms.wait_for_grade(self.where, GRADE_S)
        assert state.status is not InputStatus.PENDING, "no grade arrived"
        return state

    def assert_one_grade_taken(self) -> None:
        """However often it was sent, or turned away while the LMS was out of order."""
        # The LMS has a grade before it has noted the callback that brought it.
        self.lms.book.wait_until(lambda: Reception.ACCEPTED in self._receptions, GRADE_S)
        receptions = self._receptions
        assert receptions.count(Reception.ACCEPTED) == 1
        assert set(receptions) <= {Reception.ACCEPTED, Reception.IGNORED, Reception.TURNED_AWAY}


def lease_at(desk: XQueueClient, queue: str) -> Lease:
    """The next submission of the queue, waiting for one if need be."""
    deadline = time.monotonic() + LEASE_S
    while (lease := desk.get_submission(queue, wait_s=20)) is None:
        assert time.monotonic() < deadline, f"nothing to grade in {queue}"
    return lease


def reply(score: float = 1.0) -> str:
    return build_reply(a_result(score=score))
