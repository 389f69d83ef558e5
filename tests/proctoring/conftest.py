"""A store of proctoring on each database, with an LMS entered and an exam to sit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from proctoring_hooks.exam import ClockOwner, Exam, ExamType, NewExam, Terms
from proctoring_hooks.lms import Lms
from xqueue_server.instant import ManualClock
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore

SECRET_KEY = b"k" * 32
LMS = Lms(
    name="edx",
    base_url="https://lms.example",
    origins=("https://lms.example",),
    backend="xqueue",
    client_id="lms-client",
    client_secret="lms-secret",
    our_client_id="our-client",
    our_client_secret="our-secret",
    obfuscation_key="obfuscating",
)
COURSE = "course-v1:edX+DemoX+2026"
EXAM = NewExam(
    lms="edx",
    course_id=COURSE,
    content_id="block-v1:edX+DemoX+2026+type@sequential+block@final",
    exam_name="Final",
    exam_type=ExamType.PROCTORED,
    time_limit_mins=60,
    due_at=None,
    hide_after_due=False,
    is_active=True,
    clock_owner=ClockOwner.US,
    external_id="exam-1",
)

MakeExam = Callable[..., Exam]


@pytest.fixture
def store(storage: Storage) -> ProctoringStore:
    store = ProctoringStore(storage, SECRET_KEY)
    with store.write() as session:
        session.lmses.add(LMS)
    return store


@pytest.fixture
def make_exam(store: ProctoringStore) -> MakeExam:
    """An exam like `EXAM`, but for what is given; `terms` are given as a mapping."""

    def make(*, terms: dict[str, object] | None = None, **fields: object) -> Exam:
        new = replace(EXAM, terms=Terms(**(terms or {})), **fields)  # type: ignore[arg-type]
        with store.write() as session:
            return session.exams.add(new)

    return make


__all__ = ["COURSE", "EXAM", "LMS", "ManualClock"]
