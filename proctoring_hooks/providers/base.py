"""What a provider plug-in is: it makes a request from an exam and an attempt as they are when the
request is sent, and reads the answer. It sends nothing itself, so it may neither wait nor fail
half-way; the server's outbox sends, tries again, and stores what the answer told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import Exam
from proctoring_hooks.learner_names import LearnerNames
from proctoring_hooks.statuses import Status


class Occasion(StrEnum):
    """What a provider is told of."""

    EXAM = "exam"
    """It is new, or was changed. The only one without an attempt."""
    EXAM_IF_NEW = "exam_if_new"
    """An attempt needs the provider's id of the exam; nothing to do where there is one."""
    REGISTER = "register"
    START = "start"
    SUBMIT = "submit"
    ERROR = "error"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A provider as an operator has entered it."""

    name: str
    plugin: str
    """Name of an entry point in the group `xqueue.proctoring_providers`."""
    settings: Mapping[str, Any]
    """`base_url` among them, where the provider is somewhere: nothing is sent anywhere else."""
    secrets: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a plug-in knows when it makes a request."""

    exam: Exam
    attempt: Attempt | None
    """None: it is about the exam. Still there when it is about its removal."""
    names: LearnerNames | None = field(repr=False)
    """None: nobody told us, or they were erased."""
    callback_url: str
    """Base of the addresses at which we take `…/ready` and `…/reviewed`, without a slash at its
    end."""
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Of an OAuth2 client: the sender gets a token with them and keeps it."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    url: str
    """At the origin of the entry's `base_url`."""
    body: bytes | None = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    credentials: Credentials | None = None
    """None: `headers` have all that the provider wants to see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A complete one, of whatever status below 500."""

    status: int
    text: str = field(repr=False)
    """Its beginning, 64 KB at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What an answer told, to be stored."""

    exam_id: str = ""
    """By which the provider knows the exam."""
    attempt_id: str = ""
    onboarding: Status | None = None
    """One of `statuses.ONBOARDING_REFUSED`: the attempt was not taken."""
    is_ready: bool = False
    """The learner may start."""
    review: Mapping[str, Any] | None = None
    """As `reviews.read_rest_review` takes it."""


class NotYet(Exception):
    """It waits for something that is on its way; asked again later. The text says for what."""


class NotTaken(Exception):
    """The provider refuses it for good, or it can not be told: kept as a dead letter."""


class WrongAnswer(Exception):
    """Not an answer by which anything can be known: asked again later. The text says why not."""


class BadSettings(ValueError):
    """The text names the setting that is wrong, and what it must be."""


class Provider(Protocol):
    def tell(self, occasion: Occasion, about: About) -> Request | Learned:
        """What to send; or, where nothing is to be sent, what follows.

        Raises: NotYet, NotTaken.
        """

    def read(self, occasion: Occasion, about: About, answer: Answer) -> Learned | None:
        """None: it means what its status usually means.

        Raises: NotTaken, WrongAnswer.
        """


class Plugin(Protocol):
    """What an entry point names."""

    def __call__(self, entry: Entry) -> Provider:
        """Raises: BadSettings."""


def text_setting(entry: Entry, name: str, *, default: str | None = None) -> str:
    """Raises: BadSettings."""
    value = entry.settings.get(name, default)
    if value is None:
        raise BadSettings(
            f"provider {entry.name}: the setting {name} is missing; "
            f"give it with --setting {name}=VALUE"
        )
    if not isinstance(value, str) or not value:
        raise BadSettings(f"provider {entry.name}: the setting {name} must be a text, not empty")
    return value


def url_setting(entry: Entry, name: str) -> str:
    """Without a slash at its end. Raises: BadSettings."""
    value = text_setting(entry, name)
    if not value.startswith(("https://", "http://")):
        raise BadSettings(
            f"provider {entry.name}: {name} must be like https://provider.example.org"
        )
    return value.rstrip("/")


def secret(entry: Entry, name: str) -> str:
    """Raises: BadSettings."""
    value = entry.secrets.get(name)
    if not value:
        raise BadSettings(
            f"provider {entry.name}: the secret {name} is missing; "
            f"give it with --secret-file {name}=FILE"
        )
    return value
