"""One transaction of proctoring, and how it is opened."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property

from sqlalchemy import BigInteger, bindparam, cast, func, insert, select
from sqlalchemy.sql.expression import literal

from proctoring_hooks.attempt import Learner
from proctoring_hooks.history import Change, Row, learner_digest, row_of
from proctoring_hooks.learner_names import LearnerNames
from proctoring_hooks.lms import Lms
from proctoring_hooks.message import Message
from proctoring_hooks.providers.base import Entry
from proctoring_hooks.store import News, SecretSubscriber, Subscriber
from xqueue_server.instant import to_datetime
from xqueue_server.keys import digest
from xqueue_server.models.callback import Addressing, CallbackKind, NewCallback
from xqueue_server.secret_key import key_for
from xqueue_server.settings import origin_of
from xqueue_server.storage import callbacks
from xqueue_server.storage.engine import NOW, Storage, Transaction
from xqueue_server.storage.proctoring.attempts import Attempts
from xqueue_server.storage.proctoring.exams import Exams
from xqueue_server.storage.proctoring.grades import Grades
from xqueue_server.storage.proctoring.learners import Learners
from xqueue_server.storage.proctoring.lmses import Lmses
from xqueue_server.storage.proctoring.marks import Marks
from xqueue_server.storage.proctoring.recipients import Recipients
from xqueue_server.storage.proctoring.records import Records
from xqueue_server.storage.proctoring.sealing import Sealer
from xqueue_server.storage.proctoring.service import ServiceRecords
from xqueue_server.storage.proctoring_schema import (
    exam_news,
    used_tokens,
    webhook_subscribers,
)
from xqueue_server.storage.schema import IS_PENDING
from xqueue_server.storage.schema import callbacks as outbox
from xqueue_server.storage.upsert import Upsert

_W = webhook_subscribers.c
_SUBSCRIBERS = (
    select(_W.name, _W.url, _W.sends_user_id)
    .where(_W.lms == bindparam("of_lms"), _W.course_id.in_(["", bindparam("course")]))
    .order_by(_W.name)
)
_AWAITED = select(outbox.c.id).where(outbox.c.order_key == bindparam("key"), IS_PENDING).limit(1)
_AWAITED_BEFORE = _AWAITED.where(outbox.c.id < bindparam("before"))
_NEWS = insert(exam_news).values(at=NOW)
_NEWS_POSTGRES = _NEWS.values(
    writer=cast(cast(func.pg_current_xact_id(), exam_news.c.lms.type), BigInteger)
)
_NEWS_SQLITE = _NEWS.values(writer=literal(0))
_USE_TOKEN = Upsert(
    used_tokens,
    {"digest": bindparam("of"), "until": bindparam("until")},
    conflict=["digest"],
    change=None,
    returning=[used_tokens.c.digest],
)


class ProctoringSession:
    """`proctoring_hooks.store.Session`."""

    def __init__(self, tx: Transaction, *, sealer: Sealer, history_key: bytes) -> None:
        self.tx = tx
        self._history_key = history_key
        self.lmses = Lmses(tx, sealer)
        self.exams = Exams(tx)
        self.attempts = Attempts(tx)
        self.records = Records(tx, sealer)
        self.learners = Learners(tx)
        self.recipients = Recipients(tx, sealer)
        self.grades = Grades(tx)
        self.marks = Marks(tx)
        self.service = ServiceRecords(tx, sealer)

    @cached_property
    def now(self) -> datetime:
        return to_datetime(int(self.tx.scalar(select(NOW), now=self.tx.now)))

    def lms(self, name: str) -> Lms:
        return self.lmses.get(name)

    def lms_by_client_id(self, client_id: str) -> Lms | None:
        return self.lmses.by_client_id(client_id)

    def use_token(self, digest: bytes, *, until: datetime) -> bool:
        return self.tx.one(_USE_TOKEN.on(self.tx), of=digest, until=until) is not None

    def provider_url(self, name: str) -> str:
        return self.recipients.provider_url(name)

    def provider(self, name: str) -> Entry:
        return self.recipients.provider(name)

    def providers(self) -> Sequence[Entry]:
        return self.recipients.providers()

    def subscriber(self, name: str) -> SecretSubscriber:
        return self.recipients.subscriber(name)

    def names(self, lms: str, learner: Learner) -> LearnerNames | None:
        return self.recipients.names(lms, learner)

    def subscribers(self, lms: str, course_id: str) -> Sequence[Subscriber]:
        rows = self.tx.all(_SUBSCRIBERS, of_lms=lms, course=course_id)
        return [Subscriber(**row._mapping) for row in rows]

    def chained(self, head: bytes, change: Change, reason: str | None) -> Row:
        return row_of(self._history_key, head, change, reason)

    def learner_digest(self, lms: str, learner: Learner) -> str:
        return learner_digest(self._history_key, lms, learner.user_id, learner.obscured_id)

    def send(self, message: Message) -> int:
        return callbacks.insert(
            self.tx,
            NewCallback(
                submission_id=None,
                attempt_id=message.attempt_id,
                result_id=None,
                kind=CallbackKind(message.channel.value),
                url=message.url,
                origin=origin_of(message.url) or message.url,
                order_key=digest("message", message.order_key),
                header=Addressing(
                    recipient=message.recipient, purpose=message.purpose, method=message.method
                ).written(),
                body="" if message.body is None else json.dumps(message.body),
            ),
        )

    def is_awaited(self, order_key: str, *, before: int | None = None) -> bool:
        key = digest("message", order_key)
        if before is None:
            return self.tx.one(_AWAITED, key=key) is not None
        return self.tx.one(_AWAITED_BEFORE, key=key, before=before) is not None

    def tell(self, news: News) -> None:
        self.tx.run(
            _NEWS_POSTGRES if self.tx.is_postgres else _NEWS_SQLITE,
            lms=news.lms,
            course_id=news.course_id,
            attempt_id=news.attempt_id,
            kind=news.kind,
            now=self.tx.now,
        )


class ProctoringStore:
    """`proctoring_hooks.store.Store` over the server's storage."""

    def __init__(self, storage: Storage, secret_key: bytes) -> None:
        self.storage = storage
        self._sealer = Sealer(secret_key)
        self.history_key = key_for("attempt history", secret_key)

    @contextmanager
    def read(self) -> Iterator[ProctoringSession]:
        with self.storage.read() as tx:
            yield self.of(tx)

    @contextmanager
    def write(self) -> Iterator[ProctoringSession]:
        with self.storage.write() as tx:
            yield self.of(tx)

    def of(self, tx: Transaction) -> ProctoringSession:
        """Within a transaction that the server has begun for something of its own."""
        return ProctoringSession(
            tx,
            sealer=self._sealer,
            history_key=self.history_key,
        )
