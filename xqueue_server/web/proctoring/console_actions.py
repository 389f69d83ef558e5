"""What can be done to an attempt from the console: which of it is offered, and doing it.

Offered is what the table of transitions allows a proctor now, and what the clock's owner would hear
of: time of an attempt that an LMS keeps is given there.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from flask import Response, g

from proctoring_hooks import accepting, attempts, reporting
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.attempts import NotPossible
from proctoring_hooks.exam import ClockOwner
from proctoring_hooks.incidents import NewIncident, Source
from proctoring_hooks.reviews import Comment, Review
from proctoring_hooks.statuses import IN_PROGRESS, OPEN
from proctoring_hooks.store import Overtaken
from proctoring_hooks.transitions import Action, Actor, By, Effect, Refused, decide
from xqueue_server.errors import Conflict, InvalidRequest, NotFound
from xqueue_server.keys import digest
from xqueue_server.storage import idempotency
from xqueue_server.storage.idempotency import Answer
from xqueue_server.storage.proctoring import pages
from xqueue_server.storage.proctoring.session import ProctoringSession
from xqueue_server.web.admin.call import whole_number
from xqueue_server.web.proctoring.console_call import ConsoleCall
from xqueue_server.web.proctoring.paths import at

MOST_MINUTES = 600
LONGEST_REASON = 1000
LONGEST_WARNING = 128
MOST_NAMED = 20
"""Submissions, in a sentence."""
SEVERITIES = {"remark": 0.2, "warning": 0.5, "grave": 0.9}
"""From 0 (a remark) to 1; an exam's policy says from which on it counts as a strike."""
OVERTAKEN = (
    "The attempt has changed since you opened this page, so nothing was done: "
    "look at it again, then decide"
)


class Deed(StrEnum):
    READY = "ready"
    EXTEND = "extend"
    WARN = "warn"
    TERMINATE = "terminate"
    PASS = "pass"  # noqa: S105 - a review's verdict
    FAIL = "fail"
    SECOND = "second"
    RESUME = "resume"
    RESET = "reset"
    ACCEPT = "accept"
    UNMARK = "unmark"


_ACTIONS = {
    Deed.READY: (Action.READY, Actor.PROCTOR),
    Deed.TERMINATE: (Action.TERMINATE, Actor.PROCTOR),
    Deed.PASS: (Action.PASS, Actor.PROCTOR),
    Deed.FAIL: (Action.FAIL, Actor.PROCTOR),
    Deed.SECOND: (Action.REQUIRE_SECOND_REVIEW, Actor.PROCTOR),
    Deed.RESUME: (Action.RESUME, Actor.PROCTOR),
    Deed.RESET: (Action.RESET, Actor.STAFF),
}
OF_THE_CLOCK = (Deed.EXTEND, Deed.RESUME, Deed.RESET)
"""Only whoever owns the clock can do these."""
GRAVE = frozenset({Deed.TERMINATE, Deed.FAIL, Deed.RESET})
"""Confirmed with a tick of their own."""
NEEDS_REASON = GRAVE | {Deed.EXTEND, Deed.RESUME, Deed.ACCEPT, Deed.UNMARK}


# -- what is offered -----------------------------------------------------------------------------


def offered(attempt: Attempt, *, holds_back: bool, may_remove: bool) -> list[Deed]:
    """To somebody who may judge it. `holds_back`: whether grades of it have not gone yet."""
    found = [deed for deed in _ACTIONS if _is_possible(attempt, deed)]
    if not may_remove and Deed.RESET in found:
        found.remove(Deed.RESET)
    if attempt.clock_owner is ClockOwner.US and attempt.status in IN_PROGRESS:
        found.append(Deed.EXTEND)
    if attempt.status in OPEN:
        found.append(Deed.WARN)
    if holds_back:
        found.append(Deed.ACCEPT)
    if attempt.mark_factor < 1:
        found.append(Deed.UNMARK)
    return [deed for deed in Deed if deed in found]


def _is_possible(attempt: Attempt, deed: Deed) -> bool:
    if deed in OF_THE_CLOCK and attempt.clock_owner is not ClockOwner.US:
        return False
    if deed is Deed.RESUME and not attempt.is_resumable:
        return False
    if deed is Deed.READY and not attempt.is_proctored:
        return False
    action, actor = _ACTIONS[deed]
    try:
        effect = decide(attempt.status, action, actor, attempt.circumstances).effect
    except Refused:
        return False
    return effect in (Effect.CHANGE, Effect.KEEP, Effect.REMOVE, Effect.REPLACE)


def key_of(call: ConsoleCall, attempt: Attempt, deed: Deed, seen: int) -> str:
    """Of one form: sent twice it acts once. `seen`: how much of the attempt was on the page."""
    said = f"{attempt.id} {attempt.version} {seen} {deed}"
    return hmac.digest(call.csrf.encode(), said.encode(), hashlib.sha256).hex()[:32]


# -- doing it ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Doing:
    """One deed under way, in its transaction."""

    call: ConsoleCall
    session: ProctoringSession
    attempt: Attempt
    key: str

    def by(self, actor: Actor = Actor.PROCTOR) -> By:
        return By(
            actor=actor,
            who=self.call.proctor.who,
            request_id=g.request_id,
            reason=_reason(self.call) or None,
        )


def do(call: ConsoleCall, attempt_id: int, deed_name: str) -> Response:
    """Raises: NotFound, Forbidden, InvalidRequest, Conflict."""
    deed = _deed(deed_name)
    key = call.field("key")
    if not 16 <= len(key) <= 64:
        raise InvalidRequest("The form is incomplete: reload the page")
    _check_confirmed(call, deed)
    here = at("attempts", attempt_id)
    hashed = digest("console", call.proctor.secret, key)
    with call.services.proctoring.write() as session:
        attempt = call.attempt(session, attempt_id, lock=True)
        call.require_judge(attempt)
        if deed is Deed.RESET:
            call.require_remover(attempt)
        # In the transaction that acts: both are done, or neither.
        known = idempotency.begin(session.tx, hashed, _request_hash(call))
        if known is not None:
            return call.done("That was done already; it is done once.", here)
        if call.field("version") != str(attempt.version):
            raise Conflict(OVERTAKEN)
        doing = _Doing(call=call, session=session, attempt=attempt, key=key)
        try:
            said = _DEEDS[deed](doing)
        except Refused as error:
            raise Conflict(f"{error}") from None
        except (NotPossible, Overtaken) as error:
            raise Conflict(f"{error}") from None
        idempotency.finish(session.tx, hashed, Answer(status=303, body=b"", location=here))
    if deed is Deed.RESET:
        here = at("exams", attempt.exam_id)
    return call.done(said, here)


def _deed(name: str) -> Deed:
    if name not in set(Deed):
        raise NotFound(f"There is nothing called {name!r} to do")
    return Deed(name)


def _reason(call: ConsoleCall) -> str:
    reason = call.field("reason")
    if len(reason) > LONGEST_REASON:
        raise InvalidRequest(f"A reason has {LONGEST_REASON} characters at most")
    return reason


def _check_confirmed(call: ConsoleCall, deed: Deed) -> None:
    if deed in GRAVE and call.field("sure") != "yes":
        raise InvalidRequest("Tick that you are sure; nothing was done")
    if deed in NEEDS_REASON and not _reason(call):
        raise InvalidRequest("Say why: it stays on record with what you do; nothing was done")


def _request_hash(call: ConsoleCall) -> bytes:
    return digest("console form", *(f"{n}={v}" for n, v in sorted(call.fields.items())))


def _ready(doing: _Doing) -> str:
    _act(doing, Action.READY)
    return "The learner may start."


def _terminate(doing: _Doing) -> str:
    _act(doing, Action.TERMINATE)
    return "The exam has ended for the learner. A person must judge the attempt."


def _resume(doing: _Doing) -> str:
    _act(doing, Action.RESUME)
    return "The learner may begin again with the time that was left."


def _reset(doing: _Doing) -> str:
    _act(doing, Action.RESET, Actor.STAFF)
    return "The attempt was removed; its history stays. The learner may begin anew."


def _act(doing: _Doing, action: Action, actor: Actor = Actor.PROCTOR) -> None:
    attempts.act(doing.session, doing.attempt.id, action, doing.by(actor))


def _extend(doing: _Doing) -> str:
    minutes = whole_number(
        doing.call.field("minutes"), "Minutes", least=-MOST_MINUTES, most=MOST_MINUTES
    )
    if minutes == 0:
        raise InvalidRequest("Minutes must not be 0")
    attempts.extend(doing.session, doing.attempt.id, minutes, doing.by())
    if minutes < 0:
        return f"Took {-minutes} min from the learner’s time."
    return f"Gave the learner {minutes} min more."


def _warn(doing: _Doing) -> str:
    kind, severity = doing.call.field("kind"), doing.call.field("severity")
    if not 0 < len(kind) <= LONGEST_WARNING:
        raise InvalidRequest(f"Say what was seen, in {LONGEST_WARNING} characters at most")
    if severity not in SEVERITIES:
        raise InvalidRequest(f"How grave it is: {', '.join(SEVERITIES)}")
    reporting.report(
        doing.session,
        NewIncident(
            attempt_id=doing.attempt.id,
            incident_id=doing.key,
            source=Source.PROCTOR,
            kind=kind,
            severity=SEVERITIES[severity],
            happened_at=doing.session.now,
            detail=_reason(doing.call),
            reported_by=doing.call.proctor.who,
        ),
    )
    return "The learner’s page shows the warning."


def _judge(action: Action, said: str) -> Callable[[_Doing], str]:
    def judge(doing: _Doing) -> str:
        reason = _reason(doing.call)
        status = "Clean" if action is Action.PASS else "Suspicious"
        review = Review(
            action=action,
            actor=Actor.PROCTOR,
            reviewed_by=doing.call.proctor.reviewer,
            reviewer_email=doing.call.proctor.email,
            review_id=doing.key,
            comments=(Comment(comment=reason, status=status),) if reason else (),
        )
        outcome = attempts.judge(doing.session, doing.attempt.id, review, doing.by())
        if outcome.effect is Effect.KEEP:
            return "Kept: it counts when the learner has submitted."
        return said

    return judge


def _accept(doing: _Doing) -> str:
    count = accepting.accept_all_of(doing.session, doing.attempt.id, doing.by())
    return f"Let {count} {'grade' if count == 1 else 'grades'} go to the LMS."


def _unmark(doing: _Doing) -> str:
    done = attempts.mark(doing.session, doing.attempt.id, factor=1.0, by=doing.by())
    gone = attempts.gone_with_less(doing.session, done.attempt)
    said = "Marks of this attempt count fully again."
    if not gone:
        return said
    which = ", ".join(str(each) for each in gone[:MOST_NAMED])
    which += f" and {len(gone) - MOST_NAMED} more" if len(gone) > MOST_NAMED else ""
    return f"{said} Not those that were let go before (submission {which}): change them in the LMS."


_DEEDS: Mapping[Deed, Callable[[_Doing], str]] = {
    Deed.READY: _ready,
    Deed.EXTEND: _extend,
    Deed.WARN: _warn,
    Deed.TERMINATE: _terminate,
    Deed.PASS: _judge(Action.PASS, "Judged: passed."),
    Deed.FAIL: _judge(Action.FAIL, "Judged: failed."),
    Deed.SECOND: _judge(Action.REQUIRE_SECOND_REVIEW, "Put up for a second review."),
    Deed.RESUME: _resume,
    Deed.RESET: _reset,
    Deed.ACCEPT: _accept,
    Deed.UNMARK: _unmark,
}


# -- what an exam holds back ---------------------------------------------------------------------


def accept_held(call: ConsoleCall, exam_id: int) -> Response:
    """All of the exam, or the one that the form names. What was let go before stays so.

    Raises: NotFound, Forbidden, InvalidRequest, Conflict.
    """
    by = _by_of_held(call)
    store = call.services.proctoring
    if call.field("submission"):
        with store.write() as session:
            count = int(accepting.accept(session, _held(call, session, exam_id), by))
    else:
        _check_all_are_meant(call, exam_id)
        count = accepting.accept_all_flagged(store, exam_id, by)
    said = f"Let {count} {'grade' if count == 1 else 'grades'} go to the LMS."
    return call.done(said, at("exams", exam_id))


def refuse_held(call: ConsoleCall, exam_id: int) -> Response:
    """The one that the form names.

    Raises: NotFound, Forbidden, InvalidRequest, Conflict.
    """
    by = _by_of_held(call)
    with call.services.proctoring.write() as session:
        submission_id = _held(call, session, exam_id)
        if not accepting.refuse(session, submission_id, by):
            raise Conflict(f"Somebody has decided on submission {submission_id} already")
    return call.done(
        f"Refused submission {submission_id}: the LMS gets no grade of it.", at("exams", exam_id)
    )


def _by_of_held(call: ConsoleCall) -> By:
    reason = _reason(call)
    if not reason:
        raise InvalidRequest("Say why: it stays on record with what you do; nothing was done")
    return By(actor=Actor.PROCTOR, who=call.proctor.who, request_id=g.request_id, reason=reason)


def _held(call: ConsoleCall, session: ProctoringSession, exam_id: int) -> int:
    """The submission that the form names. Raises: NotFound, Forbidden, InvalidRequest."""
    call.require_judge(call.exam(session, exam_id))
    named = whole_number(call.field("submission"), "Submission", least=1, most=2**63 - 1)
    found = session.grades.find(named)
    if found is None or found.exam_id != exam_id:
        raise NotFound(f"Submission {named} does not belong to this exam")
    return named


def _check_all_are_meant(call: ConsoleCall, exam_id: int) -> None:
    """Raises: NotFound, Forbidden, InvalidRequest; Conflict: there are others by now."""
    with call.services.proctoring.read() as session:
        call.require_judge(call.exam(session, exam_id))
        held = pages.counts_of(session.tx, [exam_id])[exam_id].held
    if call.field("sure") != "yes":
        raise InvalidRequest("Tick that you mean all of them; nothing was done")
    if call.field("held") != str(held):
        raise Conflict(
            f"There are {held} submissions held back by now, which is not what you have seen, so "
            "nothing was done: look at them again, then decide"
        )
