"""What an LMS's callback URL tells: the course, the learner and the problem of a submission.

Open edX builds `{origin}[/prefix]/courses/{course}/xqueue/{user id}/{usage id}/{dispatch}`. Nothing
else that reaches the queue says whose submission it is: `student_info` is anonymous.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

MOST_COURSE_CHARS = 255
MOST_LEARNER_CHARS = 64
MOST_PROBLEM_CHARS = 255
ERASED = "erased"

# An old course id has slashes (Org/Course/Run), an old usage id too (i4x://Org/Course/problem/x).
_PATH = re.compile(
    r"(?:/.*)?/courses/(?P<course>[^/]+(?:/[^/]+/[^/]+)?)"
    r"/xqueue/(?P<learner>[^/]+)/(?P<problem>.+)/[^/]+/?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a submission comes from; each "" if the URL is not one of an LMS."""

    course: str = ""
    learner: str = ""
    """The LMS's id of the user: a number, but any text is kept."""
    problem: str = ""
    """The usage id of the block."""


NOWHERE = Place()


def read_callback_url(url: str) -> Place:
    """The three ids, percent-decoded. All or none: half a place would mix up learners."""
    try:
        found = _PATH.fullmatch(urlsplit(url).path)
        if found is None:
            return NOWHERE
        ids = found.groupdict()
        place = Place(**{name: unquote(text, errors="strict") for name, text in ids.items()})
    except ValueError:  # brackets that are no address, bytes that are no UTF-8
        return NOWHERE
    return place if _is_usable(place) else NOWHERE


def without_learner(url: str) -> str:
    """The URL of an LMS with a word in place of the learner's id; any other without its path."""
    parts = urlsplit(url)
    found = _PATH.fullmatch(parts.path)
    if found is None:
        return parts._replace(path="/", query="", fragment="").geturl()
    path = f"{parts.path[: found.start('learner')]}{ERASED}{parts.path[found.end('learner') :]}"
    return parts._replace(path=path, query="", fragment="").geturl()


def _is_usable(place: Place) -> bool:
    return (
        f"{place.course}{place.learner}{place.problem}".isprintable()
        and len(place.course) <= MOST_COURSE_CHARS
        and len(place.learner) <= MOST_LEARNER_CHARS
        and len(place.problem) <= MOST_PROBLEM_CHARS
    )
