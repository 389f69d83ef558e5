"""What the stand-in LMS remembers, and its rules for accepting a grader's message.

The rules are those of the LMS's capa problem, quirks included: the first valid reply consumes the
key, later ones are ignored, and an invalid message is applied before any key is looked at.
"""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import html5lib
from lxml import etree

INVALID_REPLY = "Invalid grader reply. Please contact the course staff."


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemInput:
    """One learner's answer field: a problem may have several, which share its callback URL."""

    user_id: str
    usage_id: str
    input_id: str
    course_id: str = "course-v1:Demo+XQ101+2026"


class InputStatus(StrEnum):
    UNANSWERED = "unanswered"
    PENDING = "pending"
    CORRECT = "correct"
    INCORRECT = "incorrect"
    INVALID = "invalid"
    """An invalid grader reply cleared the pending state; the learner was told so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputState:
    status: InputStatus = InputStatus.UNANSWERED
    score: float | None = None
    msg: str = ""
    lms_key: str | None = None
    """The key waited for; None once it is consumed."""


class Reception(StrEnum):
    """What became of one callback."""

    ACCEPTED = "accepted"
    IGNORED = "ignored"
    """A valid message for a key that nobody waits for (any more)."""
    INVALID = "invalid"
    NOT_FOUND = "not_found"
    FAILED = "failed"
    """The LMS itself broke on it (HTTP 500)."""
    TURNED_AWAY = "turned_away"
    """An outage that the test asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraderMessage:
    correct: bool
    score: float
    msg: str


class GradeBook:
    """States of all inputs. Thread-safe; `wait_until` wakes at every change."""

    def __init__(self) -> None:
        self._states: dict[ProblemInput, InputState] = {}
        self._changed = threading.Condition()

    def expect(self, where: ProblemInput, lms_key: str) -> None:
        """The learner submitted: only a reply with `lms_key` counts from now on."""
        self._set(where, InputState(status=InputStatus.PENDING, lms_key=lms_key))

    def withdraw(self, where: ProblemInput) -> None:
        """The queue did not take the submission."""
        self._set(where, InputState())

    def state(self, where: ProblemInput) -> InputState:
        with self._changed:
            return self._states.get(where, InputState())

    def states(self) -> dict[ProblemInput, InputState]:
        with self._changed:
            return dict(self._states)

    def receive(self, user_id: str, usage_id: str, lms_key: Any, body: str) -> Reception:
        """Apply a reply to every input of the problem, as capa does."""
        message = parse_grader_message(body)
        with self._changed:
            inputs = [w for w in self._states if (w.user_id, w.usage_id) == (user_id, usage_id)]
            if message is None:
                self._clear(inputs)
                return Reception.INVALID
            waiting = [w for w in inputs if self._states[w].lms_key == lms_key]
            for where in waiting:
                self._record(where, message)
            return Reception.ACCEPTED if waiting else Reception.IGNORED

    def wait_until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(condition, timeout_s)

    def notify(self) -> None:
        """Wake waiters whose condition looks at something besides the states."""
        with self._changed:
            self._changed.notify_all()

    def _set(self, where: ProblemInput, state: InputState) -> None:
        with self._changed:
            self._states[where] = state
            self._changed.notify_all()

    def _clear(self, inputs: list[ProblemInput]) -> None:
        for where in inputs:
            self._states[where] = InputState(status=InputStatus.INVALID, msg=INVALID_REPLY)
        self._changed.notify_all()

    def _record(self, where: ProblemInput, message: GraderMessage) -> None:
        status = InputStatus.CORRECT if message.correct else InputStatus.INCORRECT
        self._states[where] = replace(
            self._states[where],
            status=status,
            score=max(message.score, 0),
            msg=message.msg.replace("&nbsp;", "&#160;"),
            lms_key=None,
        )
        self._changed.notify_all()


def parse_grader_message(body: str) -> GraderMessage | None:
    """The message if the LMS would take it, else None.

    Raises:
        Exception: the LMS has no answer to it either (say, `msg` is a number) and fails with 500.
    """
    try:
        fields = json.loads(body)
    except ValueError:
        return None
    if not isinstance(fields, dict) or not {"correct", "score", "msg"} <= fields.keys():
        return None
    if not _is_displayable(fields["msg"]):
        return None
    return GraderMessage(correct=bool(fields["correct"]), score=fields["score"], msg=fields["msg"])


def _is_displayable(msg: str) -> bool:
    """XML, or else whatever html5lib can make at least one node of."""
    try:
        etree.fromstring(msg)
    except etree.XMLSyntaxError:
        return _is_html_fragment(msg)
    return True


def _is_html_fragment(msg: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # html5lib warns of names that XML can not hold
            nodes = html5lib.parseFragment(msg, treebuilder="lxml", namespaceHTMLElements=False)
    except ValueError:
        return False
    return bool(nodes)
