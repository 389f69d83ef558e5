"""What is written and logged when a callback's try has ended."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from xqueue_server.callbacks.redelivery import (
    GIVE_UP_AFTER,
    Decision,
    Rule,
    Sign,
    Uniform,
    Verdict,
    decide,
    rule_for,
)
from xqueue_server.errors import StorageUnavailable
from xqueue_server.instant import micros
from xqueue_server.models.callback import DueCallback
from xqueue_server.monitoring import metrics, traceparent
from xqueue_server.storage import Storage, Transaction, attempts, breakers, outbox
from xqueue_server.storage.attempts import Ending
from xqueue_server.storage.breakers import Standing
from xqueue_server.submissions import measuring
from xqueue_server.transport import Outcome

log = logging.getLogger(__name__)

RECORD_TRIES = 30
RECORD_PAUSE_S = 1.0
"""Together less than a claim lasts: after that another deliverer may have the callback."""


Keep = Callable[[Transaction, DueCallback, Mapping[str, object]], None]
"""Stores what an answer told, in the transaction that ends its try."""


def keep_nothing(_tx: Transaction, _due: DueCallback, _learned: Mapping[str, object]) -> None:
    """Where no message is one whose answer tells anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerNews:
    """What a try has changed for its whole origin."""

    is_opened: bool = False
    released: int | None = None
    """Callbacks that waited, if the breaker was closed."""
    buried: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What one transaction has stored, to be logged once it is committed."""

    is_mine: bool
    """Whether the callback was still this sender's to finish."""
    decision: Decision | None
    """None: delivered."""
    breaker: BreakerNews


class Concluder:
    """Stores how tries ended; safe for many threads."""

    def __init__(self, storage: Storage, *, uniform: Uniform, keep: Keep = keep_nothing) -> None:
        self._storage = storage
        self._uniform = uniform
        self._keep = keep
        self._is_hurried = threading.Event()

    def hurry(self) -> None:
        """Do not wait for a database that is away any more: the process is to end."""
        self._is_hurried.set()

    def conclude(self, due: DueCallback, outcome: Outcome, duration_us: int) -> None:
        """Store and log how a try ended, waiting a while for a database that is away.

        Raises:
            StorageUnavailable: the claim will lapse, and the callback will be sent again.
        """
        ending = Ending(
            status=outcome.status,
            error=outcome.error,
            response=outcome.response,
            duration_us=duration_us,
        )
        written = self._write_patiently(due, outcome, ending)
        _log_written(due, rule_for(outcome), ending, written)
        if written.is_mine and written.decision is None:
            measuring.delivered(self._storage, due.id)

    def _write_patiently(self, due: DueCallback, outcome: Outcome, ending: Ending) -> Written:
        for _ in range(RECORD_TRIES):
            try:
                return self._write(due, outcome, ending)
            except StorageUnavailable:
                if self._is_hurried.wait(RECORD_PAUSE_S):
                    break
        return self._write(due, outcome, ending)

    def _write(self, due: DueCallback, outcome: Outcome, ending: Ending) -> Written:
        rule = rule_for(outcome)
        with self._storage.write() as tx:
            attempts.record(tx, due.id, ending)
            decision = None
            if rule.verdict is not Verdict.DELIVERED:
                history = attempts.history_of(tx, due.id)
                decision = decide(outcome, due.attempt, history, self._uniform)
            is_mine = _finish(tx, due, ending, decision)
            if is_mine and outcome.learned:
                self._keep(tx, due, outcome.learned)
            return Written(
                is_mine=is_mine,
                decision=decision,
                breaker=self._tell_breaker(tx, due.origin, rule.sign),
            )

    def _tell_breaker(self, tx: Transaction, origin: str, sign: Sign) -> BreakerNews:
        match sign:
            case Sign.ALIVE:
                return BreakerNews(released=breakers.answered(tx, origin))
            case Sign.BUSY:
                return BreakerNews()
        probe_us = micros(self._uniform(*breakers.PROBE_EVERY_S))
        standing = breakers.failed(tx, origin, first_probe_us=probe_us)
        if standing is not Standing.STILL_OPEN:
            return BreakerNews(is_opened=standing is Standing.OPENED)
        age_us = micros(GIVE_UP_AFTER.total_seconds())
        return BreakerNews(buried=outbox.bury_expired(tx, origin, age_us=age_us))


def _finish(tx: Transaction, due: DueCallback, ending: Ending, decision: Decision | None) -> bool:
    if decision is None:
        return outbox.finish_delivered(tx, due, ending)
    if decision.delay_s is None:
        return outbox.finish_dead(tx, due, ending, why=decision.why)
    return outbox.retry_later(tx, due, ending, delay_us=micros(decision.delay_s))


# -- logging -------------------------------------------------------------------------------------


def _log_written(due: DueCallback, rule: Rule, ending: Ending, written: Written) -> None:
    _log_callback(due, rule, ending, written)
    news = written.breaker
    if news.is_opened:
        _log_origin(logging.ERROR, "breaker_opened", due, "its callbacks wait until it answers")
    if news.released is not None:
        _log_origin(logging.WARNING, "breaker_closed", due, f"{news.released} callbacks released")
    if news.buried:
        _log_origin(logging.ERROR, "callbacks_expired", due, f"{news.buried} callbacks are dead")


def _log_origin(level: int, action: str, due: DueCallback, message: str) -> None:
    log.log(level, "%s: %s", due.origin, message, extra={"action": action, "origin": due.origin})


def _log_callback(due: DueCallback, rule: Rule, ending: Ending, written: Written) -> None:
    event = _event(rule, written)
    outcome = event.action.removeprefix("callback_")
    metrics.CALLBACK_ATTEMPTS.labels(due.origin, outcome).inc()
    log.log(
        event.level,
        event.message,
        extra={
            "action": event.action,
            "callback_id": due.id,
            "submission_id": due.submission_id,
            "attempt_id": due.attempt_id,
            "origin": due.origin,
            "attempt": due.attempt,
            "status": ending.status,
            "error": ending.error,
            "ms": ending.duration_us // 1000,
            "retry_in_s": written.decision and written.decision.delay_s,
            "trace_id": due.traceparent and traceparent.trace_id(due.traceparent),
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvent:
    level: int
    action: str
    message: str


def _event(rule: Rule, written: Written) -> LogEvent:
    if not written.is_mine:
        return LogEvent(
            level=logging.INFO,
            action="callback_overtaken",
            message="cancelled or taken over while it was being sent",
        )
    if written.decision is None:
        return LogEvent(level=logging.INFO, action="callback_delivered", message=rule.why)
    if written.decision.delay_s is None:
        return LogEvent(
            level=logging.ERROR, action="callback_dead", message=f"given up: {rule.why}"
        )
    level = logging.ERROR if rule.verdict is Verdict.CREDENTIALS else logging.WARNING
    return LogEvent(level=level, action="callback_failed", message=rule.why)
