"""Whether and when a callback is sent again: the table of answers, and the schedule.

Pure rules. A grade matters for days and a learner watches for a minute, so most tries fall into
the first quarter of an hour (an LMS deploy), and the last ones after three days.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum

from xqueue_server.storage.attempts import History
from xqueue_server.transport import Meaning, Outcome

Uniform = Callable[[float, float], float]
"""`random.uniform`, or a test's stand-in."""

EXACT_DELAYS_S = (2, 10, 30)
"""After the first tries: too small to need jitter."""
JITTERED_DELAYS_S = (120, 300, 900, 3600)
LAST_DELAY_S = 7200
GIVE_UP_AFTER = timedelta(hours=72)

REFUSED_DELAYS_S = (10, 60, 300, 900)
REFUSED_TRIES = 5
REFUSED_FOR = timedelta(minutes=15)
"""An LMS that is being deployed answers 404 too: refusals must last before they are believed."""

CREDENTIALS_DELAY_S = (600, 1200)
LONGEST_RETRY_AFTER_S = 3600


class Verdict(StrEnum):
    """What an answer means for the callback."""

    DELIVERED = "delivered"
    RETRY = "retry"
    REFUSED = "refused"
    """Tried a few more times, then dead."""
    CREDENTIALS = "credentials"
    """Ours are wrong; only an operator can help, so it is tried slowly."""
    HOPELESS = "hopeless"
    """Dead at once."""


class Sign(StrEnum):
    """What an answer says about its origin."""

    ALIVE = "alive"
    DOWN = "down"
    BUSY = "busy"
    """Neither: it answers, and asks for less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What one kind of answer means. `why` is for people."""

    verdict: Verdict
    sign: Sign
    why: str


_V, _S = Verdict, Sign
_BUSY = Rule(verdict=_V.RETRY, sign=_S.BUSY, why="the LMS asks to come back later")
_CREDENTIALS = Rule(
    verdict=_V.CREDENTIALS, sign=_S.ALIVE, why="the LMS wants other credentials than ours"
)
BY_STATUS = {401: _CREDENTIALS, 403: _CREDENTIALS, 408: _BUSY, 425: _BUSY, 429: _BUSY}
BY_CLASS = {
    2: Rule(verdict=_V.DELIVERED, sign=_S.ALIVE, why="delivered"),
    3: Rule(
        verdict=_V.RETRY,
        sign=_S.ALIVE,
        why="redirects are not followed: the LMS's callback_url must be its final address",
    ),
    4: Rule(verdict=_V.REFUSED, sign=_S.ALIVE, why="the LMS refuses this callback"),
    5: Rule(verdict=_V.RETRY, sign=_S.DOWN, why="the LMS is failing"),
}
NO_ANSWER = Rule(verdict=_V.RETRY, sign=_S.DOWN, why="the LMS does not answer")
NOT_SENT = Rule(verdict=_V.HOPELESS, sign=_S.BUSY, why="not sent")
STRANGE = Rule(verdict=_V.RETRY, sign=_S.DOWN, why="not an HTTP status")
BY_MEANING = {
    Meaning.DONE: BY_CLASS[2],
    Meaning.FINAL: Rule(verdict=_V.HOPELESS, sign=_S.ALIVE, why="refused for good"),
    Meaning.CREDENTIALS: _CREDENTIALS,
    Meaning.NOT_YET: Rule(verdict=_V.RETRY, sign=_S.BUSY, why="waits for what is on its way"),
    Meaning.WRONG: Rule(verdict=_V.RETRY, sign=_S.BUSY, why="the answer makes no sense"),
}


def rule_for(outcome: Outcome) -> Rule:
    """The table above, applied."""
    if outcome.is_permanent:
        return NOT_SENT
    if outcome.meaning is not None:
        return BY_MEANING[outcome.meaning]
    if outcome.status is None:
        return NO_ANSWER
    return BY_STATUS.get(outcome.status) or BY_CLASS.get(outcome.status // 100, STRANGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What happens next to a callback that was not delivered."""

    why: str
    delay_s: float | None = None
    """Until the next try; None: dead."""


def decide(outcome: Outcome, attempt: int, history: History, uniform: Uniform) -> Decision:
    """What follows from a try that failed; `attempt` is its number, from 1."""
    rule = rule_for(outcome)
    if rule.verdict is Verdict.HOPELESS:
        return Decision(why="not_sent" if outcome.is_permanent else Verdict.REFUSED)
    if history.now - history.retry_from >= GIVE_UP_AFTER:
        return Decision(why="expired")
    if rule.verdict is Verdict.CREDENTIALS:
        return Decision(why=rule.verdict, delay_s=uniform(*CREDENTIALS_DELAY_S))
    if rule.verdict is Verdict.REFUSED:
        return _after_refusal(history, uniform)
    return Decision(why=rule.verdict, delay_s=_delay_s(outcome, attempt, history, uniform))


def _after_refusal(history: History, uniform: Uniform) -> Decision:
    refusals = _refusals_in_a_row(history)
    lasted = history.now - refusals[-1] if refusals else timedelta(0)
    if len(refusals) >= REFUSED_TRIES and lasted >= REFUSED_FOR:
        return Decision(why=Verdict.REFUSED)
    place = min(max(len(refusals), 1), len(REFUSED_DELAYS_S)) - 1
    longest = REFUSED_DELAYS_S[place]
    return Decision(why=Verdict.REFUSED, delay_s=uniform(longest * 0.75, longest))


def _refusals_in_a_row(history: History) -> list[datetime]:
    """When the latest tries were refused, newest first, back to one that ended otherwise."""
    found = []
    for each in history.tries:
        if rule_for(Outcome(status=each.status)).verdict is not Verdict.REFUSED:
            break
        found.append(each.started_at)
    return found


def _delay_s(outcome: Outcome, attempt: int, history: History, uniform: Uniform) -> float:
    scheduled_s = _scheduled_s(attempt, uniform)
    asked_s = retry_after_s(outcome.retry_after, history.now)
    if asked_s is None:
        return scheduled_s
    # a little more than asked, so that not everyone who was asked the same comes at once
    return max(scheduled_s, uniform(asked_s, asked_s * 1.1))


def _scheduled_s(attempt: int, uniform: Uniform) -> float:
    """Full jitter, apart from the first few."""
    place = attempt - 1
    if place < len(EXACT_DELAYS_S):
        return EXACT_DELAYS_S[place]
    place -= len(EXACT_DELAYS_S)
    longest = JITTERED_DELAYS_S[place] if place < len(JITTERED_DELAYS_S) else LAST_DELAY_S
    return uniform(0, longest)


def retry_after_s(text: str | None, now: datetime) -> float | None:
    """Seconds from a Retry-After header (a number or an HTTP date), within bounds; None: no use."""
    if not text:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        seconds = float(text.strip()[:9])
    else:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        if moment.tzinfo is None:
            return None
        seconds = (moment - now).total_seconds()
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S)
