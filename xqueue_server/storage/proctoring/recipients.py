"""Who is told of exams: providers and subscribers, as an operator has entered them, their secrets
sealed; and the names of learners, for those who are told them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, bindparam, delete, select

from proctoring_hooks.attempt import Learner
from proctoring_hooks.learner_names import LearnerNames
from proctoring_hooks.providers.base import Entry
from proctoring_hooks.store import NotFound, SecretSubscriber
from xqueue_server.errors import Conflict
from xqueue_server.settings import origin_of
from xqueue_server.storage.engine import NOW, Transaction
from xqueue_server.storage.proctoring.exams import read_terms
from xqueue_server.storage.proctoring.sealing import Sealer
from xqueue_server.storage.proctoring_schema import (
    exam_courses,
    exam_learners,
    exams,
    proctoring_providers,
    webhook_subscribers,
)
from xqueue_server.storage.upsert import Upsert

_P = proctoring_providers.c
_PROVIDER = select(_P.name, _P.plugin, _P.settings, _P.secrets).where(_P.name == bindparam("of"))
_SETTINGS = select(_P.settings).where(_P.name == bindparam("of"))
_GIVEN_PROVIDER: dict[str, Any] = {
    name: bindparam(name) for name in ("plugin", "settings", "secrets")
}
_PUT_PROVIDER = Upsert(
    proctoring_providers,
    {"name": bindparam("of"), "created_at": NOW, **_GIVEN_PROVIDER},
    conflict=["name"],
    change=_GIVEN_PROVIDER,
)
_W = webhook_subscribers.c
_SUBSCRIBER = select(_W.name, _W.url, _W.secret, _W.sends_user_id).where(_W.name == bindparam("of"))
_GIVEN_SUBSCRIBER: dict[str, Any] = {
    name: bindparam(name) for name in ("lms", "course_id", "url", "secret", "sends_user_id")
}
_PUT_SUBSCRIBER = Upsert(
    webhook_subscribers,
    {"name": bindparam("of"), "created_at": NOW, **_GIVEN_SUBSCRIBER},
    conflict=["name"],
    change=_GIVEN_SUBSCRIBER,
)
_PROVIDERS = select(_P.name, _P.plugin, _P.settings, _P.secrets).order_by(_P.name)
_DROP_PROVIDER = delete(proctoring_providers).where(_P.name == bindparam("of"))
_CHOSEN = (
    select(exam_courses.c.course_id)
    .where(exam_courses.c.provider == bindparam("of"))
    .order_by(exam_courses.c.course_id)
    .limit(1)
)
_TERMS = select(exams.c.id, exams.c.terms).where(exams.c.is_active).order_by(exams.c.id)
_TERMS_OF = select(exams.c.terms).where(exams.c.is_active, exams.c.lms == bindparam("of_lms"))
_PROVIDERS_OF = select(exam_courses.c.provider).where(exam_courses.c.lms == bindparam("of_lms"))
_SUBSCRIBED = select(_W.name, _W.lms, _W.course_id, _W.url, _W.sends_user_id).order_by(_W.name)
_DROP_SUBSCRIBER = delete(webhook_subscribers).where(_W.name == bindparam("of"))
_N = exam_learners.c
_NAMES = (
    select(_N.full_name, _N.email, _N.username)
    .where(
        _N.lms == bindparam("of_lms"), _N.learner.in_([bindparam("user"), bindparam("obscured")])
    )
    .order_by(_N.told_at.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """A subscriber as people see it: the rest of an address may be a secret."""

    name: str
    lms: str
    course_id: str
    """"": all courses."""
    origin: str
    sends_user_id: bool


class Recipients:
    def __init__(self, tx: Transaction, sealer: Sealer) -> None:
        self._tx = tx
        self._sealer = sealer

    # -- providers -------------------------------------------------------------------------------

    def provider(self, name: str) -> Entry:
        """Raises: NotFound; SettingsError (see `sealing`)."""
        row = self._tx.one(_PROVIDER, of=name)
        if row is None:
            raise NotFound(f"No proctoring provider {name}")
        return self._entry(row)

    def provider_url(self, name: str) -> str:
        """Where it is; of one that is nowhere, something that stands for it. Raises: NotFound."""
        row = self._tx.one(_SETTINGS, of=name)
        if row is None:
            raise NotFound(f"No proctoring provider {name}")
        return str(json.loads(row.settings).get("base_url") or f"provider:{name}")

    def providers(self) -> Sequence[Entry]:
        """By name. Raises: SettingsError (see `sealing`)."""
        return [self._entry(row) for row in self._tx.all(_PROVIDERS)]

    def _entry(self, row: Row[Any]) -> Entry:
        return Entry(
            name=row.name,
            plugin=row.plugin,
            settings=json.loads(row.settings),
            secrets=self._sealer.open(bytes(row.secrets)),
        )

    def providers_in_use(self, lms: str) -> frozenset[str]:
        """Names, of an LMS's active exams and of its courses."""
        of_exams = [read_terms(row.terms).provider for row in self._tx.all(_TERMS_OF, of_lms=lms)]
        of_courses = [row.provider for row in self._tx.all(_PROVIDERS_OF, of_lms=lms)]
        return frozenset({*of_exams, *of_courses} - {""})

    def drop_provider(self, name: str) -> bool:
        """False: there was none. Raises: Conflict: an active exam or a course has it."""
        for row in self._tx.all(_TERMS):
            if read_terms(row.terms).provider == name:
                raise Conflict(f"Exam {row.id} has the provider {name}; give it another first")
        if chosen := self._tx.one(_CHOSEN, of=name):
            raise Conflict(
                f"Course {chosen.course_id} has the provider {name}; give it another first"
            )
        return bool(self._tx.run(_DROP_PROVIDER, of=name))

    def put_provider(self, entry: Entry) -> None:
        self._tx.run(
            _PUT_PROVIDER.on(self._tx),
            of=entry.name,
            plugin=entry.plugin,
            settings=json.dumps(dict(entry.settings)),
            secrets=self._sealer.seal(entry.secrets),
            now=self._tx.now,
        )

    # -- subscribers -----------------------------------------------------------------------------

    def subscriber(self, name: str) -> SecretSubscriber:
        """Raises: NotFound; SettingsError (see `sealing`)."""
        row = self._tx.one(_SUBSCRIBER, of=name)
        if row is None:
            raise NotFound(f"No subscriber {name}")
        secret = self._sealer.open(bytes(row.secret))["secret"]
        return SecretSubscriber(
            name=row.name, url=row.url, secret=secret, sends_user_id=row.sends_user_id
        )

    def put_subscriber(self, subscriber: SecretSubscriber, *, lms: str, course_id: str) -> None:
        """`course_id` "": of all courses of the LMS."""
        self._tx.run(
            _PUT_SUBSCRIBER.on(self._tx),
            of=subscriber.name,
            lms=lms,
            course_id=course_id,
            url=subscriber.url,
            secret=self._sealer.seal({"secret": subscriber.secret}),
            sends_user_id=subscriber.sends_user_id,
            now=self._tx.now,
        )

    def subscribers(self) -> Sequence[Subscribed]:
        """By name."""
        return [
            Subscribed(
                name=row.name,
                lms=row.lms,
                course_id=row.course_id,
                origin=origin_of(row.url) or "",
                sends_user_id=row.sends_user_id,
            )
            for row in self._tx.all(_SUBSCRIBED)
        ]

    def drop_subscriber(self, name: str) -> bool:
        """False: there was none."""
        return bool(self._tx.run(_DROP_SUBSCRIBER, of=name))

    # -- learners --------------------------------------------------------------------------------

    def names(self, lms: str, learner: Learner) -> LearnerNames | None:
        # neither id is ever empty in that table, so that one which is unknown finds nothing
        row = self._tx.one(_NAMES, of_lms=lms, user=learner.user_id, obscured=learner.obscured_id)
        return LearnerNames(**row._mapping) if row else None
