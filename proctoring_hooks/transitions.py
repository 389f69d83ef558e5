"""Every way from one status of an attempt to another: who may do what, and what it leads to.

`RULES` is the only place that says so; the diagram in the documentation is drawn from it, and the
tests walk all statuses x actions x actors over it. What is in no rule is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from proctoring_hooks.statuses import (
    BEFORE_START,
    ENDED,
    IN_PROGRESS,
    JUDGED,
    ONBOARDING_REFUSED,
    OPEN,
    Status,
)


class Action(StrEnum):
    """What can be asked of an attempt."""

    REGISTER = "register"
    CLICK_DOWNLOAD_SOFTWARE = "click_download_software"
    READY = "ready"
    """The provider has checked the learner and his room."""
    START = "start"
    STOP = "stop"
    SUBMIT = "submit"
    TIME_OUT = "time_out"
    """The clock has run out."""
    ERROR = "error"
    DECLINE = "decline"
    TERMINATE = "terminate"
    """The exam is ended for the learner; what comes of it a person decides."""
    PASS = "pass"  # noqa: S105 - a review's verdict
    FAIL = "fail"
    REQUIRE_SECOND_REVIEW = "require_second_review"
    NOT_REVIEWED = "not_reviewed"
    """The provider can not judge: its recording is missing or broken."""
    RESET = "reset"
    RESUME = "resume"
    ONBOARDING_MISSING = "onboarding_missing"
    """This and the following: the provider does not take the attempt before its own onboarding."""
    ONBOARDING_PENDING = "onboarding_pending"
    ONBOARDING_FAILED = "onboarding_failed"
    ONBOARDING_EXPIRED = "onboarding_expired"


class Actor(StrEnum):
    LEARNER = "learner"
    """The person whose attempt it is; also his browser."""
    LMS = "lms"
    """The LMS's server, where it keeps the attempt itself and tells us of it."""
    PROVIDER = "provider"
    PROCTOR = "proctor"
    """A named person who may judge attempts of this course."""
    STAFF = "staff"
    SYSTEM = "system"
    """This server: the clock, an incident policy, or the setting `auto-pass`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class By:
    """Who asks, and what for."""

    actor: Actor
    who: str
    """For the history: "account jane", "lms edx", "learner". Never a learner's name."""
    request_id: str = ""
    reason: str | None = None


class Effect(StrEnum):
    CHANGE = "change"
    SAME = "same"
    """It is so already, or comes too late to matter: a success that changes nothing."""
    KEEP = "keep"
    """A review of an exam that is still written: kept, and applied when it is submitted."""
    NOTE = "note"
    """Recorded beside a person's decision, which it does not undo."""
    REMOVE = "remove"
    REPLACE = "replace"
    """Marked, so that the learner's next attempt goes on with the time that was left."""


class Condition(StrEnum):
    """What else must be true of the attempt."""

    TIMED = "timed"
    """Nobody proctors it."""
    PRACTICE = "practice"
    """A practice or onboarding exam."""
    WAS_SUBMITTED = "was submitted"
    NEVER_SUBMITTED = "never submitted"
    BY_A_PERSON = "judged by a person"
    BY_NO_PERSON = "not judged by a person"


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """The facts of an attempt that conditions ask for."""

    is_proctored: bool
    is_practice: bool
    was_submitted: bool
    is_judged_by_a_person: bool = False

    def allow(self, condition: Condition | None) -> bool:
        match condition:
            case Condition.TIMED:
                return not self.is_proctored
            case Condition.PRACTICE:
                return self.is_practice
            case Condition.WAS_SUBMITTED:
                return self.was_submitted
            case Condition.NEVER_SUBMITTED:
                return not self.was_submitted
            case Condition.BY_A_PERSON:
                return self.is_judged_by_a_person
            case Condition.BY_NO_PERSON:
                return not self.is_judged_by_a_person
            case None:
                return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    before: frozenset[Status | None]
    """None: there is no attempt yet."""
    action: Action
    actors: frozenset[Actor]
    effect: Effect
    after: Status | None = None
    """Of a change."""
    condition: Condition | None = None


_S, _A, _W, _E, _C = Status, Action, Actor, Effect, Condition

_WAITING = frozenset({_S.CREATED, _S.DOWNLOAD_SOFTWARE_CLICKED})
_LEARNER = frozenset({_W.LEARNER})
_LMS = frozenset({_W.LMS})
_TAKER = frozenset({_W.LEARNER, _W.LMS})
_PROVIDER = frozenset({_W.PROVIDER})
_PROCTOR = frozenset({_W.PROCTOR})
_MACHINE = frozenset({_W.PROVIDER, _W.SYSTEM})
_REVIEWER = _PROVIDER | _PROCTOR | {_W.SYSTEM}
_ENDER = frozenset({_W.PROVIDER, _W.PROCTOR, _W.STAFF, _W.SYSTEM})


def _to(
    after: Status,
    action: Action,
    before: Iterable[Status | None],
    actors: frozenset[Actor],
    condition: Condition | None = None,
) -> Rule:
    return Rule(
        before=frozenset(before),
        action=action,
        actors=actors,
        effect=_E.CHANGE,
        after=after,
        condition=condition,
    )


def _but(
    effect: Effect,
    action: Action,
    before: Iterable[Status | None],
    actors: frozenset[Actor],
    condition: Condition | None = None,
) -> Rule:
    return Rule(
        before=frozenset(before), action=action, actors=actors, effect=effect, condition=condition
    )


RULES: tuple[Rule, ...] = (
    # -- beginning
    _to(_S.CREATED, _A.REGISTER, [None], _TAKER),
    _to(_S.DECLINED, _A.DECLINE, [None, *BEFORE_START], _LEARNER),
    _but(_E.SAME, _A.DECLINE, [_S.DECLINED], _LEARNER),
    _to(_S.DOWNLOAD_SOFTWARE_CLICKED, _A.CLICK_DOWNLOAD_SOFTWARE, [_S.CREATED], _LEARNER),
    _but(
        _E.SAME,
        _A.CLICK_DOWNLOAD_SOFTWARE,
        [_S.DOWNLOAD_SOFTWARE_CLICKED, _S.READY_TO_START],
        _LEARNER,
    ),
    _to(_S.READY_TO_START, _A.READY, _WAITING, _PROVIDER | _PROCTOR),
    _but(_E.SAME, _A.READY, frozenset(_S) - _WAITING, _PROVIDER | _PROCTOR),
    # -- writing the exam
    _to(_S.STARTED, _A.START, [_S.READY_TO_START], _TAKER),
    _to(_S.STARTED, _A.START, _WAITING, _LEARNER, _C.TIMED),
    _to(_S.STARTED, _A.START, _WAITING, _LMS),  # whoever owns the clock need not ask us
    _to(_S.STARTED, _A.START, [_S.READY_TO_SUBMIT], _TAKER),
    _but(_E.SAME, _A.START, [_S.STARTED], _TAKER),
    _to(_S.READY_TO_SUBMIT, _A.STOP, [_S.STARTED], _TAKER),
    _but(_E.SAME, _A.STOP, [_S.READY_TO_SUBMIT], _TAKER),
    # -- ending it
    _to(_S.SUBMITTED, _A.SUBMIT, IN_PROGRESS, _TAKER),
    _to(_S.SUBMITTED, _A.SUBMIT, BEFORE_START | {_S.ERROR}, _LMS),
    _but(_E.SAME, _A.SUBMIT, [_S.SUBMITTED, _S.TIMED_OUT], _TAKER),
    # Entering the software again while the exam runs submits it, as edx-proctoring does.
    _to(_S.SUBMITTED, _A.CLICK_DOWNLOAD_SOFTWARE, IN_PROGRESS, _LEARNER),
    _to(_S.SUBMITTED, _A.TIME_OUT, IN_PROGRESS, frozenset({_W.SYSTEM})),
    _but(_E.SAME, _A.TIME_OUT, ENDED, frozenset({_W.SYSTEM})),
    _to(_S.ERROR, _A.ERROR, BEFORE_START | {_S.STARTED}, _TAKER | _PROVIDER),
    # Software that closes while the learner ends is no failure; an LMS has decided already.
    _to(_S.ERROR, _A.ERROR, [_S.READY_TO_SUBMIT], _LMS),
    _but(_E.SAME, _A.ERROR, [_S.ERROR], _TAKER | _PROVIDER),
    _to(_S.SECOND_REVIEW_REQUIRED, _A.TERMINATE, OPEN | {_S.SUBMITTED, _S.TIMED_OUT}, _ENDER),
    _but(_E.SAME, _A.TERMINATE, [_S.SECOND_REVIEW_REQUIRED], _ENDER),
    # -- judging it
    _to(_S.ERROR, _A.PASS, BEFORE_START, _REVIEWER),
    _to(_S.REJECTED, _A.FAIL, BEFORE_START, _PROCTOR),
    _to(_S.SECOND_REVIEW_REQUIRED, _A.FAIL, BEFORE_START, _MACHINE),
    _to(_S.ERROR, _A.NOT_REVIEWED, BEFORE_START, _PROVIDER),
    _but(_E.KEEP, _A.PASS, IN_PROGRESS, _REVIEWER),
    _but(_E.KEEP, _A.FAIL, IN_PROGRESS, _REVIEWER),
    _but(_E.KEEP, _A.REQUIRE_SECOND_REVIEW, IN_PROGRESS, _REVIEWER),
    _but(_E.KEEP, _A.NOT_REVIEWED, IN_PROGRESS, _PROVIDER),
    _to(_S.VERIFIED, _A.PASS, [_S.SUBMITTED, _S.TIMED_OUT], _REVIEWER),
    _to(_S.REJECTED, _A.FAIL, [_S.SUBMITTED, _S.TIMED_OUT], _PROCTOR),
    _to(_S.REJECTED, _A.FAIL, [_S.SUBMITTED, _S.TIMED_OUT], _MACHINE, _C.PRACTICE),
    _to(_S.SECOND_REVIEW_REQUIRED, _A.FAIL, [_S.SUBMITTED, _S.TIMED_OUT], _MACHINE),
    _to(_S.ERROR, _A.NOT_REVIEWED, [_S.SUBMITTED, _S.TIMED_OUT], _PROVIDER),
    _to(_S.VERIFIED, _A.PASS, [_S.SECOND_REVIEW_REQUIRED], _PROCTOR),
    _to(_S.REJECTED, _A.FAIL, [_S.SECOND_REVIEW_REQUIRED], _PROCTOR),
    _but(_E.NOTE, _A.PASS, [_S.SECOND_REVIEW_REQUIRED], _MACHINE),
    _but(_E.NOTE, _A.FAIL, [_S.SECOND_REVIEW_REQUIRED], _MACHINE),
    _but(_E.NOTE, _A.NOT_REVIEWED, {_S.SECOND_REVIEW_REQUIRED} | JUDGED, _PROVIDER),
    _to(
        _S.SECOND_REVIEW_REQUIRED,
        _A.REQUIRE_SECOND_REVIEW,
        [_S.SUBMITTED, _S.TIMED_OUT, _S.ERROR],
        _REVIEWER,
    ),
    _but(_E.SAME, _A.REQUIRE_SECOND_REVIEW, [_S.SECOND_REVIEW_REQUIRED], _REVIEWER),
    # A later review: a person's counts, a machine's never undoes a person's.
    _to(_S.VERIFIED, _A.PASS, [_S.REJECTED], _PROCTOR),
    _to(_S.REJECTED, _A.FAIL, [_S.VERIFIED], _PROCTOR),
    _to(_S.SECOND_REVIEW_REQUIRED, _A.REQUIRE_SECOND_REVIEW, JUDGED, _PROCTOR),
    _to(
        _S.SECOND_REVIEW_REQUIRED,
        _A.REQUIRE_SECOND_REVIEW,
        JUDGED,
        _MACHINE,
        _C.BY_NO_PERSON,
    ),
    _to(_S.SECOND_REVIEW_REQUIRED, _A.FAIL, [_S.VERIFIED], _MACHINE, _C.BY_NO_PERSON),
    _to(_S.VERIFIED, _A.PASS, [_S.REJECTED], _MACHINE, _C.BY_NO_PERSON),
    _but(_E.SAME, _A.PASS, [_S.VERIFIED], _REVIEWER),
    _but(_E.SAME, _A.FAIL, [_S.REJECTED], _REVIEWER),
    _but(_E.NOTE, _A.FAIL, [_S.VERIFIED], _MACHINE, _C.BY_A_PERSON),
    _but(_E.NOTE, _A.PASS, [_S.REJECTED], _MACHINE, _C.BY_A_PERSON),
    _but(_E.NOTE, _A.REQUIRE_SECOND_REVIEW, JUDGED, _MACHINE, _C.BY_A_PERSON),
    # After a technical failure: only what was handed in can be verified.
    _to(_S.VERIFIED, _A.PASS, [_S.ERROR], _REVIEWER, _C.WAS_SUBMITTED),
    _but(_E.NOTE, _A.PASS, [_S.ERROR], _REVIEWER, _C.NEVER_SUBMITTED),
    _to(_S.REJECTED, _A.FAIL, [_S.ERROR], _PROCTOR),
    _to(_S.SECOND_REVIEW_REQUIRED, _A.FAIL, [_S.ERROR], _MACHINE),
    _but(_E.SAME, _A.NOT_REVIEWED, [_S.ERROR], _PROVIDER),
    # -- beginning anew
    _but(_E.REPLACE, _A.RESUME, [_S.ERROR], frozenset({_W.STAFF, _W.PROCTOR})),
    _to(
        _S.ONBOARDING_RESET,
        _A.RESET,
        [_S.SUBMITTED, _S.TIMED_OUT, _S.SECOND_REVIEW_REQUIRED, _S.REJECTED, _S.ERROR],
        _LEARNER,
        _C.PRACTICE,
    ),
    _but(_E.REMOVE, _A.RESET, frozenset(_S) - {_S.ELIGIBLE}, frozenset({_W.STAFF, _W.LMS})),
    _but(_E.REMOVE, _A.RESET, ONBOARDING_REFUSED, _LEARNER),
    # Registered with us as a provider, and never mentioned again.
    _but(_E.REMOVE, _A.RESET, BEFORE_START, frozenset({_W.SYSTEM})),
    # What a provider answers when an attempt is registered with it.
    *(
        _to(status, _A(status.value), BEFORE_START, _PROVIDER)
        for status in sorted(ONBOARDING_REFUSED)
    ),
)


def _by_case() -> dict[tuple[Action, Status | None], list[Rule]]:
    found: dict[tuple[Action, Status | None], list[Rule]] = {}
    for rule in RULES:
        for status in rule.before:
            found.setdefault((rule.action, status), []).append(rule)
    return found


_BY_CASE = _by_case()


class Refused(Exception):
    """The action is not allowed now, or not to this actor. For the caller: HTTP 409 or 403."""

    def __init__(self, status: Status | None, action: Action, actor: Actor) -> None:
        standing = f"an attempt that is {status}" if status else "an attempt that does not exist"
        super().__init__(f"{action} by {actor} is not possible for {standing}")
        self.status, self.action, self.actor = status, action, actor

    @property
    def is_for_nobody(self) -> bool:
        """Nobody may do this now; otherwise somebody else may."""
        return (self.action, self.status) not in _BY_CASE


def decide(
    status: Status | None, action: Action, actor: Actor, circumstances: Circumstances
) -> Rule:
    """The first rule that allows it.

    Raises:
        Refused: none does.
    """
    for rule in _BY_CASE.get((action, status), ()):
        if actor in rule.actors and circumstances.allow(rule.condition):
            return rule
    raise Refused(status, action, actor)
