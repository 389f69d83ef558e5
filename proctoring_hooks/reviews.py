"""Reviews: what a provider or a person says of an attempt, in the two shapes that providers send.

The shapes are those that edx-proctoring 6.1.4 takes from REST providers and from Software Secure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from proctoring_hooks.transitions import Action, Actor

MOST_COMMENTS = 1000
LONGEST_TEXT = 10_000


_REST = {
    "passed": Action.PASS,
    "violation": Action.FAIL,
    "suspicious": Action.FAIL,
    "not_reviewed": Action.NOT_REVIEWED,
}
_SOFTWARE_SECURE = {
    "Clean": Action.PASS,
    "Rules Violation": Action.PASS,  # the provider judges; edx-proctoring lets it pass, too
    "Suspicious": Action.FAIL,
    "Not Reviewed": Action.NOT_REVIEWED,
}


class BadReview(ValueError):
    """The text says which field is wrong and what it may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    comment: str
    status: str
    start_s: float | None = None
    """Within the recording."""
    stop_s: float | None = None
    severity: float | None = None
    """0 to 1, if the provider says so (see `incidents`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One word on one attempt. `review_id` tells a repetition from a second review."""

    action: Action
    """PASS, FAIL, REQUIRE_SECOND_REVIEW or NOT_REVIEWED."""
    actor: Actor
    reviewed_by: str
    """A named person, or "" where a machine judged. It gets into histories: no address."""
    reviewer_email: str = field(default="", repr=False)
    """By which alone an LMS knows that person; "": not known."""
    review_id: str = ""
    comments: tuple[Comment, ...] = ()
    link: str | None = field(default=None, repr=False)
    """To the provider's recording."""


def digest_of(review: Review) -> bytes:
    """One review is told from another by its id, or, from those who give none, by all it says."""
    if review.review_id:
        told: Any = [review.actor, review.review_id]
    else:
        told = asdict(review)
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).digest()


def read_rest_review(body: Any) -> Review:
    """Of a REST provider: {status, comments: [{comment, status, start?, stop?, severity?}],
    reviewed_by?, payload?: {videoReviewLink?}}.

    Raises:
        BadReview
    """
    given = _mapping(body, "the review")
    action = _REST.get(str(given.get("status")))
    if action is None:
        raise BadReview(f"status must be one of {', '.join(_REST)}")
    return Review(
        action=action,
        actor=Actor.PROVIDER,
        reviewed_by=_text(given.get("reviewed_by"), "reviewed_by"),
        reviewer_email=_text(given.get("reviewed_by"), "reviewed_by"),
        review_id=_text(given.get("id"), "id"),
        comments=_comments(given.get("comments"), "comment", "status", "start", "stop"),
        link=_link(given.get("payload")),
    )


def read_software_secure_review(body: Any) -> tuple[str, str, Review]:
    """Of Software Secure: returns the exam code, the record locator, and the review.

    Raises:
        BadReview
    """
    given = _mapping(body, "the review")
    meta = _mapping(given.get("examMetaData"), "examMetaData")
    action = _SOFTWARE_SECURE.get(str(given.get("reviewStatus")))
    if action is None:
        raise BadReview(f"reviewStatus must be one of {', '.join(_SOFTWARE_SECURE)}")
    names = ("comments", "eventStatus", "eventStart", "eventFinish")
    review = Review(
        action=action,
        actor=Actor.PROVIDER,
        reviewed_by="",
        comments=(
            *_comments(given.get("webCamComments"), *names),
            *_comments(given.get("desktopComments"), *names),
        ),
        link=_link(given),
    )
    code = _text(meta.get("examCode"), "examMetaData.examCode")
    locator = _text(meta.get("ssiRecordLocator"), "examMetaData.ssiRecordLocator")
    return code, locator, review


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadReview(f"{name} must be a JSON object")
    return value


def _text(value: Any, name: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise BadReview(f"{name} must be a string")
    return str(value)[:LONGEST_TEXT]


def _comments(value: Any, text: str, status: str, start: str, stop: str) -> tuple[Comment, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise BadReview("comments must be a list")
    if len(value) > MOST_COMMENTS:
        raise BadReview(f"at most {MOST_COMMENTS} comments")
    found = []
    for each in value:
        given = _mapping(each, "a comment")
        if text not in given or status not in given:
            raise BadReview(f"a comment needs {text} and {status}")
        found.append(
            Comment(
                comment=_text(given[text], text),
                status=_text(given[status], status),
                start_s=_seconds(given.get(start), start),
                stop_s=_seconds(given.get(stop), stop),
                severity=_severity(given.get("severity")),
            )
        )
    return tuple(found)


def _seconds(value: Any, name: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise BadReview(f"{name} must be a number of seconds")
    return float(value)


def _severity(value: Any) -> float | None:
    """A number, or its text, as LTI's assessment control writes it. No provider has to give one:
    what is called so and is something else is left out, and the review counts."""
    try:
        number = None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number is not None and 0 <= number <= 1 else None


def _link(payload: Any) -> str | None:
    """Of a page: another would be a script, or nothing, to who clicks on it. The review counts."""
    if not isinstance(payload, Mapping):
        return None
    link = _text(payload.get("videoReviewLink"), "videoReviewLink")
    return link if link.startswith(("https://", "http://")) else None
