"""Exams that an LMS keeps and tells its provider of."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from proctoring_hooks.exam import ClockOwner, Exam, ExamType, NewExam, Terms
from proctoring_hooks.lms import Lms
from proctoring_hooks.store import NotFound, Overtaken, Session
from proctoring_hooks.web.provider_bodies import (
    BadBody,
    flag,
    instant,
    is_storable,
    minutes,
    required,
    text,
)

RULES = {
    "allow_notes": "Notes on paper are allowed.",
    "allow_books": "Books are allowed.",
    "allow_internet": "Looking things up on the internet is allowed.",
    "allow_breaks": "Leaving the room for a short while is allowed.",
}
"""Those that a course team can choose from; an LMS may send others."""
SUMMARY = "rule_summary"
MOST_RULES = 100
LONGEST_KEY = 100
LONGEST_RULE = 10_000


class Taken(Exception):
    """Another exam has this content. For the caller: HTTP 409."""


def new_id() -> str:
    """Of an exam or an attempt: a slug, which the LMS can route, and never given twice."""
    return secrets.token_hex(16)


def find(session: Session, lms: str, external_id: str) -> Exam:
    """Raises: NotFound: also of another LMS's, and of an exam that no LMS keeps."""
    if not is_storable(external_id):
        raise NotFound("No such exam")
    exam = session.exams.by_external_id(lms, external_id)
    if exam.clock_owner is not ClockOwner.LMS:
        raise NotFound("No such exam")
    return exam


def read(lms: Lms, body: Mapping[str, Any]) -> NewExam:
    """What the LMS has saved, with an id in case that it is new. Raises: BadBody."""
    lms_exam_id = body.get("id")
    if isinstance(lms_exam_id, bool) or not isinstance(lms_exam_id, int) or lms_exam_id < 0:
        raise BadBody("id must be the LMS's number of the exam")
    return NewExam(
        lms=lms.name,
        course_id=required(body, "course_id"),
        content_id=required(body, "content_id"),
        exam_name=text(body, "exam_name"),
        exam_type=_type(body),
        time_limit_mins=minutes(body, "time_limit_mins"),
        due_at=instant(body, "due_date"),
        hide_after_due=flag(body, "hide_after_due", default=False),
        is_active=flag(body, "is_active", default=True),
        clock_owner=ClockOwner.LMS,
        external_id=new_id(),
        lms_exam_id=str(lms_exam_id)[:64],
    )


def save(session: Session, new: NewExam, body: Mapping[str, Any], terms: Terms) -> Exam:
    """What the LMS has saved, new or known. A new one begins with `terms`.

    It is known by the content that it is of. The id that the LMS has for it may be another
    provider's, which the course had before, or one that we had given and lost with a backup; it is
    answered ours, and takes that over.

    Raises:
        BadBody: in the rules.
        Taken
        Overtaken: the same exam is being saved at this very moment.
    """
    exam = session.exams.latest(new.lms, new.course_id, new.content_id, ClockOwner.LMS)
    if new.is_active:
        _check_is_free(session, new, exam)
    if exam is None:
        return session.exams.add(replace(new, terms=_with_rules(terms, body)))
    fields = {name: getattr(new, name) for name in _FROM_THE_LMS}
    fields["terms"] = _with_rules(exam.terms, body)
    changed = {name: value for name, value in fields.items() if getattr(exam, name) != value}
    return session.exams.change(exam.id, **changed) if changed else exam


_FROM_THE_LMS = (
    "exam_name",
    "exam_type",
    "time_limit_mins",
    "due_at",
    "hide_after_due",
    "is_active",
    "lms_exam_id",
)


def _check_is_free(session: Session, new: NewExam, exam: Exam | None) -> None:
    active = session.exams.active(new.lms, new.course_id, new.content_id)
    if active is None or (exam is not None and active.id == exam.id):
        return
    if active.clock_owner is ClockOwner.LMS:
        raise Overtaken("another request has saved this exam meanwhile")
    raise Taken(
        "This content has another active exam here, which the exam service keeps; "
        "deactivate that one first"
    )


def _type(body: Mapping[str, Any]) -> ExamType:
    """A practice exam is an onboarding exam to the LMS, whose REST backends support that."""
    if not flag(body, "is_proctored", default=True):
        return ExamType.TIMED
    is_practice = flag(body, "is_practice_exam", default=False)
    return ExamType.ONBOARDING if is_practice else ExamType.PROCTORED


def _with_rules(terms: Terms, body: Mapping[str, Any]) -> Terms:
    """The rules that the LMS gives (`{key: true, or a sentence}`) and its review policy; those that
    were entered here stay."""
    given = body.get("rules") or {}
    if not isinstance(given, Mapping) or len(given) > MOST_RULES:
        raise BadBody(f"rules must be an object of at most {MOST_RULES} rules")
    rules = dict(terms.rules)
    for key, value in given.items():
        if not key or len(key) > LONGEST_KEY or not is_storable(key):
            raise BadBody(f"a rule's name may have {LONGEST_KEY} characters at most")
        if value is True:
            rules[key] = RULES.get(key, key.replace("_", " ").capitalize() + ".")
        elif isinstance(value, str):
            rules[key] = text(given, key, most=LONGEST_RULE)
        else:
            rules.pop(key, None)
    rules[SUMMARY] = text(body, SUMMARY)
    if not rules[SUMMARY]:
        del rules[SUMMARY]
    return replace(terms, rules=rules)


def shown(exam: Exam) -> dict[str, Any]:
    """For the LMS that keeps it."""
    return {
        "id": exam.external_id,
        "course_id": exam.course_id,
        "content_id": exam.content_id,
        "exam_name": exam.exam_name,
        "time_limit_mins": exam.time_limit_mins,
        "is_proctored": exam.exam_type.is_proctored,
        "is_practice_exam": exam.exam_type.is_practice,
        "is_active": exam.is_active,
        "due_date": exam.due_at.isoformat() if exam.due_at else None,
        "hide_after_due": exam.hide_after_due,
        "rules": exam.terms.rules,
    }
