"""Events of exam attempts on Open edX's event bus: entries of a Redis stream, as
edx-event-bus-redis writes them. What is in one is `proctoring_hooks.events`."""

from __future__ import annotations

import json
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError
from redis.retry import Retry

from proctoring_hooks.events.exam_attempt import TOPIC, NotTellable, fields_of
from proctoring_hooks.store import NotFound, Store
from xqueue_server.models.callback import DueCallback
from xqueue_server.transport import Meaning, Outcome

LONGEST_STREAM = 10_000
"""About so many entries are kept, as the event bus's own producer has it."""
CONNECT_S = 3.05
ANSWER_S = 10.0


class EventBusTransport:
    def __init__(self, store: Store, *, url: str, topic_prefix: str = "") -> None:
        """`url` "": there is no bus."""
        self._store = store
        self._topic = f"{topic_prefix}-{TOPIC}" if topic_prefix else TOPIC
        self._redis = _client(url) if url else None

    def send(self, due: DueCallback) -> Outcome:
        if self._redis is None:
            error = "XQUEUE_EVENT_BUS_REDIS_URL is not set"
            return Outcome(status=None, error=error, is_permanent=True)
        try:
            fields: Any = self._fields(due)
        except (NotFound, NotTellable) as error:
            return Outcome(status=None, error=str(error), is_permanent=True)
        try:
            entry: Any = self._redis.xadd(
                self._topic, fields, maxlen=LONGEST_STREAM, approximate=True
            )
        except (redis.AuthenticationError, NoPermissionError) as error:
            return Outcome(status=None, error=_described(error), meaning=Meaning.CREDENTIALS)
        except redis.RedisError as error:
            return Outcome(status=None, error=_described(error))
        return Outcome(status=None, response=entry.decode(), meaning=Meaning.DONE)

    def _fields(self, due: DueCallback) -> dict[bytes, bytes]:
        assert due.attempt_id is not None, "an event is about an attempt"
        given = json.loads(due.body)
        with self._store.read() as session:
            attempt = session.attempts.even_removed(due.attempt_id)
            exam = session.exams.get(attempt.exam_id)
            names = session.names(attempt.lms, attempt.learner)
        return fields_of(
            kind=due.addressing.purpose,
            message_id=due.id,
            written_at=due.created_at,
            attempt=attempt,
            content_id=exam.content_id,
            names=names,
            requested_by=given["requested_by"],
        )

    def close(self) -> None:
        if self._redis is not None:
            self._redis.close()


def _client(url: str) -> redis.Redis:
    """That tries once: when to try again is the outbox's to say."""
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_S,
        socket_timeout=ANSWER_S,
        retry=Retry(NoBackoff(), 0),
    )


def _described(error: redis.RedisError) -> str:
    """Its own text may name the host with the user's name."""
    return f"Redis: {type(error).__name__}"
