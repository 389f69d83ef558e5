"""The loop of `grader-worker poll`: turn after turn at one queue until told to stop."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Protocol

from grader_worker.backoff import Backoff, Random, jittered_s
from grader_worker.errors import LoginRefused, XQueueError
from grader_worker.event_log import log_crash, log_warning
from grader_worker.sandbox_gate import Sleep
from grader_worker.turn import Grader, TurnEnd

POLL_INTERVAL_S = 1.0
PROMPT_S = 1.0
"""A long poll that comes back empty sooner than this was not held: the server has too many."""
ERROR_CAP_S = 60.0
LOGIN_CAP_S = 300.0
"""A refused password is not corrected within seconds; other servers' logs should stay readable."""


class IdlePace(Protocol):
    """How to wait for work at an empty queue."""

    def long_poll(self) -> bool:
        """Whether the next request may be held by the server."""
        ...

    def pause_s(self) -> float:
        """After a request that was not held."""
        ...


class SteadyPace:
    """Long polls where offered, else asks every `interval_s` or so."""

    def __init__(
        self, *, interval_s: float = POLL_INTERVAL_S, rand: Random = random.random
    ) -> None:
        self._interval_s = interval_s
        self._rand = rand

    def long_poll(self) -> bool:
        return True

    def pause_s(self) -> float:
        return jittered_s(self._interval_s, self._rand)


class Poller:
    """Never lets an error of its server, its account or one submission end it."""

    def __init__(
        self,
        grader: Grader,
        *,
        sleep: Sleep,
        idle: IdlePace | None = None,
        rand: Random = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._grader = grader
        self._sleep = sleep
        self._idle = idle or SteadyPace(rand=rand)
        self._clock = clock
        self._trouble = Backoff(first_s=1.0, cap_s=ERROR_CAP_S, rand=rand)
        self._login_trouble = Backoff(first_s=5.0, cap_s=LOGIN_CAP_S, rand=rand)

    def poll_until_stopped(self) -> None:
        pause_s = 0.0
        while not self._sleep(pause_s):
            pause_s = self._turn_and_pause_s()

    def _turn_and_pause_s(self) -> float:
        """Take a turn; how long to wait before the next."""
        asked_at = self._clock()
        try:
            end = self._grader.take_turn(long_poll=self._idle.long_poll())
        except LoginRefused as error:
            return self._trouble_s("login-refused", error, self._login_trouble)
        except XQueueError as error:
            return self._trouble_s("server-trouble", error, self._trouble)
        except Exception:  # noqa: BLE001 - the outermost loop of its thread
            # The lease lapses, and the server counts the attempt.
            log_crash("turn-crashed", queue=self._grader.queues)
            return self._trouble.next_s()
        self._login_trouble.reset()
        if end is TurnEnd.RELEASED:
            # A sandbox may pass its check and still fail every run.
            return self._trouble.next_s()
        self._trouble.reset()
        was_held = self._clock() - asked_at >= PROMPT_S
        idle = end in (TurnEnd.EMPTY, TurnEnd.NOT_READY)
        return self._idle.pause_s() if idle and not was_held else 0.0

    def _trouble_s(self, event: str, error: XQueueError, backoff: Backoff) -> float:
        pause_s = backoff.next_s()
        log_warning(
            event,
            server=self._grader.client.account.url,
            queue=self._grader.queues,
            error=str(error),
            retry_in_s=round(pause_s, 1),
        )
        return pause_s
