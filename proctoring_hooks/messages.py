"""Which messages a change of an attempt makes: to the LMS, to the provider, to whoever listens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from proctoring_hooks.attempt import Attempt, Learner
from proctoring_hooks.exam import ClockOwner, Exam
from proctoring_hooks.happened import Happened
from proctoring_hooks.lms import Lms
from proctoring_hooks.message import Channel, Message
from proctoring_hooks.obscuring import obscured_id
from proctoring_hooks.reviews import Review
from proctoring_hooks.statuses import Status
from proctoring_hooks.store import Session, Subscriber
from proctoring_hooks.transitions import Action, Actor

ATTEMPT_API = "/api/edx_proctoring/v1/proctored_exam/attempt"


def of(session: Session, happened: Happened) -> Iterator[Message]:
    """In the order in which they are to be sent."""
    yield from _to_the_lms(session, happened)
    yield from _to_the_provider(session, happened)
    yield from _to_whoever_listens(session, happened)


# -- to an LMS that keeps the attempt ------------------------------------------------------------


def _to_the_lms(session: Session, happened: Happened) -> Iterator[Message]:
    """Where it keeps the attempt: what it can not know, and never what it has told us itself."""
    after = happened.after
    if after is None or after.clock_owner is not ClockOwner.LMS or _is_of_the_lms(happened):
        return
    if after.status is Status.READY_TO_START:
        yield _lms_message(session, after, "ready", {"status": "ready"})
    elif after.status in _REVIEWED or happened.review is not None:
        yield _lms_message(session, after, "reviewed", _review_body(happened))


def verdict_again(session: Session, attempt: Attempt, undoing: Action) -> Iterator[Message]:
    """For an LMS that has let its learner undo what was decided of an attempt that it keeps. It
    appends the comments of each review that it gets to those it has: here are none.

    What broke off there may be what it has made of the very review that it is being told; so an
    ERROR is answered only when it has been told all.
    """
    status = _REVIEWED.get(attempt.status)
    if status is None:
        return
    if undoing is Action.ERROR and session.is_awaited(_lms_order_key(attempt)):
        return
    review = session.records.deciding_review(attempt.id)
    yield _lms_message(session, attempt, "reviewed", _verdict(status, [], review))


def _is_of_the_lms(happened: Happened) -> bool:
    return happened.by.actor is Actor.LMS


_REVIEWED = {
    Status.VERIFIED: "passed",
    Status.REJECTED: "violation",
    Status.SECOND_REVIEW_REQUIRED: "suspicious",
}


def _review_body(happened: Happened) -> dict[str, Any]:
    """What passes before the exam was begun is an `error` here and, told like this, in each
    version of edx-proctoring; before 6.1.2 it took a "passed" for verified."""
    review = happened.review
    status = _REVIEWED.get(happened.attempt.status, "not_reviewed")
    comments = [
        {"comment": each.comment, "status": each.status}
        | ({} if each.start_s is None else {"start": each.start_s})
        | ({} if each.stop_s is None else {"stop": each.stop_s})
        for each in (review.comments if review else ())
    ]
    if review is None and happened.by.reason:
        comments = [{"comment": happened.by.reason, "status": "Suspicious"}]
    return _verdict(status, comments, review)


def _verdict(status: str, comments: list[dict[str, Any]], review: Review | None) -> dict[str, Any]:
    """As edx-proctoring takes it. A failing verdict is final there only if it has a user with the
    reviewer's e-mail address; it knows nobody by another name. Nor does it know a person who wants
    another to look: with a reviewer that would be final, too."""
    body: dict[str, Any] = {"status": status, "comments": comments}
    is_final = status != _REVIEWED[Status.SECOND_REVIEW_REQUIRED]
    if review is not None and review.reviewer_email and is_final:
        body["reviewed_by"] = review.reviewer_email
    return body


def _lms_message(session: Session, attempt: Attempt, purpose: str, body: dict[str, Any]) -> Message:
    base_url = session.lms(attempt.lms).base_url
    return Message(
        channel=Channel.LMS,
        recipient=attempt.lms,
        purpose=purpose,
        method="POST",
        url=f"{base_url}{ATTEMPT_API}/{attempt.external_id}/{purpose}",
        body=body,
        order_key=_lms_order_key(attempt),
        attempt_id=attempt.id,
    )


def _lms_order_key(attempt: Attempt) -> str:
    return f"lms {attempt.lms} attempt {attempt.id}"


# -- to the provider of an attempt that we keep --------------------------------------------------

_OCCASIONS = {
    Action.REGISTER: "register",
    Action.START: "start",
    Action.SUBMIT: "submit",
    Action.TIME_OUT: "submit",
    Action.CLICK_DOWNLOAD_SOFTWARE: "submit",
    Action.TERMINATE: "submit",
    Action.ERROR: "error",
    Action.RESET: "remove",
}


def _to_the_provider(session: Session, happened: Happened) -> Iterator[Message]:
    attempt, name = happened.attempt, happened.exam.terms.provider
    occasion = _OCCASIONS.get(happened.action)
    if attempt.clock_owner is not ClockOwner.US or not name or not attempt.is_proctored:
        return
    is_told = occasion is not None and happened.by.actor is not Actor.PROVIDER
    is_start_again = (
        occasion == "start"
        and happened.before is not None
        and (happened.before.started_at is not None)
    )
    is_ready = happened.action is Action.CLICK_DOWNLOAD_SOFTWARE and (
        attempt.status is not Status.SUBMITTED
    )
    if not is_told or is_start_again or is_ready:
        return
    assert occasion is not None
    if occasion == "register" and not happened.exam.provider_exam_id:
        yield from of_exam(session, happened.exam, purpose="exam_if_new")
    yield Message(
        channel=Channel.PROVIDER,
        recipient=name,
        purpose=occasion,
        method="",  # the plug-in makes the request when it is sent
        url=session.provider_url(name),
        body={"exam_id": happened.exam.id},
        order_key=f"provider {name} attempt {attempt.id}",
        attempt_id=attempt.id,
    )


def of_exam(session: Session, exam: Exam, *, purpose: str = "exam") -> Iterator[Message]:
    """For whoever has entered or changed an exam: what its provider is to be told of it."""
    name = exam.terms.provider
    if exam.clock_owner is not ClockOwner.US or not name or not exam.exam_type.is_proctored:
        return
    yield Message(
        channel=Channel.PROVIDER,
        recipient=name,
        purpose=purpose,
        method="",
        url=session.provider_url(name),
        body={"exam_id": exam.id},
        order_key=exam_order_key(name, exam.id),
    )


def exam_order_key(provider: str, exam_id: int) -> str:
    """What a provider is told of an exam's attempts waits for what went before under this key."""
    return f"provider {provider} exam {exam_id}"


# -- to whoever listens --------------------------------------------------------------------------

EVENTS = {
    Status.SUBMITTED: "submitted",
    Status.VERIFIED: "verified",
    Status.REJECTED: "rejected",
    Status.ERROR: "errored",
}
TYPE = "org.openedx.learning.exam.attempt.{}.v1"
EVENT_BUS = "event-bus"
"""Instead of an address: there is one bus, and where it is (with a password) is a setting."""


def _to_whoever_listens(session: Session, happened: Happened) -> Iterator[Message]:
    attempt = happened.attempt
    name = "reset" if happened.after is None else EVENTS.get(attempt.status)
    if name is None or _is_known_to_nobody(happened):
        return
    kind = TYPE.format(name)
    lms = session.lms(attempt.lms)
    if lms.sends_events and attempt.clock_owner is ClockOwner.US:
        yield Message(
            channel=Channel.EVENT,
            recipient=lms.name,
            purpose=kind,
            method="",
            url=EVENT_BUS,
            body={"exam_id": happened.exam.id, "requested_by": happened.by.who},
            order_key=f"event {attempt.lms} {attempt.course_id}",
            attempt_id=attempt.id,
        )
    for subscriber in session.subscribers(attempt.lms, attempt.course_id):
        yield Message(
            channel=Channel.WEBHOOK,
            recipient=subscriber.name,
            purpose=kind,
            method="POST",
            url=subscriber.url,
            body={
                "type": kind,
                "timestamp": session.now.isoformat(),
                "data": _told(happened, lms, subscriber),
            },
            order_key=f"webhook {subscriber.name} attempt {attempt.id}",
            attempt_id=attempt.id,
        )


def _is_known_to_nobody(happened: Happened) -> bool:
    """That we give up an attempt which its LMS never started: nobody has heard that there is one,
    and the learner's own, under another id, goes on."""
    return happened.after is None and happened.by.actor is Actor.SYSTEM


def _told(happened: Happened, lms: Lms, subscriber: Subscriber) -> dict[str, Any]:
    """Of an attempt, for other systems: no names, and of the learner the obscured id alone, unless
    an operator has said otherwise of this one."""
    attempt, exam = happened.attempt, happened.exam
    return {
        "attempt": attempt.external_id,
        "version": attempt.version,
        "status": "removed" if happened.after is None else attempt.status,
        "lms": attempt.lms,
        "course_id": attempt.course_id,
        "content_id": exam.content_id,
        "exam_type": attempt.exam_type,
        "obscured_user_id": _obscured(attempt.learner, lms),
    } | ({"user_id": attempt.learner.user_id or None} if subscriber.sends_user_id else {})


def _obscured(learner: Learner, lms: Lms) -> str | None:
    """None: the LMS's key is not stored."""
    if learner.obscured_id or not (learner.user_id and lms.obfuscation_key):
        return learner.obscured_id or None
    return obscured_id(lms.obfuscation_key, learner.user_id, lms.backend)
