"""Which submissions are meant: one set of filters for the commands, the API and the admin pages.

Written as a flat mapping of texts (`{"queue": "cs101", "state": "held,queued"}`): query parameters,
options, and what is kept as the words of a regrade. `Scope` (see `scope`) says what of it somebody
may see; the two are never one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import Enum
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from xqueue_server.errors import InvalidRequest
from xqueue_server.models.callback import CallbackState
from xqueue_server.models.callback_url import read_callback_url
from xqueue_server.models.regrade import RegradeState
from xqueue_server.models.submission import HoldReason, SubmissionState

MOST_CHARS = 300
"""Of one text; more than any name or id that is stored."""
MOST_ADDRESS_CHARS = 4000
MOST_VALUES = 1000
"""Of one filter, e.g. of ids."""
HIGHEST_ID = 2**63 - 1


class Mark(Enum):
    FORGEABLE = "forgeable"
    """The learner's own code can have written the grade."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """All filters must hold; None: whatever. An empty set selects nothing."""

    queues: frozenset[str] | None = None
    states: frozenset[SubmissionState] | None = None
    courses: frozenset[str] | None = None
    problem: str | None = None
    """The usage id, as it stands in the callback URL."""
    learner: str | None = None
    """The user as he stands in the callback URL: an LMS user id, or an anonymous one."""
    since: datetime | None = None
    """Arrived then or later."""
    until: datetime | None = None
    """Arrived before."""
    held_reason: HoldReason | None = None
    callback: CallbackState | None = None
    """It has a callback in this state."""
    account: str | None = None
    """That submitted it."""
    ids: frozenset[int] | None = None
    batch: int | None = None
    """It is, or was, regraded in this batch."""
    regrade: RegradeState | None = None
    """It has a regrade (of this batch, if one is given) in this state."""
    mark: Mark | None = None

    @property
    def is_everything(self) -> bool:
        return all(getattr(self, f.name) is None for f in fields(self))

    @property
    def words(self) -> str:
        """For people, and for the record of what was asked for."""
        found = to_fields(self)
        return " ".join(f"{name}={value}" for name, value in found.items()) or "everything"


# -- from texts ----------------------------------------------------------------------------------

Value = TypeVar("Value")
EnumValue = TypeVar("EnumValue", bound=Enum)


def parse(given: Mapping[str, str]) -> Selection:
    """Read a selection. Empty texts count as not given; spaces around them do not count.

    Raises: InvalidRequest, naming the field and what can be written there.
    """
    unknown = sorted(set(given) - set(_READERS))
    if unknown:
        known = ", ".join(_READERS)
        raise InvalidRequest(f"{_shown(unknown[0])} is not a filter; there are: {known}")
    wanted = {name: text.strip() for name, text in given.items() if text.strip()}
    selection = Selection(**{_READERS[n].attribute: _READERS[n].read(n, wanted[n]) for n in wanted})
    if selection.since and selection.until and selection.since >= selection.until:
        raise InvalidRequest("until: must be later than since")
    return selection


def _text(name: str, text: str) -> str:
    if len(text) > MOST_CHARS or not text.isprintable():
        raise InvalidRequest(f"{name}: must have at most {MOST_CHARS} printable characters")
    return text


def _texts(name: str, text: str) -> frozenset[str]:
    return frozenset(_text(name, each) for each in _several(name, text))


def _several(name: str, text: str) -> list[str]:
    found = [each.strip() for each in text.split(",") if each.strip()]
    if not found or len(found) > MOST_VALUES:
        raise InvalidRequest(f"{name}: must name 1 to {MOST_VALUES}, separated by commas")
    return found


def _one_of(kind: type[EnumValue]) -> Callable[[str, str], EnumValue]:
    def read(name: str, text: str) -> EnumValue:
        try:
            return kind(text)
        except ValueError:
            known = ", ".join(str(value.value) for value in kind)
            raise InvalidRequest(f"{name}: {_shown(text)} is not one of {known}") from None

    return read


def _states(name: str, text: str) -> frozenset[SubmissionState]:
    return frozenset(_one_of(SubmissionState)(name, each) for each in _several(name, text))


def _id(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:19]) <= HIGHEST_ID):
        raise InvalidRequest(f"{name}: {_shown(text)} is not an id")
    if len(text) > 19:
        raise InvalidRequest(f"{name}: {_shown(text)} is not an id")
    return int(text)


def _ids(name: str, text: str) -> frozenset[int]:
    return frozenset(_id(name, each) for each in _several(name, text))


def _moment(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(
            f"{name}: {_shown(text)} is not like 2026-11-20T18:00 or 2026-11-20 (UTC)"
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if not 1970 <= moment.year < 9999:
        raise InvalidRequest(f"{name}: {_shown(text)} is not a moment of this time")
    return moment.astimezone(UTC)


def _shown(text: str) -> str:
    return ascii(text) if len(text) <= 80 else f"{text[:80]!a}…"


# -- problems ------------------------------------------------------------------------------------

_USAGE = re.compile(r"block-v1:[^/?#&\s]+|i4x://[^/?#&\s]+/[^/?#&\s]+/[^/?#&\s]+/[^/?#&\s]+")
_KIND = re.compile(r"\+type@(?P<new>[^+@]+)\+block@|^i4x://[^/]+/[^/]+/(?P<old>[^/]+)/")
_CONTAINERS = {
    "course": "a course",
    "chapter": "a section",
    "sequential": "a subsection",
    "vertical": "a unit",
}
_HOW = (
    "paste the problem's usage id (block-v1:…+type@problem+block@…), its address "
    "(…/jump_to/… or …/xblock/…) or a callback URL"
)


def read_problem(text: str, *, name: str = "problem") -> str:
    """The usage id in what somebody pasted: itself, an address of the LMS, or a callback URL.

    Raises: InvalidRequest, if there is none, or it is one of a unit or of what holds units.
    """
    if "://" not in text:
        _text(name, text)
    elif len(text) > MOST_ADDRESS_CHARS or not text.isprintable():
        raise InvalidRequest(f"{name}: {_shown(text)} is not an address")
    place = read_callback_url(text)
    found = [place.problem] if place.problem else _USAGE.findall(_decoded(name, text))
    if not found:
        raise InvalidRequest(f"{name}: {_shown(text)} names no problem; {_HOW}")
    kind = _KIND.search(found[-1])
    container = _CONTAINERS.get((kind["new"] or kind["old"]) if kind else "")
    if container:
        raise InvalidRequest(
            f"{name}: {_shown(text)} is {container}, which may hold several problems; {_HOW}"
        )
    return str(found[-1])


def _decoded(name: str, text: str) -> str:
    """Without the query, in which an address may say where to go next."""
    if text.startswith("i4x://") or "://" not in text:
        return unquote(text)
    try:
        return unquote(urlsplit(text).path)
    except ValueError:
        raise InvalidRequest(f"{name}: {_shown(text)} is not an address") from None


def _problem(name: str, text: str) -> str:
    return read_problem(text, name=name)


# -- to texts ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Reader:
    attribute: str
    read: Callable[[str, str], Any]


_READERS = {
    "queue": _Reader("queues", _texts),
    "state": _Reader("states", _states),
    "course": _Reader("courses", _texts),
    "problem": _Reader("problem", _problem),
    "learner": _Reader("learner", _text),
    "since": _Reader("since", _moment),
    "until": _Reader("until", _moment),
    "held_reason": _Reader("held_reason", _one_of(HoldReason)),
    "callback": _Reader("callback", _one_of(CallbackState)),
    "account": _Reader("account", _text),
    "id": _Reader("ids", _ids),
    "batch": _Reader("batch", _id),
    "regrade": _Reader("regrade", _one_of(RegradeState)),
    "mark": _Reader("mark", _one_of(Mark)),
}
FIELDS = tuple(_READERS)
"""The names that `parse` knows, in the order in which `to_fields` writes them."""


def to_fields(selection: Selection) -> dict[str, str]:
    """What `parse` reads back as the same selection; the same for equal ones."""
    found = {name: getattr(selection, reader.attribute) for name, reader in _READERS.items()}
    return {name: _written(value) for name, value in found.items() if value is not None}


def _written(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, Collection) and not isinstance(value, str):
        return ",".join(_written(each) for each in sorted(value))
    return str(value)
