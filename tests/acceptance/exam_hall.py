"""Proctored exams of an LMS that runs edx-proctoring's own code, with our installation as its
proctoring provider and as its XQueue; and learners who sit them."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
from sqlalchemy import select

from deploy.demo.capa import new_lms_key, submission_body, submission_header
from deploy.demo.course import grader_payload
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.grades import ExamSubmission
from tests.acceptance.classroom import RIGHT
from tests.acceptance.site import PASSWORD, QUEUE, Site
from tests.proctoring.edx_proctoring_lms.peer import Lms, Person, exam_of
from tests.worker.fakes import eventually
from xqueue_server.models.callback import CallbackState
from xqueue_server.models.submission import SubmissionState
from xqueue_server.storage import callbacks, submissions
from xqueue_server.storage.proctoring import ProctoringStore, browsing
from xqueue_server.storage.schema import submissions as submission_rows

LMS = "edx"
OPERATOR = "operator"
SOON_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hall:
    site: Site
    lms: Lms
    store: ProctoringStore
    """For looking: what is done goes the way that it has in operation."""

    def publish(self, **terms: str) -> ProctoredExam:
        """A new exam with one problem, in a course of its own; `terms` as the API takes them."""
        name = secrets.token_hex(4)
        course = f"course-v1:edX+{name}+2026"
        staff = self.lms.sign_in("staff")
        (lms_id,) = staff.register_exams(exam_of("final"), course=course)
        external_id = staff.exam(lms_id)["external_id"]
        with self.store.read() as session:
            exam_id = session.exams.by_external_id(LMS, external_id).id
        problem = f"block-v1:edX+{name}+2026+type@problem+block@{name}"
        self.operate("POST", f"/exams/{exam_id}/claims", kind="problem", value=problem)
        if terms:
            self.operate("PATCH", f"/exams/{exam_id}", **terms)
        return ProctoredExam(hall=self, course=course, id=exam_id, lms_id=lms_id, problem=problem)

    def operate(self, method: str, path: str, **body: object) -> Any:
        """As an operator, by the REST API."""
        answer = requests.request(
            method,
            f"{self.site.url}/api/v1{path}",
            json=body,
            auth=(OPERATOR.encode(), PASSWORD.encode()),
            timeout=SOON_S,
        )
        assert answer.ok, answer.text
        return answer.json()

    @contextmanager
    def without_lms(self) -> Iterator[None]:
        """What the block does is done while the LMS is away, which comes back when our programs
        have found that out."""
        self.lms.stop()
        try:
            yield
            eventually(self._has_failed, SOON_S)
        finally:
            self.lms.start()

    def _has_failed(self) -> bool:
        with self.store.read() as session:
            waiting = callbacks.latest(session.tx, state=CallbackState.PENDING)
        return any(each.last_error for each in waiting)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProctoredExam:
    hall: Hall
    course: str
    id: int
    lms_id: int
    """There."""
    problem: str
    """Usage id of its one problem."""

    def seat(self, name: str) -> Seat:
        """The learner has come to the exam's page and asked to begin."""
        person = self.hall.lms.sign_in(name)
        return Seat(exam=self, person=person, lms_id=person.begin(self.lms_id))

    def work_of(self, person: Person) -> Work:
        """A learner presses Submit below the problem, whether he sits the exam or not: the LMS
        waits for a grade, and will post what he has written."""
        key = new_lms_key()
        return Work(hall=self.hall, key=key, url=self.hall.lms.expect(person, self.problem, key))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A learner's attempt."""

    exam: ProctoredExam
    person: Person
    lms_id: int

    @property
    def ours(self) -> Attempt:
        with self.exam.hall.store.read() as session:
            return session.attempts.by_external_id(LMS, self._there["external_id"])

    @property
    def lms_status(self) -> str:
        return str(self._there["status"])

    @property
    def _there(self) -> dict[str, Any]:
        return self.exam.hall.lms.show(self.lms_id)

    @property
    def page(self) -> str:
        """Address of the page that we show to the learner."""
        shown = self.person.page(exam_of("final")["content_id"], course=self.exam.course)
        link = shown["exam"]["attempt"]["software_download_url"]
        assert isinstance(link, str)
        return link

    def wait_until(self, status: str) -> None:
        """That is, in the LMS."""
        eventually(lambda: self.lms_status == status, SOON_S)

    def start(self) -> None:
        """From the first click to the running clock."""
        be_checked(self.page)
        self.wait_until("ready_to_start")
        self.person.act(self.lms_id, "start")

    def submit(self) -> None:
        self.person.act(self.lms_id, "submit")

    def hand_in(self) -> Work:
        """Correct code, posted and graded."""
        work = self.exam.work_of(self.person)
        work.post()
        return work

    def assert_told(self, *purposes: str) -> None:
        """These messages about it, in this order, and each has arrived."""
        told = [(purpose, "delivered") for purpose in purposes]
        eventually(lambda: messages_about(self.exam.hall.store, self.ours.id) == told, SOON_S)

    @property
    def changes(self) -> list[str]:
        """What it has become, step by step, by its history."""
        with self.exam.hall.store.read() as session:
            return [row.change.after for row in session.attempts.history(self.ours.id)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Code of a learner, on its way to a grade."""

    hall: Hall
    key: str
    url: str

    def post(self) -> None:
        """Returns when the worker has graded it in its sandbox, whether the LMS may have the grade
        or not."""
        header = submission_header(callback_url=self.url, lms_key=self.key, queue=QUEUE)
        payload = grader_payload(RIGHT.problem)
        body = submission_body(grader_payload=payload, answer=RIGHT.answer, learner="anonymous")
        reply = self.hall.site.capa().submit(header, body)
        assert reply.accepted, reply.content
        eventually(self._is_graded, SOON_S)

    @property
    def id(self) -> int:
        newest = select(submission_rows.c.id).where(submission_rows.c.callback_url == self.url)
        with self.hall.store.read() as session:
            found = session.tx.scalar(newest.order_by(submission_rows.c.id.desc()).limit(1))
        return int(found)

    def _is_graded(self) -> bool:
        with self.hall.store.read() as session:
            found = submissions.find(session.tx, self.id)
        return found is not None and found.state is SubmissionState.GRADED

    @property
    def standing(self) -> ExamSubmission:
        with self.hall.store.read() as session:
            found = session.grades.find(self.id)
        assert found is not None, "it belongs to no exam"
        return found

    @property
    def grades(self) -> list[tuple[float, bool]]:
        """(score, whether it was waited for): what has reached the LMS."""
        return self.hall.lms.grades(self.key)

    def assert_held_back(self) -> None:
        """There is a grade, and nothing is on its way to the LMS."""
        assert self._callback_states() == [CallbackState.WITHHELD]
        assert self.grades == []

    def assert_arrives_once(self, score: float = 1) -> None:
        delivered = [CallbackState.DELIVERED]
        eventually(lambda: self._callback_states() == delivered, SOON_S)
        assert self.grades == [(score, True)]

    def _callback_states(self) -> list[CallbackState]:
        with self.hall.store.read() as session:
            return [each.state for each in callbacks.of_submission(session.tx, self.id)]


def be_checked(page: str) -> None:
    """A learner opens his page in a browser that passes its check."""
    assert requests.get(page, timeout=SOON_S).status_code == 200
    answer = requests.post(f"{page}/ready", timeout=SOON_S)
    assert answer.json()["title"] == "You may start"


def messages_about(store: ProctoringStore, attempt_id: int) -> list[tuple[str | None, str]]:
    """(purpose, state) of each, the oldest first."""
    with store.read() as session:
        found = browsing.messages_of(session.tx, attempt_id)
    return [(each.purpose, each.state.value) for each in sorted(found, key=lambda each: each.id)]


class Console:
    """Course staff at our console, sent there by the LMS: no account of ours."""

    def __init__(self, exam: ProctoredExam) -> None:
        staff = exam.hall.lms.sign_in("staff")
        to_us = staff.ask("GET", f"/instructor/{exam.course}/{exam.lms_id}")
        self._url = f"{exam.hall.site.url}/proctoring/console"
        self._exam = exam
        self._http = requests.Session()
        opened = self._http.get(to_us.headers["Location"], timeout=SOON_S)
        assert opened.url == f"{self._url}/exams/{exam.id}", opened.text

    def review(self, seat: Seat, deed: str, comment: str) -> None:
        path = f"/attempts/{seat.ours.id}"
        self._fill_in(path, f"{path}/{deed}", reason=comment, sure="yes")

    def accept(self, work: Work) -> None:
        path = f"/exams/{self._exam.id}"
        fields = {"submission": str(work.id), "reason": "was late for a good reason"}
        self._fill_in(path, f"{path}/accept", **fields)

    def _fill_in(self, path: str, action: str, **fields: str) -> None:
        page = self._http.get(self._url + path, timeout=SOON_S).text
        form = re.search(rf'<form method="post" action="[^"]*{action}">(.*?)</form>', page, re.S)
        assert form, f"no form for {action}"
        hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form[1])
        sent = self._http.post(self._url + action, data=dict(hidden) | fields, timeout=SOON_S)
        assert sent.status_code == 200, sent.text
