"""What a learner's page does: begin, look, act, end; and staff with one attempt."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from flask import Response, request

from proctoring_hooks import attempts
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.attempts import NotPossible, Outcome, Registration
from proctoring_hooks.clock import Allowance
from proctoring_hooks.exam import ClockOwner, Exam
from proctoring_hooks.lms import Lms
from proctoring_hooks.providers.base import Entry
from proctoring_hooks.reviews import Review
from proctoring_hooks.statuses import IN_PROGRESS
from proctoring_hooks.store import NotFound, Overtaken
from proctoring_hooks.transitions import Action, Actor, By, Effect, Refused
from proctoring_hooks.web import exam_service_kept as kept
from proctoring_hooks.web.exam_service_callers import Caller, caller_of, require_user
from proctoring_hooks.web.exam_service_errors import (
    Problem,
    answer,
    bad_request,
    forbidden,
    given_object,
)
from proctoring_hooks.web.exam_service_shapes import OnPages, attempt_shape, student_exam_shape
from proctoring_hooks.web.exam_service_store import ExamService, ServiceSession, shown
from proctoring_hooks.worker.bundles import OUR_PACKAGE

LEARNERS = {
    "start": Action.START,
    "stop": Action.STOP,
    "submit": Action.SUBMIT,
    "click_download_software": Action.CLICK_DOWNLOAD_SOFTWARE,
    "error": Action.ERROR,
}
STAFFS = {"verify": Action.PASS, "reject": Action.FAIL}
PING = "ping"
"""Says nothing that a poll does not say: nothing happens."""
RESET = "reset_attempt"
LONGEST_DETAIL = 500
TRIES = 5
"""Of a change that others overtake."""
_ID = re.compile(r"[0-9]{1,18}")


# -- looking -------------------------------------------------------------------------------------


def student_exam(service: ExamService, course_id: str, content_id: str) -> Response:
    """An exam and the learner's attempt at it; {} for content of ours that is no exam."""

    def look(session: ServiceSession) -> Response:
        caller = require_user(caller_of(session, request))
        exam = session.exams.active(caller.lms.name, course_id, content_id)
        if exam is None or exam.clock_owner is not ClockOwner.US:
            kept.require_ours(session, caller, course_id)
            return answer({"exam": {}})
        attempt = _latest(session, exam, caller)
        _require_running(session, attempt)
        found = student_exam_shape(
            exam,
            {} if attempt is None else _shown(service, session, caller, exam, attempt),
            allowance=allowance_of(session, exam, caller),
            backend=_backend(session, exam),
            now=session.now,
        )
        return answer({"exam": found})

    try:
        return _as_of_now(service, look)
    except kept.KeptThere as there:
        return kept.student_exam(service, there.caller, course_id, content_id)


def latest(service: ExamService) -> Response:
    """The learner's attempt at `content_id`, or the one in progress; {}: none."""

    def look(session: ServiceSession) -> Response:
        caller = require_user(caller_of(session, request))
        content_id = request.args.get("content_id")
        exam = content_id and session.service.exam_of_content(caller.lms.name, content_id)
        if exam:
            attempt = _latest(session, exam, caller)
        else:
            attempt = session.attempts.in_progress(caller.lms.name, caller.learner)
            if attempt is None and caller.lms.forwards_exams:
                raise kept.KeptThere(caller)
        if attempt is None:
            return answer({})
        _require_running(session, attempt)
        its_exam = session.exams.get(attempt.exam_id)
        return answer(_shown(service, session, caller, its_exam, attempt))

    try:
        return _as_of_now(service, look)
    except kept.KeptThere as there:
        return kept.active_attempt(service, there.caller)


def _shown(
    service: ExamService, session: ServiceSession, caller: Caller, exam: Exam, attempt: Attempt
) -> dict[str, Any]:
    on_pages = OnPages(
        worker_url=_worker_url(service, session, caller.lms, exam),
        ping_interval_s=service.ping_interval_s,
        get_ready_url=f"{service.base_url}/exams/lti/start_proctoring/{attempt.id}",
    )
    return attempt_shape(caller.lms, exam, attempt, session.now, on_pages)


def _worker_url(service: ExamService, session: ServiceSession, lms: Lms, exam: Exam) -> str | None:
    """Of its provider's worker, as its entry says; of ours, where we are the ones who watch and the
    LMS's pages may load it."""
    if not exam.exam_type.is_proctored:
        return None
    if not exam.terms.provider:
        return service.worker_url(OUR_PACKAGE, "") if lms.loads_worker else None
    provider = _provider_of(session, exam)
    if provider is None:
        return None
    package, elsewhere = shown(provider, "npm_module"), shown(provider, "worker_url")
    return service.worker_url(package or "", elsewhere or "")


class _RunOut(Exception):
    """An attempt is over, and nobody has ended it yet."""

    def __init__(self, attempt_id: int) -> None:
        super().__init__()
        self.attempt_id = attempt_id


def _require_running(session: ServiceSession, attempt: Attempt | None) -> None:
    if (
        attempt is not None
        and attempt.status in IN_PROGRESS
        and attempt.clock_owner is ClockOwner.US
        and attempt.has_run_out(session.now)
    ):
        raise _RunOut(attempt.id)


def _as_of_now(service: ExamService, look: Callable[[ServiceSession], Response]) -> Response:
    """Only reads, unless time has ended an attempt that is looked at."""
    try:
        with service.store.read() as session:
            return look(session)
    except _RunOut as over:
        with service.store.write() as session:
            attempts.submit_if_run_out(session, over.attempt_id)
    with service.store.read() as session:
        return look(session)


def _latest(session: ServiceSession, exam: Exam, caller: Caller) -> Attempt | None:
    return next(iter(session.attempts.of_learner(exam.id, caller.learner)), None)


def allowance_of(session: ServiceSession, exam: Exam, caller: Caller) -> Allowance | None:
    """His; or what waits for him until he begins."""
    for user_id in (caller.user_id, *caller.awaited):
        if found := session.exams.allowance(exam.id, user_id):
            return found
    return None


def _backend(session: ServiceSession, exam: Exam) -> str | None:
    """Name of its provider, for people."""
    provider = _provider_of(session, exam)
    return None if provider is None else shown(provider, "verbose_name") or provider.name


def _provider_of(session: ServiceSession, exam: Exam) -> Entry | None:
    try:
        return session.provider(exam.terms.provider) if exam.terms.provider else None
    except NotFound:
        return None


# -- beginning -----------------------------------------------------------------------------------


def begin(service: ExamService) -> Response:
    """{exam_id, start_clock} -> {exam_attempt_id, repeated?}. An attempt that is open is found
    again."""
    body = given_object()
    exam_id, does_start = _exam_id(body), _flag(body.get("start_clock", "false"))

    def change(session: ServiceSession) -> Response:
        caller = require_user(caller_of(session, request))
        exam = _exam(session, caller, exam_id)
        by = _learner(service)
        lms = caller.lms.name
        session.learners.tell(lms, caller.user_id, **asdict(caller.person))
        _settle(session, caller)
        found = _registered(service, session, exam, caller, by)
        if does_start:
            attempts.act(session, found.attempt.id, Action.START, by)
        return _done(found)

    return changed(service, change)


def _registered(
    service: ExamService, session: ServiceSession, exam: Exam, caller: Caller, by: By
) -> Outcome:
    """Always proctored where the exam is: this face knows no opting out."""
    asked = Registration(learner=caller.learner, external_id=service.new_id())
    return attempts.register(session, exam, asked, by)


def _done(outcome: Outcome) -> Response:
    """`repeated`: it was so already, and nothing was done."""
    repeated = {"repeated": True} if outcome.effect is Effect.SAME else {}
    return answer({"exam_attempt_id": outcome.attempt.id} | repeated)


def _settle(session: ServiceSession, caller: Caller) -> None:
    """What staff have granted to his name or e-mail address is his, before time is counted."""
    session.service.settle_allowances(caller.lms.name, caller.user_id, caller.awaited)


def _exam(session: ServiceSession, caller: Caller, exam_id: int) -> Exam:
    try:
        exam = session.exams.get(exam_id)
    except NotFound:
        exam = None
    if exam is None or exam.lms != caller.lms.name or exam.clock_owner is not ClockOwner.US:
        raise bad_request(f"Exam with exam_id={exam_id} does not exist.")
    return exam


def _exam_id(body: dict[str, Any]) -> int:
    value = body.get("exam_id")
    if isinstance(value, bool) or not _ID.fullmatch(str(value)):
        raise bad_request("exam_id must be the number of an exam.")
    return int(str(value))


def _flag(value: Any) -> bool:
    """The browser's library sends strings."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise bad_request('start_clock must be "true" or "false".')


# -- acting --------------------------------------------------------------------------------------


def act(service: ExamService, attempt_id: int) -> Response:
    """{action, detail?} -> {exam_attempt_id, repeated?}."""
    body = given_object()
    action = _action(body)
    reason = _detail(body.get("detail"))

    def change(session: ServiceSession) -> Response:
        caller = require_user(caller_of(session, request))
        attempt = _attempt(session, caller, attempt_id)
        if caller.owns(attempt) and action not in STAFFS:
            done = _of_learner(service, session, caller, attempt, action, reason)
        elif caller.owns(attempt) or not caller.is_staff_of(session, attempt.course_id):
            raise forbidden("This attempt is somebody else's, or not yours to judge.")
        else:
            done = _of_staff(service, session, caller, attempt, action, reason)
        return _done(done)

    return changed(service, change)


def _of_learner(
    service: ExamService,
    session: ServiceSession,
    caller: Caller,
    attempt: Attempt,
    action: str,
    reason: str | None,
) -> Outcome:
    by = _learner(service, reason)
    if action == PING:
        return Outcome(attempt=attempt, effect=Effect.NOTE)
    if action == RESET:
        attempts.act(session, attempt.id, Action.RESET, by)
        exam = session.exams.get(attempt.exam_id)
        return _registered(service, session, exam, caller, by)
    if action not in LEARNERS:
        raise _unknown(action)
    if action == "start":
        _settle(session, caller)
    return attempts.act(session, attempt.id, LEARNERS[action], by)


def _of_staff(
    service: ExamService,
    session: ServiceSession,
    caller: Caller,
    attempt: Attempt,
    action: str,
    reason: str | None,
) -> Outcome:
    if action not in STAFFS:
        raise _unknown(action)
    by = By(
        actor=Actor.PROCTOR, who=caller.who, request_id=service.request_id(), reason=reason or None
    )
    review = Review(
        action=STAFFS[action],
        actor=Actor.PROCTOR,
        reviewed_by=caller.person.username or caller.who,
        review_id=f"exam service {service.new_id()}",  # who judges anew means it
    )
    return attempts.judge(session, attempt.id, review, by)


def delete(service: ExamService, attempt_id: int) -> Response:
    """Staff let an exam be taken anew; a learner only a practice that has ended."""

    def change(session: ServiceSession) -> Response:
        caller = require_user(caller_of(session, request))
        attempt = _attempt(session, caller, attempt_id)
        if caller.is_staff_of(session, attempt.course_id):
            by = By(actor=Actor.STAFF, who=caller.who, request_id=service.request_id())
        elif caller.owns(attempt):
            by = _learner(service)
        else:
            raise forbidden("This attempt is somebody else's.")
        try:
            attempts.act(session, attempt.id, Action.RESET, by)
        except Refused as refused:
            raise forbidden(f"{refused}. Ask the course team to reset it.") from None
        return Response(status=204)

    return changed(service, change)


def _attempt(session: ServiceSession, caller: Caller, attempt_id: int) -> Attempt:
    try:
        attempt = session.attempts.get(attempt_id)
    except NotFound:
        attempt = None
    if (
        attempt is None
        or attempt.lms != caller.lms.name
        or attempt.clock_owner is not ClockOwner.US
    ):
        raise bad_request(f"Attempt with attempt_id={attempt_id} does not exist.")
    return attempt


def _learner(service: ExamService, reason: str | None = None) -> By:
    return By(
        actor=Actor.LEARNER, who="learner", request_id=service.request_id(), reason=reason or None
    )


def _detail(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise bad_request("detail must be a string.")
    return value[:LONGEST_DETAIL]


def _action(body: dict[str, Any]) -> str:
    action = body.get("action")
    if not isinstance(action, str):
        raise bad_request("action must be a string.")
    return action


def _unknown(action: str) -> Problem:
    return bad_request(f'Unrecognized action "{action[:50]}"')


def changed(service: ExamService, change: Callable[[ServiceSession], Response]) -> Response:
    """In one transaction; what the rules refuse is answered in words."""
    for _ in range(TRIES):
        try:
            with service.store.write() as session:
                return change(session)
        except Overtaken:
            continue
        except NotPossible as error:
            raise bad_request(f"{error}.") from None
        except Refused as error:
            raise bad_request(f"{error}.") from None
    raise bad_request("Others change this attempt at the same time. Look at it, and try again.")
