"""A stand-in LMS: takes the queue's callbacks over HTTP and can be made to fail.

Serves the callback address of a problem and a status page. For demos and tests only.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from types import TracebackType
from typing import Self
from urllib.parse import quote, unquote

from deploy.demo.capa import (
    CapaClient,
    QueueReply,
    UploadedFile,
    new_lms_key,
    submission_body,
    submission_header,
)
from deploy.demo.gradebook import GradeBook, InputState, InputStatus, ProblemInput, Reception
from deploy.demo.lms_http import Answer, LmsServer
from deploy.demo.lms_page import render_page

GRADED = "score_update"


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """One POST that reached the LMS, whatever became of it."""

    path: str
    header: str | None
    body: str | None
    status: int
    reception: Reception
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """How to answer instead of applying the callback; with `apply`, apply it all the same."""

    status: int = HTTPStatus.SERVICE_UNAVAILABLE
    location: str | None = None
    delay_s: float = 0.0
    apply: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PageForm:
    """Lets the status page take answers: `submit` gets the fields and returns a sentence."""

    submit: Callable[[dict[str, str]], str]
    problems: tuple[str, ...]


class StandInLms:
    """An LMS on 127.0.0.1. `port` 0 takes a free one, kept over `go_down` and `come_back`."""

    def __init__(self, *, port: int = 0, form: PageForm | None = None) -> None:
        self.book = GradeBook()
        self.form = form
        self._port = port
        self._callbacks: list[Callback] = []
        self._outage: Outage | None = None
        self._stopping = threading.Event()
        self._server: LmsServer | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._stopping.clear()
        self._server = LmsServer(self, self._port)
        self._port = self._server.server_address[1]
        self._server.begin()

    def stop(self) -> None:
        self._stopping.set()
        server, self._server = self._server, None
        if server is not None:
            server.end()

    def go_down(self) -> None:
        """Refuse connections, and cut those that are open."""
        self.stop()

    def come_back(self) -> None:
        """After `go_down` or `answer_with`: serve as usual, on the same port."""
        self._outage = None
        if self._server is None:
            self.start()

    def answer_with(self, outage: Outage) -> None:
        """Answer every callback like this until `come_back`."""
        self._outage = outage

    def callback_url(self, where: ProblemInput, dispatch: str = GRADED) -> str:
        course, usage = quote(where.course_id, safe="+:"), quote(where.usage_id, safe="+:@")
        return f"{self.origin}/courses/{course}/xqueue/{where.user_id}/{usage}/{dispatch}"

    def submit(
        self,
        where: ProblemInput,
        answer: str,
        *,
        client: CapaClient,
        queue: str,
        grader_payload: str = "{}",
        files: tuple[UploadedFile, ...] = (),
    ) -> QueueReply:
        """A learner presses Submit: post to the queue and wait for that key's reply."""
        lms_key = new_lms_key()
        header = submission_header(
            callback_url=self.callback_url(where), lms_key=lms_key, queue=queue
        )
        body = submission_body(
            grader_payload=grader_payload, answer=answer, learner=f"anonymous-{where.user_id}"
        )
        self.book.expect(where, lms_key)
        reply = client.submit(header, body, files)
        if not reply.accepted:
            self.book.withdraw(where)
        return reply

    def state(self, where: ProblemInput) -> InputState:
        return self.book.state(where)

    def wait_for_grade(self, where: ProblemInput, timeout_s: float) -> InputState:
        """The state once it is no longer pending, or the pending one when time is up."""
        self.book.wait_until(lambda: self.state(where).status is not InputStatus.PENDING, timeout_s)
        return self.state(where)

    @property
    def callbacks(self) -> tuple[Callback, ...]:
        return tuple(self._callbacks)

    def count(self, reception: Reception) -> int:
        return sum(c.reception is reception for c in self.callbacks)

    def wait_for_callbacks(self, count: int, timeout_s: float) -> bool:
        """Until `count` callbacks arrived since the start, those turned away included."""
        return self.book.wait_until(lambda: len(self._callbacks) >= count, timeout_s)

    def page(self) -> str:
        problems = self.form.problems if self.form else ()
        return render_page(self.book.states(), len(self.callbacks), problems)

    def submit_from_page(self, form: dict[str, str]) -> str | None:
        return self.form.submit(form) if self.form else None

    def take_callback(self, path: str, form: dict[str, str]) -> Answer:
        """Answer one callback and record it. Called by the HTTP side."""
        outage = self._outage
        if outage is not None and outage.delay_s:
            self._stopping.wait(outage.delay_s)
        if outage is None or outage.apply:
            reception = self._receive(path, form)
            answer = Answer(status=_STATUS_OF[reception])
        else:
            reception = Reception.TURNED_AWAY
            answer = Answer(status=outage.status, location=outage.location)
        self._callbacks.append(
            Callback(
                path=path,
                header=form.get("xqueue_header"),
                body=form.get("xqueue_body"),
                status=answer.status,
                reception=reception,
                received_at=datetime.now(UTC),
            )
        )
        self.book.notify()
        return answer

    def _receive(self, path: str, form: dict[str, str]) -> Reception:
        place = _problem_of(path)
        if place is None or not {"xqueue_header", "xqueue_body"} <= form.keys():
            return Reception.NOT_FOUND
        try:
            header = json.loads(form["xqueue_header"])
            if not isinstance(header, dict) or "lms_key" not in header:
                return Reception.NOT_FOUND
            if place.dispatch != GRADED:
                return Reception.IGNORED
            return self.book.receive(
                place.user_id, place.usage_id, header["lms_key"], form["xqueue_body"]
            )
        except Exception:  # noqa: BLE001 - the LMS answers 500 to whatever its problem code raises
            return Reception.FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class _Problem:
    user_id: str
    usage_id: str
    dispatch: str


_STATUS_OF = {
    Reception.ACCEPTED: HTTPStatus.OK,
    Reception.IGNORED: HTTPStatus.OK,
    Reception.INVALID: HTTPStatus.OK,
    Reception.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Reception.FAILED: HTTPStatus.INTERNAL_SERVER_ERROR,
}


def _problem_of(path: str) -> _Problem | None:
    """Parts of /courses/<course>/xqueue/<user>/<usage>/<dispatch>; a usage id has no slash."""
    match [unquote(part) for part in path.strip("/").split("/")]:
        case ["courses", _, "xqueue", user_id, usage_id, dispatch]:
            return _Problem(user_id=user_id, usage_id=usage_id, dispatch=dispatch)
    return None
