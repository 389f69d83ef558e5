"""A service of Open edX that listens to the event bus with edx-event-bus-redis, unmodified: one
line of JSON on its output for each event that its signals' receivers get.

    consumer.py REDIS_URL TOPIC_PREFIX
"""

import json
import sys

import django
from django.conf import settings

REDIS_URL, TOPIC_PREFIX = sys.argv[1:]
TOPIC = "learning-exam-attempt-lifecycle"
EVENTS = ("SUBMITTED", "VERIFIED", "REJECTED", "ERRORED", "RESET")

settings.configure(
    EVENT_BUS_REDIS_CONNECTION_URL=REDIS_URL,
    EVENT_BUS_TOPIC_PREFIX=TOPIC_PREFIX or None,
    EVENT_BUS_REDIS_CONSUMER_POLL_TIMEOUT=1,
    INSTALLED_APPS=["openedx_events", "edx_event_bus_redis"],
    USE_TZ=True,
)
django.setup()

from edx_event_bus_redis import RedisEventConsumer  # noqa: E402 - Django must be set up
from openedx_events.learning import signals  # noqa: E402


def user(data):
    if data is None:
        return None
    pii = [data.pii.username, data.pii.email, data.pii.name]
    return {"id": data.id, "is_active": data.is_active, "pii": pii}


def receive(signal, metadata, exam_attempt, **_):
    found = {
        "signal": signal.event_type,
        "student_user": user(exam_attempt.student_user),
        "course_key": str(exam_attempt.course_key),
        "usage_key": str(exam_attempt.usage_key),
        "exam_type": exam_attempt.exam_type,
        "requesting_user": user(exam_attempt.requesting_user),
        "event_type": metadata.event_type,
        "id": str(metadata.id),
        "source": metadata.source,
        "time": metadata.time.isoformat(),
        "minorversion": metadata.minorversion,
        "sourcelib": metadata.sourcelib,
    }
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


for name in EVENTS:
    getattr(signals, f"EXAM_ATTEMPT_{name}").connect(receive)
consumer = RedisEventConsumer(TOPIC, "the-lms", "the-lms.1", check_backlog=True)
sys.stdout.write('"listening"\n')
sys.stdout.flush()
consumer.consume_indefinitely()
