"""Publishing a course's exams: the whole list at once, as Studio sends it.

What a list says is checked first, item by item; then exams are added, changed, or made inactive,
all within the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from proctoring_hooks import saving
from proctoring_hooks.exam import ClockOwner, Exam, ExamType, NewExam, Terms
from proctoring_hooks.store import Session

MOST_EXAMS = 2000
LONGEST_ID = 255
LONGEST_NAME = 1000
MOST_MINUTES = 366 * 24 * 60
_REQUIRED = (
    "content_id",
    "exam_name",
    "time_limit_mins",
    "due_date",
    "exam_type",
    "hide_after_due",
    "is_active",
)

Errors = dict[str, list[str]]


class BadExams(Exception):
    """`errors`: for a list, one mapping per item, field -> what is wrong with it."""

    def __init__(self, errors: list[Errors] | Errors) -> None:
        super().__init__("Invalid data")
        self.errors = errors


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedExam:
    content_id: str
    exam_name: str
    exam_type: ExamType
    time_limit_mins: int
    due_at: datetime | None
    hide_after_due: bool
    is_active: bool


# -- reading -------------------------------------------------------------------------------------


def read_exams(given: Any) -> list[PublishedExam]:
    """Raises: BadExams."""
    if not isinstance(given, list):
        kind = type(given).__name__
        raise BadExams({"non_field_errors": [f'Expected a list of items but got type "{kind}".']})
    if len(given) > MOST_EXAMS:
        raise BadExams({"non_field_errors": [f"At most {MOST_EXAMS} exams."]})
    errors: list[Errors] = []
    found: list[PublishedExam] = []
    seen: set[str] = set()
    for item in given:
        wrong: Errors = {}
        exam = _read_exam(item, wrong)
        if exam is not None and exam.content_id in seen:
            wrong["content_id"] = ["Another exam of this list has this content_id."]
        elif exam is not None:
            seen.add(exam.content_id)
            found.append(exam)
        errors.append(wrong)
    if any(errors):
        raise BadExams(errors)
    return found


def _read_exam(item: Any, wrong: Errors) -> PublishedExam | None:
    if not isinstance(item, Mapping):
        wrong["non_field_errors"] = [
            f"Invalid data. Expected a dictionary, but got {type(item).__name__}."
        ]
        return None
    for name in _REQUIRED:
        if name not in item:
            wrong[name] = ["This field is required."]
        elif item[name] is None and name != "due_date":
            wrong[name] = ["This field may not be null."]
    if wrong:
        return None
    read: dict[str, Any] = {
        "content_id": _text(item, "content_id", LONGEST_ID, wrong),
        "exam_name": _text(item, "exam_name", LONGEST_NAME, wrong),
        "exam_type": _type(item["exam_type"], wrong),
        "time_limit_mins": _minutes(item["time_limit_mins"], wrong),
        "due_at": _instant(item["due_date"], wrong),
        "hide_after_due": _flag(item, "hide_after_due", wrong),
        "is_active": _flag(item, "is_active", wrong),
    }
    return None if wrong else PublishedExam(**read)


def _text(item: Mapping[str, Any], name: str, longest: int, wrong: Errors) -> str:
    value = item[name]
    if not isinstance(value, str) or "\0" in value:
        wrong[name] = ["Not a valid string."]
    elif not value.strip():
        wrong[name] = ["This field may not be blank."]
    elif len(value) > longest:
        wrong[name] = [f"Ensure this field has no more than {longest} characters."]
    else:
        return value
    return ""


def _type(value: Any, wrong: Errors) -> ExamType:
    try:
        return ExamType(value)
    except ValueError:
        wrong["exam_type"] = ["Must be a valid exam type."]
        return ExamType.TIMED


def _minutes(value: Any, wrong: Errors) -> int:
    is_text = isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10
    minutes = int(value) if is_text else value
    if not isinstance(minutes, int) or isinstance(minutes, bool):
        wrong["time_limit_mins"] = ["A valid integer is required."]
    elif not 0 <= minutes <= MOST_MINUTES:
        wrong["time_limit_mins"] = [f"Ensure this value is from 0 to {MOST_MINUTES}."]
    else:
        return minutes
    return 0


def _instant(value: Any, wrong: Errors) -> datetime | None:
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        wrong["due_date"] = ["Datetime has wrong format. Use one of these: ISO 8601."]
        return None
    if not 1970 <= found.year <= 9000:
        wrong["due_date"] = ["Datetime value out of range."]
        return None
    return found


def _flag(item: Mapping[str, Any], name: str, wrong: Errors) -> bool:
    if not isinstance(item[name], bool):
        wrong[name] = ["Must be a valid boolean."]
        return False
    return bool(item[name])


# -- publishing ----------------------------------------------------------------------------------


def publish(
    session: Session,
    lms: str,
    course_id: str,
    published: Sequence[PublishedExam],
    *,
    terms: Terms,
    new_id: Callable[[], str],
) -> None:
    """`terms`: of the course, for exams that are new. The caller holds the course's lock.

    An exam whose type or provider has changed gets a new row: its attempts belong to what it was.
    One that comes back as it was is the same again, with its attempts.

    Raises:
        BadExams: content that an exam of the LMS's own proctoring has.
    """
    rows = session.exams.of_course(lms, course_id, active_only=False)
    _check_not_the_lmss(rows, published)
    ours = [exam for exam in rows if exam.clock_owner is ClockOwner.US]
    kept = {each.content_id: _same(ours, each, terms) for each in published}
    going_on = {exam.id for exam in kept.values() if exam is not None}
    for exam in ours:
        if exam.is_active and exam.id not in going_on:
            saving.change(session, exam.id, is_active=False)
    for each in published:
        fields: dict[str, Any] = {
            "exam_name": each.exam_name,
            "time_limit_mins": each.time_limit_mins,
            "due_at": each.due_at,
            "hide_after_due": each.hide_after_due,
            "is_active": each.is_active,
        }
        same = kept[each.content_id]
        if same is None:
            saving.add(
                session,
                NewExam(
                    lms=lms,
                    course_id=course_id,
                    content_id=each.content_id,
                    exam_type=each.exam_type,
                    clock_owner=ClockOwner.US,
                    external_id=new_id(),
                    terms=terms if each.exam_type.is_proctored else replace(terms, provider=""),
                    **fields,
                ),
            )
        elif any(getattr(same, name) != value for name, value in fields.items()):
            saving.change(session, same.id, **fields)


def _check_not_the_lmss(rows: Sequence[Exam], published: Sequence[PublishedExam]) -> None:
    theirs = {e.content_id for e in rows if e.is_active and e.clock_owner is ClockOwner.LMS}
    errors: list[Errors] = [
        {"content_id": ["The LMS keeps this exam's attempts itself, with us as its provider."]}
        if each.is_active and each.content_id in theirs
        else {}
        for each in published
    ]
    if any(errors):
        raise BadExams(errors)


def _same(ours: Sequence[Exam], each: PublishedExam, terms: Terms) -> Exam | None:
    """The row that it goes on in: the active one, else the newest."""
    provider = terms.provider if each.exam_type.is_proctored else ""
    fitting = [
        exam
        for exam in ours
        if exam.content_id == each.content_id
        and exam.exam_type is each.exam_type
        and exam.terms.provider == provider
    ]
    return max(fitting, key=lambda exam: (exam.is_active, exam.id), default=None)


def change_provider(
    session: Session, lms: str, course_id: str, provider: str, *, new_id: Callable[[], str]
) -> None:
    """Active proctored exams go on as new rows with it. The caller holds the course's lock."""
    for exam in session.exams.of_course(lms, course_id, active_only=True):
        is_told = exam.clock_owner is ClockOwner.US and exam.exam_type.is_proctored
        if not is_told or exam.terms.provider == provider:
            continue
        saving.change(session, exam.id, is_active=False)
        given = {name: getattr(exam, name) for name in NewExam.__dataclass_fields__}
        saving.add(
            session,
            NewExam(
                **given | {"external_id": new_id(), "terms": replace(exam.terms, provider=provider)}
            ),
        )
