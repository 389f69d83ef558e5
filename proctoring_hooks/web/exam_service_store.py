"""What the exam service needs of a database beside `store`, and what it needs of the server."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from proctoring_hooks.attempt import Attempt
from proctoring_hooks.clock import Allowance
from proctoring_hooks.exam import Exam, Terms
from proctoring_hooks.lms import Lms
from proctoring_hooks.providers.base import Entry
from proctoring_hooks.store import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamCourse:
    """What holds for a course's exams that are published from now on."""

    provider: str = ""
    """"": none."""
    escalation_email: str = ""
    terms: Terms = field(default_factory=Terms)


def shown(provider: Entry, name: str) -> str | None:
    """A setting of a provider. Of interest here: verbose_name, org_key, tech_support_email,
    tech_support_phone, tech_support_url; npm_module and worker_url, its bundle for exam pages here
    or elsewhere; callback_client_id, with which a REST provider signs in
    (its secret is callback_client_secret); secret_key_id of Software Secure."""
    value = provider.settings.get(name)
    return value if isinstance(value, str) and value else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What an LMS has told of somebody; "" where it did not."""

    username: str = ""
    email: str = field(default="", repr=False)
    full_name: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """One learner's allowance in one exam."""

    id: int
    exam_id: int
    user_id: str
    allowance: Allowance


def awaited_id(name: str) -> str:
    """Stands for a learner of whom staff know a username or e-mail address, and we no id yet."""
    return "@" + hashlib.sha256(name.strip().lower().encode()).hexdigest()[:48]


class Lmses(Protocol):
    def all(self) -> Sequence[Lms]: ...


class ServiceRecords(Protocol):
    def course(self, lms: str, course_id: str, *, lock: bool = False) -> ExamCourse:
        """What is not there is like one without a provider. Locked: against others that publish
        in the same course."""

    def set_course(self, lms: str, course_id: str, course: ExamCourse) -> None: ...

    def exam_of_content(self, lms: str, content_id: str) -> Exam | None:
        """The active one whose clock is ours."""

    def attempts_of_exam(self, exam_id: int, *, limit: int, offset: int) -> Sequence[Attempt]:
        """Oldest first."""

    def count_of_exam(self, exam_id: int) -> int: ...

    def attempts_of_provider(self, provider_attempt_id: str) -> Sequence[Attempt]:
        """Of whatever provider: two may have given the same id."""

    def allowances_of(self, exam_ids: Sequence[int]) -> Sequence[Allowed]:
        """By id."""

    def allowance(self, allowance_id: int) -> Allowed | None: ...

    def settle_allowances(self, lms: str, user_id: str, awaited: Sequence[str]) -> None:
        """What waits under `awaited` ids becomes this learner's, where he has none; the names that
        it waited under are forgotten."""

    def people(self, lms: str, learners: Sequence[str]) -> Mapping[str, Person]:
        """By id, of those that are known."""

    def person_named(self, lms: str, name: str) -> str | None:
        """Id of the learner with this username or e-mail address, if he has been here."""

    def is_course_staff(self, lms: str, course_id: str, user_id: str) -> bool:
        """By a grant of ours."""

    def signing_key(self, purpose: str, make: Callable[[], str]) -> str:
        """The private key (a JWK) for this purpose; made, sealed and kept the first time. The
        transaction must be one that writes."""


class ServiceSession(Session, Protocol):
    @property
    def lmses(self) -> Lmses: ...

    @property
    def service(self) -> ServiceRecords: ...


class ServiceStore(Protocol):
    def read(self) -> AbstractContextManager[ServiceSession]: ...

    def write(self) -> AbstractContextManager[ServiceSession]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What was answered to a request that came with an Idempotency-Key."""

    request_hash: bytes
    status: int | None
    """None: it is being done, or broke off."""
    body: bytes = b""


class IdempotencyKeys(Protocol):
    def begin(self, key_hash: bytes, request_hash: bytes) -> Answered | None:
        """None: it is ours to do."""

    def finish(self, key_hash: bytes, status: int, body: bytes) -> None: ...

    def forget(self, key_hash: bytes) -> None: ...


class Failures(Protocol):
    """Failed sign-ins, counted for each name and address."""

    def wait_s(self, name: str, address: str) -> int: ...

    def record(self, name: str, address: str) -> None: ...

    def forgive(self, name: str, address: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an LMS has answered."""

    status: int
    document: Any = field(repr=False)


class NotTold(Exception):
    """No answer of an LMS that can be used. For its operators and ours, not for learners."""

    def __init__(self, why: str = "", to_do: str = "") -> None:
        super().__init__(why)
        self.why, self.to_do = why, to_do


class AskLms(Protocol):
    """Asks an LMS's edx-proctoring, signed in as ourselves."""

    def __call__(
        self,
        lms: Lms,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        body: Any,
        expected: Collection[int],
    ) -> Told:
        """`path` follows its API's prefix and may have any characters; `body` None: none.

        Whatever is no JSON, or has a status that is not `expected`, is written down for operators.
        Raises: NotTold.
        """


def asks_nobody(*_: object, **__: object) -> Told:
    """`AskLms` without a network."""
    raise NotTold


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamService:
    """What the blueprint works with."""

    store: ServiceStore
    base_url: str
    """Public address of this server without a slash at its end; issuer of the access tokens."""
    token_key: bytes = field(repr=False)
    """Signs what providers sign in with, and the form that ends an attempt."""
    keys: IdempotencyKeys
    failures: Failures
    address: Callable[[], str]
    """Of whoever sends the request that is being served."""
    request_id: Callable[[], str]
    looked: Callable[[str, str], None]
    """(subject, who): record that somebody is shown learners, before he is. The subject is "exam 3"
    for those of one exam."""
    new_id: Callable[[], str]
    """A slug, never given twice."""
    time_s: Callable[[], float]
    """The clock that decides deadlines, in seconds since 1970, without asking a database."""
    monotonic_s: Callable[[], float]
    page_of: Callable[[Exam, Attempt], str | None] = lambda _exam, _attempt: None
    """Where a learner goes to get ready; None: nowhere."""
    worker_url: Callable[[str, str], str | None] = lambda _package, _elsewhere: None
    """Address of the bundle of an npm package ("": none), or the one elsewhere that is given (see
    `worker.for_lms`); None: there is none."""
    ping_interval_s: int = 60
    """Even: pages never ping at an odd one."""
    ask_lms: AskLms = asks_nobody
    unavailable: tuple[type[Exception], ...] = ()
    """Errors that mean: try again in a moment."""


def utc_text(at: datetime) -> str:
    """ISO 8601 with microseconds and Z."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
