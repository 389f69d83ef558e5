"""The schema and the bytes of an event as openedx-events itself writes them: JSON of its arguments
on the input, {schema, event_data (hex)} on the output."""

import json
import sys

import django
from django.conf import settings

settings.configure(INSTALLED_APPS=["openedx_events"], USE_TZ=True)
django.setup()

from opaque_keys.edx.keys import CourseKey, UsageKey  # noqa: E402 - Django must be set up
from openedx_events.event_bus.avro.schema import schema_from_signal  # noqa: E402
from openedx_events.event_bus.avro.serializer import serialize_event_data_to_bytes  # noqa: E402
from openedx_events.learning import signals  # noqa: E402
from openedx_events.learning.data import ExamAttemptData, UserData, UserPersonalData  # noqa: E402

given = json.load(sys.stdin)


def user(of):
    pii = UserPersonalData(username=of["username"], email=of["email"], name=of["name"])
    return UserData(id=of["id"], is_active=True, pii=pii)


data = ExamAttemptData(
    student_user=user(given["student"]),
    course_key=CourseKey.from_string(given["course_key"]),
    usage_key=UsageKey.from_string(given["usage_key"]),
    exam_type=given["exam_type"],
    requesting_user=user(given["requesting"]) if given["requesting"] else None,
)
signal = signals.EXAM_ATTEMPT_SUBMITTED
written = serialize_event_data_to_bytes({"exam_attempt": data}, signal)
json.dump({"schema": schema_from_signal(signal), "event_data": written.hex()}, sys.stdout)
