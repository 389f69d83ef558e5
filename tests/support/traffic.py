"""Learners who submit and graders who grade over HTTP, and what was acknowledged to each."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

import requests

from deploy.demo.capa import CapaClient, UploadedFile
from deploy.demo.gradebook import InputStatus, ProblemInput, Reception
from deploy.demo.lms import StandInLms
from tests.support.installation import PASSWORD, QUEUE

FLOW_S = 180.0
"""Whoever was stopped may have held something for a minute more."""
ANSWER_S = 60.0
GRADE = json.dumps({"correct": True, "score": 1, "msg": "<p>Good</p>"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """Whose submissions, and the ids of which a result was taken."""

    submitted: Sequence[ProblemInput]
    graded: frozenset[int]


class Traffic:
    """Goes on until the end of its `with` block, which fails if anything was refused in it."""

    def __init__(
        self,
        lms: StandInLms,
        *,
        submit_at: Sequence[str],
        grade_at: Sequence[str],
        first_user: int = 1,
    ) -> None:
        self._lms = lms
        self._submit_at, self._grade_at = submit_at, grade_at
        self._users = itertools.count(first_user)
        self._stop = threading.Event()
        self._submit_no_more = threading.Event()
        self._changed = threading.Condition()
        self._submitted: list[ProblemInput] = []
        self._graded: set[int] = set()
        self._counts: dict[str, int] = {}
        self._pool = ThreadPoolExecutor(len(submit_at) + len(grade_at))
        self._learning: list[Future[None]] = []
        self._grading: list[Future[None]] = []

    def __enter__(self) -> Self:
        self._learning = [
            self._pool.submit(self._submit, url, f"learner {number} at {url}")
            for number, url in enumerate(self._submit_at)
        ]
        self._grading = [
            self._pool.submit(self._grade, url, f"grader {number} at {url}")
            for number, url in enumerate(self._grade_at)
        ]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._submit_no_more.set()
        self._stop.set()
        self._pool.shutdown()
        if error is None:
            for each in (*self._learning, *self._grading):
                each.result()

    def flow(self, number: int) -> None:
        """Wait until so many more were taken from each learner and from each grader."""
        acting = (*self._learning, *self._grading)
        with self._changed:
            wanted = {name: count + number for name, count in self._counts.items()}

            def has_flowed() -> bool:
                counts = self._counts.items()
                return any(each.done() for each in acting) or (
                    len(counts) == len(acting)
                    and all(n >= wanted.get(a, number) for a, n in counts)
                )

            assert self._changed.wait_for(has_flowed, FLOW_S), self._counts
        for each in acting:
            assert not each.done(), each.result()

    def submit_no_more(self) -> None:
        """Returns when no learner is about to; graders go on."""
        self._submit_no_more.set()
        for each in self._learning:
            each.result(FLOW_S)

    def acknowledged(self) -> Acknowledged:
        with self._changed:
            return Acknowledged(submitted=tuple(self._submitted), graded=frozenset(self._graded))

    def _submit(self, url: str, name: str) -> None:
        client = CapaClient(url=url, username="lms", password=PASSWORD, read_timeout_s=ANSWER_S)
        while not self._submit_no_more.is_set():
            where = ProblemInput(user_id=str(next(self._users)), usage_id="block", input_id="i")
            upload = UploadedFile(name="a.py", content=where.user_id.encode())
            reply = self._lms.submit(where, "1", client=client, queue=QUEUE, files=(upload,))
            assert reply.accepted, reply.content
            with self._changed:
                self._submitted.append(where)
                self._count(name)

    def _grade(self, url: str, name: str) -> None:
        with requests.Session() as session:
            login = {"username": "grader", "password": PASSWORD}
            assert _call(session, "POST", f"{url}/xqueue/login/", data=login)[0]
            while not self._stop.is_set():
                asked = {"queue_name": QUEUE, "wait": "1"}
                is_some, given = _call(
                    session, "GET", f"{url}/xqueue/get_submission/", params=asked
                )
                if not is_some:
                    continue
                header = json.loads(given)["xqueue_header"]
                result = {"xqueue_header": header, "xqueue_body": GRADE}
                is_taken, said = _call(session, "POST", f"{url}/xqueue/put_result/", data=result)
                assert is_taken, said
                with self._changed:
                    self._graded.add(json.loads(header)["submission_id"])
                    self._count(name)

    def _count(self, name: str) -> None:
        self._counts[name] = self._counts.get(name, 0) + 1
        self._changed.notify_all()


def _call(session: requests.Session, method: str, url: str, **request: object) -> tuple[bool, str]:
    answer = session.request(method, url, timeout=ANSWER_S, **request)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text[:300]
    parsed = answer.json()
    return parsed["return_code"] == 0, str(parsed["content"])


def assert_each_graded_once(lms: StandInLms, learners: Sequence[ProblemInput]) -> None:
    """The LMS has taken exactly one grade for each; whatever came twice it ignored."""
    for where in learners:
        state = lms.wait_for_grade(where, FLOW_S)
        assert state.status is InputStatus.CORRECT, (where, state)
    for where in learners:
        # The LMS has a grade before it has noted the callback that brought it.
        lms.book.wait_until(partial(_has_taken, lms, where), FLOW_S)
        receptions = _receptions(lms, where)
        assert receptions.count(Reception.ACCEPTED) == 1
        assert set(receptions) <= {Reception.ACCEPTED, Reception.IGNORED}


def _receptions(lms: StandInLms, where: ProblemInput) -> list[Reception]:
    path = lms.callback_url(where).removeprefix(lms.origin)
    return [c.reception for c in lms.callbacks if c.path == path]


def _has_taken(lms: StandInLms, where: ProblemInput) -> bool:
    return Reception.ACCEPTED in _receptions(lms, where)
