"""Exams and attempts as edx-exams shows them, key for key.

Every attempt has more: what the browser library reads of edx-proctoring's attempts (worker, ping,
words), and `expires_at` and `server_now`, so that a page can count down to the instant that the
server decides by.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from proctoring_hooks.attempt import Attempt
from proctoring_hooks.clock import Allowance
from proctoring_hooks.exam import Exam, ExamType
from proctoring_hooks.incidents import Incident
from proctoring_hooks.lms import Lms
from proctoring_hooks.statuses import Status
from proctoring_hooks.web.exam_service_store import Allowed, Person, utc_text
from proctoring_hooks.worker.for_lms import rest_field


def exam_shape(exam: Exam) -> dict[str, Any]:
    return {
        "id": exam.id,
        "exam_name": exam.exam_name,
        "course_id": exam.course_id,
        "content_id": exam.content_id,
        "time_limit_mins": exam.time_limit_mins,
        "due_date": _date(exam.due_at),
        "exam_type": exam.exam_type,
        "hide_after_due": exam.hide_after_due,
        "is_active": exam.is_active,
    }


def student_exam_shape(
    exam: Exam,
    attempt: dict[str, Any],
    *,
    allowance: Allowance | None,
    backend: str | None,
    now: datetime,
) -> dict[str, Any]:
    return exam_shape(exam) | {
        "type": exam.exam_type,
        "is_proctored": exam.exam_type.is_proctored,
        "is_practice_exam": exam.exam_type.is_practice,
        "backend": backend,
        "passed_due_date": exam.is_past_due(now),
        "total_time": exam.time_limit_mins + extra_mins(exam, allowance),
        "attempt": attempt,
    }


LOW, CRITICALLY_LOW = 0.2, 0.05
"""Of the time that an attempt has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnPages:
    """What pages need beside the attempt."""

    worker_url: str | None
    ping_interval_s: int
    get_ready_url: str


def attempt_shape(
    lms: Lms, exam: Exam, attempt: Attempt, now: datetime, on_pages: OnPages
) -> dict[str, Any]:
    """`exam_started_poll_url` is null: the library would ask the LMS at that path. Without it, it
    polls `attempt/latest` here."""
    left_s, allowed_s = attempt.left_s(now), attempt.allowed_s or 0
    return {
        "attempt_id": attempt.id,
        "attempt_status": attempt.status,
        "course_id": exam.course_id,
        "exam_type": _worded(exam.exam_type),
        "exam_display_name": exam.exam_name,
        "exam_url_path": exam_url(lms, exam),
        "time_remaining_seconds": left_s,
        "in_timed_exam": True,
        "taking_as_proctored": attempt.is_proctored,
        "external_id": attempt.external_id,
        "attempt_code": attempt.external_id,
        "attempt_ready_to_resume": attempt.ready_to_resume,
        "use_legacy_attempt_api": False,
        "total_time": _duration(math.ceil(allowed_s / 60) or exam.time_limit_mins),
        "low_threshold_sec": math.floor(allowed_s * LOW),
        "critically_low_threshold_sec": math.floor(allowed_s * CRITICALLY_LOW),
        "accessibility_time_string": f"you have {_duration(math.floor(left_s / 60))} remaining",
        "exam_started_poll_url": None,
        "ping_interval": on_pages.ping_interval_s,
        **rest_field(on_pages.worker_url if attempt.is_proctored else None),
        **_software_of(attempt, on_pages),
        "expires_at": None if attempt.expires_at is None else utc_text(attempt.expires_at),
        "server_now": utc_text(now),
    }


def _software_of(attempt: Attempt, on_pages: OnPages) -> dict[str, str]:
    """Of a proctored attempt that is not ready: where its learner gets ready."""
    is_before = attempt.status in (Status.CREATED, Status.DOWNLOAD_SOFTWARE_CLICKED)
    is_there = attempt.is_proctored and is_before
    return {"software_download_url": on_pages.get_ready_url} if is_there else {}


def _duration(minutes: int) -> str:
    """As edx-proctoring words it: "1 hour and 30 minutes"."""
    hours, rest = divmod(minutes, 60)
    words = [_counted(hours, "hour")] if hours else []
    if rest or not hours:
        words.append(_counted(rest, "minute"))
    return " and ".join(words)


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def _worded(exam_type: ExamType) -> str:
    """For a proctored exam the words of edx-proctoring, which pages show as well.

    For "proctored" alone the library asks the window around the page whether Proctorio runs, takes
    an answer only from an EXAMS_BASE_URL without a path, and ends the exam in error without one.
    """
    return "a proctored exam" if exam_type is ExamType.PROCTORED else exam_type


def exam_url(lms: Lms, exam: Exam) -> str:
    """Every LMS sends its learner on from there, to its learning MFE if it has one."""
    return f"{lms.base_url}/courses/{exam.course_id}/jump_to/{exam.content_id}"


def instructor_shape(
    exam: Exam, attempt: Attempt, *, username: str, gravest: Incident | None
) -> dict[str, Any]:
    return {
        "attempt_id": attempt.id,
        "attempt_status": attempt.status,
        "start_time": _date(attempt.started_at),
        "end_time": _date(attempt.completed_at),
        "allowed_time_limit_mins": (
            None if attempt.allowed_s is None else math.ceil(attempt.allowed_s / 60)
        ),
        "exam_type": exam.exam_type,
        "exam_display_name": exam.exam_name,
        "username": username,
        "proctored_review": None if gravest is None else _review_shape(gravest),
    }


def _review_shape(incident: Incident) -> dict[str, Any]:
    return {
        "submission_time": _date(incident.happened_at),
        "severity": f"{incident.severity:.2f}",
        "submission_reason": incident.kind,
    }


def allowance_shape(exam: Exam, allowed: Allowed, person: Person | None) -> dict[str, Any]:
    """`user_id` is null as long as the learner of that name has not been here."""
    is_known = not allowed.user_id.startswith("@")
    return {
        "id": allowed.id,
        "exam_id": exam.id,
        "user_id": int(allowed.user_id) if is_known and allowed.user_id.isdecimal() else None,
        "extra_time_mins": extra_mins(exam, allowed.allowance),
        "username": person.username if person else "",
        "exam_name": exam.exam_name,
        "email": person.email if person else "",
    }


def extra_mins(exam: Exam, allowance: Allowance | None) -> int:
    if allowance is None:
        return 0
    return math.ceil(allowance.more_s(exam.time_limit_mins) / 60)


def _date(at: datetime | None) -> str | None:
    """As Django's REST framework writes it."""
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")
