"""Learners who sit exams, and what must be true of an attempt in the end, whatever was killed."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

import requests

from grader_worker.xqueue_client import XQueueClient
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import Exam, Release, Terms
from proctoring_hooks.providers.base import Entry
from proctoring_hooks.store import SecretSubscriber
from tests.crash.conftest import new_learner
from tests.crash.learner import Learner, lease_at, reply
from tests.crash.ledger import SETTLE_S, Ledger
from tests.crash.stack import DESK_QUEUE, OPERATOR, PASSWORD, CrashStack
from tests.proctoring.conftest import EXAM
from tests.proctoring.edx_proctoring_lms.peer import Lms, exam_of
from tests.proctoring.own_exams import ISSUER, PUBLIC
from tests.worker.fakes import eventually
from xqueue_server.models.callback import CallbackState
from xqueue_server.storage import callbacks
from xqueue_server.storage.proctoring import browsing, claims
from xqueue_server.storage.proctoring.claims import ClaimKind
from xqueue_server.upkeep.exam_history import check_one

LMS = "edx"
PROVIDER = "watcher"
EVENT = "org.openedx.learning.exam.attempt."
SECRET = f"whsec_{base64.b64encode(b'k' * 32).decode()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exams:
    """Exams at the stack: those that edx-proctoring keeps with us, and those that are ours."""

    stack: CrashStack
    lms: Lms

    def enter(self) -> None:
        """One LMS, for both; a provider that takes everything; and somebody who listens."""
        self.lms.put_provider(f"{self.stack.url}/proctoring")
        with self.stack.exams.write() as session:
            if session.lmses.all():
                return
            known = replace(self.lms.entry(LMS), jwt_issuer=ISSUER, jwt_keys=PUBLIC)
            session.lmses.add(replace(known, origins=(self.stack.lms.origin,)))
            nothing = Entry(name=PROVIDER, plugin="null", settings={}, secrets={})
            session.recipients.put_provider(nothing)
            listener = f"{self.stack.listener.origin}/events"
            subscriber = SecretSubscriber(name="listener", url=listener, secret=SECRET)
            session.recipients.put_subscriber(subscriber, lms=LMS, course_id="")

    def publish(self, release: Release) -> PeersExam:
        """An exam of edx-proctoring's, in a course of its own."""
        course = f"course-v1:edX+{secrets.token_hex(4)}+2026"
        staff = self.lms.sign_in("staff")
        (lms_id,) = staff.register_exams(exam_of("final"), course=course)
        with self.stack.exams.write() as session:
            exam = session.exams.by_external_id(LMS, staff.exam(lms_id)["external_id"])
            session.exams.change(exam.id, terms=replace(exam.terms, release=release))
        return PeersExam(exams=self, exam=exam, lms_id=lms_id)

    def own(self, release: Release) -> Exam:
        """One of ours."""
        terms = Terms(release=release, provider=PROVIDER)
        name = secrets.token_hex(8)
        new = replace(EXAM, lms=LMS, terms=terms, external_id=name, content_id=f"sequence {name}")
        with self.stack.exams.write() as session:
            return session.exams.add(new)

    def hand_in(self, exam: Exam, user_id: int, desk: XQueueClient) -> Learner:
        """Code for a problem of the exam, graded: the half of it is right."""
        learner = new_learner(self.stack, str(user_id))
        with self.stack.exams.write() as session:
            problem = learner.where.usage_id
            claims.add(session.tx, exam, ClaimKind.PROBLEM, problem, actor="the test")
        learner.must_submit("", DESK_QUEUE)
        desk.put_result(lease_at(desk, DESK_QUEUE), reply(0.5))
        return learner

    def operate(self, attempt_id: int, verb: str, **body: object) -> requests.Response:
        """As an operator, by the REST API."""
        return requests.post(
            f"{self.stack.url}/api/v1/attempts/{attempt_id}/{verb}",
            json=body,
            auth=(OPERATOR, PASSWORD),
            timeout=SETTLE_S,
        )

    def assert_ended_well(self, attempt_id: int, *path: str, told: list[str]) -> Attempt:
        """Each step of the path was taken once, in this order, by a history that nobody has edited;
        and of each step whom it concerns was told, in this order, by a message that has arrived."""
        eventually(lambda: self._path(attempt_id)[-1] == path[-1], SETTLE_S)
        eventually(lambda: self._has_told(attempt_id, told), SETTLE_S)
        assert self._path(attempt_id) == [*path]
        assert check_one(self.stack.exams, attempt_id).flaw is None
        with self.stack.exams.read() as session:
            return session.attempts.even_removed(attempt_id)

    def _path(self, attempt_id: int) -> list[str]:
        with self.stack.exams.read() as session:
            return [row.change.after for row in session.attempts.history(attempt_id)]

    def _has_told(self, attempt_id: int, told: list[str]) -> bool:
        with self.stack.exams.read() as session:
            found = browsing.messages_of(session.tx, attempt_id)
        purposes = [each.purpose for each in sorted(found, key=lambda each: each.id)]
        names = [(each or "").removeprefix(EVENT).removesuffix(".v1") for each in purposes]
        assert names == told
        return all(each.state is CallbackState.DELIVERED for each in found)

    def is_held_back(self, learner: Learner) -> bool:
        """Its grade is here, and nothing has been sent."""
        (submission_id,) = Ledger(self.stack.storage).submissions_to(learner.callback_url)
        with self.stack.storage.read() as tx:
            states = [each.state for each in callbacks.of_submission(tx, submission_id)]
        return learner.callbacks == [] and states == [CallbackState.WITHHELD]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeersExam:
    exams: Exams
    exam: Exam
    lms_id: int

    def attempt(self, there: int) -> Attempt:
        """Ours of theirs."""
        external_id = self.exams.lms.show(there)["external_id"]
        with self.exams.stack.exams.read() as session:
            return session.attempts.by_external_id(LMS, external_id)


def insist(press: Callable[[], requests.Response], *, ok: int = 200) -> None:
    """Press again until it has worked, as people do whose LMS has answered with an error."""

    def has_worked() -> bool:
        try:
            return press().status_code == ok
        except requests.ConnectionError:
            return False

    eventually(has_worked, SETTLE_S)
