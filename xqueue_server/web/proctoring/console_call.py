"""One request to the console, with whoever is there and what of it is theirs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from flask import Request, Response, g, request
from itsdangerous import BadData, URLSafeTimedSerializer

from proctoring_hooks import store as proctoring
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import ClockOwner, Exam, Reviewing
from xqueue_server.errors import InvalidRequest, NotFound
from xqueue_server.instant import to_datetime
from xqueue_server.secret_key import key_for
from xqueue_server.settings import Settings
from xqueue_server.storage import Transaction
from xqueue_server.storage.proctoring import looks, pages
from xqueue_server.storage.proctoring.browsing import Name
from xqueue_server.storage.proctoring.session import ProctoringSession
from xqueue_server.web.admin.call import (
    FORM_LIMITS,
    HIGHEST_ID,
    LIVE_HEADER,
    Forbidden,
    see_other,
)
from xqueue_server.web.admin.security import csrf_token, is_from_here, is_https
from xqueue_server.web.forms import read_form
from xqueue_server.web.proctoring.console_session import Proctor
from xqueue_server.web.proctoring.paths import CONSOLE
from xqueue_server.web.proctoring.rendering import page, render
from xqueue_server.web.services import Services

NOTICE_COOKIE = "xqueue_console_notice"
NOTICE_LASTS_S = 120


TYPED = ("kind", "reason")
"""Fields that take a while to fill in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Of a form that was sent: nothing was done."""

    status: int
    why: str


def written(settings: Settings) -> str:
    """What somebody has typed into the form that he sent, to be shown to him; "" if nothing. Only
    of our own forms: another site must not have us show its words."""
    if request.method != "POST" or not is_from_here(request, settings):
        return ""
    try:
        fields = read_form(request, FORM_LIMITS).fields
    except InvalidRequest:
        return ""
    return "\n".join(fields[name] for name in TYPED if fields.get(name))


@dataclass(kw_only=True)
class ConsoleCall:
    request: Request
    services: Services
    proctor: Proctor

    @property
    def settings(self) -> Settings:
        return self.services.settings

    @property
    def csrf(self) -> str:
        return csrf_token(self.settings.secret_key, self.proctor.secret)

    @cached_property
    def now(self) -> datetime:
        """The same for the whole page."""
        return to_datetime(self.services.storage.now_us())

    @cached_property
    def fields(self) -> Mapping[str, str]:
        """Of the form that was sent. Raises: InvalidRequest."""
        return read_form(self.request, FORM_LIMITS).fields

    def field(self, name: str) -> str:
        """Without the white space around it; "" if it is missing. Browsers send lines with CRLF,
        and count them as one character."""
        return self.fields.get(name, "").replace("\r\n", "\n").strip()

    def parameter(self, name: str) -> str:
        """Of the address. Raises: InvalidRequest: no database takes it."""
        text = self.request.args.get(name, "").strip()
        if "\0" in text:
            raise InvalidRequest(f"{name} has a character in it that no text has")
        return text

    # -- what may be seen, and touched -----------------------------------------------------------

    def exam(self, session: ProctoringSession, exam_id: int) -> Exam:
        """Raises: NotFound, also for what is not theirs to know of."""
        missing = NotFound(f"There is no exam {exam_id}, or it is not yours to see")
        try:
            exam = session.exams.get(min(exam_id, HIGHEST_ID))
        except proctoring.NotFound:
            raise missing from None
        if not self.proctor.may_see(exam.lms, exam.course_id):
            raise missing
        return exam

    def attempt(
        self, session: ProctoringSession, attempt_id: int, *, lock: bool = False
    ) -> Attempt:
        """Raises: NotFound, also for what is not theirs to know of."""
        missing = NotFound(f"There is no attempt {attempt_id}, or it is not yours to see")
        try:
            attempt = session.attempts.get(min(attempt_id, HIGHEST_ID), lock=lock)
        except proctoring.NotFound:
            raise missing from None
        if not self.proctor.may_see(attempt.lms, attempt.course_id):
            raise missing
        return attempt

    def may_judge(self, of: Exam | Attempt) -> bool:
        return self.proctor.may_judge(of.lms, of.course_id)

    def require_judge(self, of: Exam | Attempt) -> None:
        """Raises: Forbidden."""
        if not self.may_judge(of):
            raise Forbidden(f"This needs the role proctor on the course {of.course_id}")

    def may_remove(self, of: Attempt) -> bool:
        return self.proctor.may_remove(of.lms, of.course_id)

    def require_remover(self, of: Attempt) -> None:
        """Raises: Forbidden."""
        if not self.may_remove(of):
            raise Forbidden(f"This needs the role operator on the course {of.course_id}")

    def names(self, tx: Transaction, exam: Exam, attempts: Sequence[Attempt]) -> Mapping[int, Name]:
        """By attempt id: for those who may judge, and nobody else."""
        return pages.names_of(tx, exam.lms, attempts) if self.may_judge(exam) else {}

    def looked(self, subject: str) -> None:
        """Learners are shown: that is on record before they are."""
        looks.note(self.services.storage, [subject], self.proctor.who, request_id=g.request_id)

    # -- answers ---------------------------------------------------------------------------------

    def page(self, template: str, /, **context: Any) -> Response:
        """A page with an ETag; 304 if our script has this very one on the screen."""
        told = self._notice()
        response = page(render(template, call=self, notice=told, **context))
        response.set_etag(hashlib.sha256(response.get_data()).hexdigest()[:32])
        if self.request.headers.get(LIVE_HEADER):
            response.make_conditional(self.request)
        elif told is not None:
            response.delete_cookie(NOTICE_COOKIE, path=CONSOLE, httponly=True, samesite="Lax")
        return response

    def done(self, text: str, to: str) -> Response:
        """After an action: to the page that shows its effect, with a word about what was done."""
        response = see_other(to)
        response.set_cookie(
            NOTICE_COOKIE,
            str(self._notices.dumps(text[:1000])),
            max_age=NOTICE_LASTS_S,
            path=CONSOLE,
            httponly=True,
            samesite="Lax",
            secure=is_https(self.request, self.settings),
        )
        return response

    def _notice(self) -> str | None:
        try:
            cookie = self.request.cookies.get(NOTICE_COOKIE, "")
            return str(self._notices.loads(cookie, max_age=NOTICE_LASTS_S))
        except BadData:
            return None

    @property
    def _notices(self) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(key_for("console notice", self.settings.secret_key))


def is_auto_pass(exam: Exam) -> bool:
    """Whether attempts at it pass without anybody looking."""
    terms = exam.terms
    is_ours = exam.clock_owner is ClockOwner.US and exam.exam_type.is_proctored
    return is_ours and not terms.provider and terms.review is Reviewing.AUTO_PASS
