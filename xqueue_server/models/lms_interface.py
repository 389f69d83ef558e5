"""What the LMS will take: its callback URLs and its rules for a grade.

The rules are those of the LMS's `xqueue_callback` and of capa's handling of a `score_update`
(facts read off edx-platform: a message that breaks them is applied before any key is checked and
clears the learner's pending state, so it must never be sent).
"""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import dataclass
from typing import Any

import html5lib
from html5lib.constants import DataLossWarning
from lxml import etree

SCORE_UPDATE = "score_update"
GIVE_UP_MESSAGE = (
    '<div class="capa_alert">This submission could not be graded, because the grader did not '
    "finish. Your answer is kept. Please tell the course staff.</div>"
)


def dispatch_of(callback_url: str) -> str:
    """The last path segment, which tells the LMS what the message is for."""
    return callback_url.split("?", 1)[0].rstrip("/").rsplit("/", 1)[-1]


def why_refused(callback_url: str, body: str) -> str | None:
    """Why the LMS would call this body an invalid grader reply; None if it would take it.

    Only a `score_update` has rules; other dispatches get whatever the grader sends.
    """
    if dispatch_of(callback_url) != SCORE_UPDATE:
        return None
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError):
        return "the result is not JSON"
    if not isinstance(reply, dict):
        return "the result is not a JSON object"
    missing = [name for name in ("correct", "score", "msg") if name not in reply]
    if missing:
        return f"the result lacks {', '.join(repr(name) for name in missing)}"
    return _why_bad_score(reply["score"]) or _why_bad_message(reply["msg"])


def _why_bad_score(score: Any) -> str | None:
    if not isinstance(score, int | float):  # a boolean is one, for the LMS too
        return "'score' is not a number"
    try:
        is_points = math.isfinite(score) and score >= 0
    except OverflowError:  # an integer that no float can hold
        is_points = False
    return None if is_points else "'score' is not a finite number of 0 or more"


def _why_bad_message(message: Any) -> str | None:
    """The LMS parses `msg` as XML, and if that fails as an HTML fragment, which it repairs.

    The same two libraries decide here, because no shorter rule agrees with them everywhere.
    """
    if not isinstance(message, str):
        return "'msg' is not a string"
    try:
        etree.fromstring(message)
    except etree.XMLSyntaxError:
        return (
            None if _is_html(message) else "'msg' is neither XML nor HTML that the LMS can repair"
        )
    except ValueError as error:
        return f"'msg' can not be parsed: {error}"
    return None


def _is_html(message: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataLossWarning)
        try:
            return bool(
                html5lib.parseFragment(message, treebuilder="lxml", namespaceHTMLElements=False)
            )
        except (ValueError, RecursionError):
            return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    correct: bool
    score: float


def grade_in(body: str) -> Grade | None:
    """What a result is worth to the LMS; None if it is not a grade (see `why_refused`)."""
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(reply, dict) or _why_bad_score(reply.get("score")):
        return None
    return Grade(correct=bool(reply.get("correct")), score=float(reply["score"]))


def give_up_body() -> str:
    """The message that tells the learner that no grade will come."""
    return json.dumps({"correct": False, "score": 0, "msg": GIVE_UP_MESSAGE})
