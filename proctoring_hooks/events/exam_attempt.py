"""An event of an exam attempt, byte for byte as openedx-events 10.5 and edx-event-bus-redis 0.6.1
write it: the headers of an entry of a Redis stream, and `ExamAttemptData` in Avro.
"""

from __future__ import annotations

import re
import socket
import uuid
from datetime import UTC, datetime

from proctoring_hooks.attempt import Attempt
from proctoring_hooks.events.avro import Nullable, Record, encoded, record
from proctoring_hooks.learner_names import LearnerNames

TOPIC = "learning-exam-attempt-lifecycle"
SOURCE = "openedx/xqueue/web"
SOURCE_LIB = "10.5.0"
"""The version of openedx-events whose schema this is."""
EVENT_IDS = uuid.UUID("5a0f3c1e-6f0d-4a51-9a53-1a3f2f1d6b7e")
"""An event's id is derived under this name, so that each try to send it has the same."""
LMS_USER = re.compile(r"lms (?P<lms>\S+) user (?P<id>\d{1,18})")
"""Who, in an attempt's history, has an account in an LMS."""


class NotTellable(Exception):
    """Its readers could do nothing with it; the text says what is missing."""


def fields_of(
    *,
    kind: str,
    message_id: int,
    written_at: datetime,
    attempt: Attempt,
    content_id: str,
    names: LearnerNames | None,
    requested_by: str,
) -> dict[bytes, bytes]:
    """Of the stream's entry. `requested_by` is who made the change, as the history has it.

    Raises:
        NotTellable
    """
    learner = _user(attempt.learner.user_id, names)
    staff = LMS_USER.fullmatch(requested_by)
    # The LMS's handler of a reset wants a user who exists there: the learner is one for sure.
    is_known = staff is not None and staff["lms"] == attempt.lms
    user = record(int(staff["id"]), True, record("", "", "")) if staff and is_known else learner
    data = record(learner, attempt.course_id, content_id, str(attempt.exam_type), Nullable(user))
    headers = {
        "type": kind,
        "id": str(uuid.uuid5(EVENT_IDS, str(message_id))),
        "source": SOURCE,
        "time": written_at.astimezone(UTC).isoformat(),
        "minorversion": "0",
        "sourcehost": socket.gethostname(),
        "sourcelib": SOURCE_LIB,
    }
    found = {name.encode(): value.encode() for name, value in headers.items()}
    return found | {b"event_data": encoded(record(data))}


def _user(user_id: str, names: LearnerNames | None) -> Record:
    if not (user_id.isascii() and user_id.isdigit()):
        raise NotTellable("the learner's user id in the LMS is not known")
    if names is None or not names.username:
        raise NotTellable("the learner's user name is not known, or was erased")
    pii = record(names.username, names.email, names.full_name)
    return record(int(user_id), True, pii)
