"""Exams: their terms, which submissions they claim, who has more time, and their mark sheets."""

from __future__ import annotations

import dataclasses
from typing import Any

from flask import Response

from proctoring_hooks import accepting, saving
from proctoring_hooks.clock import Allowance, AllowanceKind
from proctoring_hooks.exam import Readying, Release, Reviewing, Unmatched
from proctoring_hooks.grades import GradeState
from proctoring_hooks.incidents import read_policy
from proctoring_hooks.terms import BadTerms, read_rules, read_staff, warnings_of
from xqueue_server.accounts.access import JUDGE, REPAIR, SEE_EXAMS
from xqueue_server.storage import events
from xqueue_server.storage.proctoring import browsing, claims
from xqueue_server.storage.proctoring.claims import ClaimKind
from xqueue_server.storage.proctoring.session import ProctoringSession
from xqueue_server.web.api.answer import answer, instant, nothing
from xqueue_server.web.api.call import ApiCall
from xqueue_server.web.api.exams.documents import EXAM, TERMS, exam_document, with_now
from xqueue_server.web.api.exams.seeing import by_proctor, exam_for, looked
from xqueue_server.web.api.paging import page_of
from xqueue_server.web.api.problem import ApiError
from xqueue_server.web.api.reading import SMALL_BYTES, Fields
from xqueue_server.web.api.route import PAGE, Query, Route
from xqueue_server.web.api.schema import (
    ID,
    INSTANT,
    NUMBER,
    TEXT,
    WHOLE,
    YES_NO,
    changes,
    extended,
    holding,
    list_of,
    nullable,
    one_of,
    page,
    record,
)

CHOICES = {
    "release": Release,
    "unmatched": Unmatched,
    "review": Reviewing,
    "readying": Readying,
}
MOST_GRACE_S = 3600
MAX_NAME_CHARS = 64
MAX_POLICY_CHARS = 4000
MAX_REASON_CHARS = 500
MOST_MINUTES = 7 * 24 * 60
MOST_TIMES = 10
AUTO_PASS = "review auto_pass lets every attempt pass that is submitted, with nobody watching: say confirmed"  # noqa: E501, S105
WHOLE_QUEUE = "every submission to this queue would belong to the exam: say confirmed"


def list_exams(call: ApiCall) -> Response:
    asked, given = page_of(call), call.request.args
    active = {None: True, "true": True, "false": False, "any": None}
    if given.get("active") not in active:
        raise ApiError(422, "invalid", "active must be true, false or any")
    with call.services.proctoring.read() as session:
        found = browsing.exams_page(
            session.tx,
            call.caller.scope(session.tx, SEE_EXAMS),
            lms=call.text("lms"),
            course=call.text("course"),
            active=active[given.get("active")],
            limit=asked.with_next,
            before=asked.before,
        )
        now = session.now
    return answer(asked.answer("exams", found, lambda e: exam_document(e, now), lambda e: e.id))


def show_exam(call: ApiCall, exam_id: int) -> Response:
    with call.services.proctoring.read() as session:
        document = _in_full(call, session, exam_id)
    if document["allowances"]:
        looked(call, f"exam {exam_id}")
    return answer(document)


def change_exam(call: ApiCall, exam_id: int) -> Response:
    fields = Fields(call.document(SMALL_BYTES), (*TERMS, "confirmed"))
    terms: dict[str, Any] = {
        name: kind(fields.choice(name, tuple(kind)) or next(iter(kind)))
        for name, kind in CHOICES.items()
        if fields.has(name)
    }
    if fields.has("grace_s"):
        terms["grace_s"] = fields.whole("grace_s", 0, MOST_GRACE_S)
    if fields.has("needs_onboarding"):
        terms["needs_onboarding"] = fields.yes_no("needs_onboarding", True)
    for name, most in (("provider", MAX_NAME_CHARS), ("incident_policy", MAX_POLICY_CHARS)):
        if fields.has(name):
            is_none = fields.raw(name) == ""
            terms[name] = "" if is_none else fields.text(name, most=most)
    for name, read in (("rules", _rules), ("staff", _staff)):
        if fields.has(name):
            try:
                terms[name] = read(fields.raw(name))
            except BadTerms as error:
                fields.wrong(name, str(error))
    if terms.get("review") is Reviewing.AUTO_PASS and not fields.yes_no("confirmed", False):
        fields.wrong("review", AUTO_PASS)
    fields.check()
    read_policy(terms.get("incident_policy", ""))
    with call.services.proctoring.write() as session:
        exam = exam_for(call, session, exam_id, REPAIR)
        if terms.get("provider"):
            session.provider_url(terms["provider"])
        saving.change(session, exam_id, terms=dataclasses.replace(exam.terms, **terms))
        detail = ", ".join(f"{name}={value}" for name, value in terms.items())
        _record(call, session, exam_id, "terms changed", detail)
        document = _in_full(call, session, exam_id)
    return answer(document)


def _rules(given: Any) -> dict[str, str]:
    if not isinstance(given, dict):
        raise BadTerms('must be an object, {"key": "sentence", …}')
    return read_rules(given)


def _staff(given: Any) -> tuple[str, ...]:
    if not isinstance(given, list):
        raise BadTerms("must be a list of user ids of the LMS")
    return read_staff(given)


def _in_full(call: ApiCall, session: ProctoringSession, exam_id: int) -> dict[str, Any]:
    exam = exam_for(call, session, exam_id)
    return exam_document(exam, session.now) | {
        "warnings": warnings_of(exam.terms),
        "claims": [
            {
                "kind": each.kind,
                "value": each.value,
                "claimed_by": each.claimed_by,
                "claimed_at": instant(each.claimed_at),
            }
            for each in claims.of_exam(session.tx, exam_id)
        ],
        "allowances": [
            {
                "user_id": each.user_id,
                "kind": each.allowance.kind,
                "value": each.allowance.value,
                "granted_by": each.granted_by,
                "granted_at": instant(each.granted_at),
            }
            for each in browsing.allowances_of(session.tx, exam_id)
        ],
    }


# -- claims --------------------------------------------------------------------------------------


def add_claim(call: ApiCall, exam_id: int) -> Response:
    fields = Fields(call.document(SMALL_BYTES), ("kind", "value", "confirmed"))
    kind = ClaimKind(fields.choice("kind", tuple(ClaimKind)) or ClaimKind.PROBLEM)
    value = fields.text("value", most=claims.MOST_CHARS)
    if kind is ClaimKind.QUEUE and not fields.yes_no("confirmed", False):
        fields.wrong("kind", WHOLE_QUEUE)
    fields.check()
    with call.services.proctoring.write() as session:
        exam = exam_for(call, session, exam_id, REPAIR)
        if kind is ClaimKind.QUEUE:
            call.caller.require(session.tx, REPAIR, value)
        claims.add(session.tx, exam, kind, value, actor=call.caller.actor)
        document = _in_full(call, session, exam_id)
    return answer(document)


def remove_claim(call: ApiCall, exam_id: int) -> Response:
    fields = Fields(call.document(SMALL_BYTES), ("kind", "value"))
    kind = ClaimKind(fields.choice("kind", tuple(ClaimKind)) or ClaimKind.PROBLEM)
    value = fields.text("value", most=claims.MOST_CHARS)
    fields.check()
    with call.services.proctoring.write() as session:
        exam = exam_for(call, session, exam_id, REPAIR)
        if not claims.remove(session.tx, exam, kind, value, actor=call.caller.actor):
            raise ApiError(409, "conflict", f"Exam {exam_id} does not claim this {kind}")
        document = _in_full(call, session, exam_id)
    return answer(document)


# -- allowances ----------------------------------------------------------------------------------


def set_allowance(call: ApiCall, exam_id: int, user_id: str) -> Response:
    fields = Fields(call.document(SMALL_BYTES), ("kind", "value"))
    kind = AllowanceKind(fields.choice("kind", tuple(AllowanceKind)) or next(iter(AllowanceKind)))
    is_factor = kind is AllowanceKind.MULTIPLIER
    value = fields.number("value", 1, MOST_TIMES if is_factor else MOST_MINUTES)
    fields.check()
    return _allow(call, exam_id, user_id, Allowance(kind=kind, value=value))


def remove_allowance(call: ApiCall, exam_id: int, user_id: str) -> Response:
    _allow(call, exam_id, user_id, None)
    return nothing()


def _allow(call: ApiCall, exam_id: int, user_id: str, allowance: Allowance | None) -> Response:
    with call.services.proctoring.write() as session:
        exam_for(call, session, exam_id, JUDGE)
        if not (user_id.isascii() and user_id.isdecimal() and len(user_id) <= 20):
            raise ApiError(422, "invalid", "A learner is the number of a user of the LMS")
        session.exams.allow(exam_id, user_id, allowance, who=call.caller.actor)
        document = _in_full(call, session, exam_id)
    return answer(document)


# -- marks ---------------------------------------------------------------------------------------


def show_marks(call: ApiCall, exam_id: int) -> Response:
    with call.services.proctoring.read() as session:
        exam_for(call, session, exam_id)
        found = session.marks.of_exam(exam_id)
        now = session.now
    looked(call, f"exam {exam_id}")
    marks = [
        {
            "user_id": each.learner,
            "problem": each.problem,
            "submission_id": each.submission_id,
            "attempt_id": each.attempt_id,
            "score": each.score,
            "factor": each.factor,
            "counts": each.counts,
            "state": each.state,
            "written_at": instant(each.written_at),
        }
        for each in found
    ]
    return answer({"marks": marks, "server_now": instant(now)})


def accept_flagged(call: ApiCall, exam_id: int) -> Response:
    fields = Fields(call.document(SMALL_BYTES), ("reason",))
    reason = fields.text("reason", most=MAX_REASON_CHARS)
    fields.check()
    store = call.services.proctoring
    with store.read() as session:
        exam_for(call, session, exam_id, JUDGE)
    count = accepting.accept_all_flagged(store, exam_id, by_proctor(call, reason))
    return answer({"count": count})


def _record(call: ApiCall, session: ProctoringSession, exam_id: int, why: str, detail: str) -> None:
    events.append(
        session.tx,
        subject=f"exam {exam_id}",
        actor=call.caller.actor,
        why=why,
        detail=detail,
        request_id=call.request_id,
    )


WHO_SEES = "viewer, operator, admin or proctor of its course"
WHO_ACTS = "operator, admin or proctor of its course"
WHO_SETS = "operator or admin of its course"
CLAIM = record("Claim", kind=one_of(ClaimKind), value=TEXT, claimed_by=TEXT, claimed_at=INSTANT)
ALLOWANCE = record(
    "Allowance",
    user_id=TEXT,
    kind=one_of(AllowanceKind),
    value=NUMBER,
    granted_by=TEXT,
    granted_at=INSTANT,
)
EXAM_IN_FULL = extended(
    EXAM,
    "ExamInFull",
    warnings=list_of(TEXT),
    claims=list_of(CLAIM),
    allowances=list_of(ALLOWANCE),
)
MARK = record(
    "Mark",
    user_id=TEXT,
    problem=TEXT,
    submission_id=ID,
    attempt_id=nullable(ID),
    score=nullable(NUMBER),
    factor=NUMBER,
    counts=nullable(NUMBER),
    state=one_of(GradeState),
    written_at=INSTANT,
)

ROUTES = (
    Route(
        method="GET",
        path="/exams",
        view=list_exams,
        about="Exams, newest first; active ones if `active` is left out",
        who="viewer, operator, admin or proctor",
        query=(
            Query(name="lms", about="Only of this LMS"),
            Query(name="course", about="Only of this course"),
            Query(name="active", about="Which of them", schema=one_of(("true", "false", "any"))),
            *PAGE,
        ),
        answers={200: page("exams", EXAM)},
    ),
    Route(
        method="GET",
        path="/exams/<int:exam_id>",
        view=show_exam,
        about="One exam with its claims and allowances, and `warnings` of its terms",
        who=WHO_SEES,
        answers={200: EXAM_IN_FULL},
    ),
    Route(
        method="PATCH",
        path="/exams/<int:exam_id>",
        view=change_exam,
        about="Change what is given of its terms (`rules` and `staff` as a whole); `auto_pass` "
        "must be confirmed; no other provider while attempts are open, or not judged by the one it "
        "has (409)",
        who=WHO_SETS,
        body=changes("ExamChanges", **TERMS, confirmed=YES_NO),
        answers={200: EXAM_IN_FULL},
    ),
    Route(
        method="POST",
        path="/exams/<int:exam_id>/claims",
        view=add_claim,
        about="Let submissions of a problem, or, confirmed, of a whole queue belong to it",
        who=f"{WHO_SETS}; of the queue too, where it is one",
        body=record(
            "NewClaim",
            optional=("confirmed",),
            kind=one_of(ClaimKind),
            value=TEXT,
            confirmed=YES_NO,
        ),
        answers={200: EXAM_IN_FULL},
    ),
    Route(
        method="POST",
        path="/exams/<int:exam_id>/claims/remove",
        view=remove_claim,
        about="Take a claim back; what was submitted until now stays the exam's",
        who=WHO_SETS,
        body=record("OldClaim", kind=one_of(ClaimKind), value=TEXT),
        answers={200: EXAM_IN_FULL},
    ),
    Route(
        method="PUT",
        path="/exams/<int:exam_id>/allowances/<user_id>",
        view=set_allowance,
        about="Give a learner more time, from the next start on",
        who=WHO_ACTS,
        body=record("NewAllowance", kind=one_of(AllowanceKind), value=NUMBER),
        answers={200: EXAM_IN_FULL},
    ),
    Route(
        method="DELETE",
        path="/exams/<int:exam_id>/allowances/<user_id>",
        view=remove_allowance,
        about="Take a learner's allowance away",
        who=WHO_ACTS,
        answers={204: None},
    ),
    Route(
        method="GET",
        path="/exams/<int:exam_id>/marks",
        view=show_marks,
        about="The mark sheet",
        who=WHO_SEES,
        answers={200: with_now(holding("marks", MARK))},
    ),
    Route(
        method="POST",
        path="/exams/<int:exam_id>/accept-flagged",
        view=accept_flagged,
        about="Let the grades go of all submissions that were late or of no attempt",
        who=WHO_ACTS,
        body=record("Acceptance", reason=TEXT),
        answers={200: record("AcceptedCount", count=WHOLE)},
    ),
)
