"""Counts failed logins for each account and address, in bounded memory.

The pair is what is limited: an account alone would let anybody lock the LMS out, an address alone
would let one misconfigured grader lock out all that share its gateway.
"""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

MAX_FAILURES = 10
WINDOW_S = 60.0
MAX_PAIRS = 10_000
"""Beyond that the pair that failed longest ago is forgotten."""

_Pair = tuple[str, str]


class FailedLogins:
    """Safe to share between threads. Each process counts for itself."""

    def __init__(
        self,
        *,
        max_failures: int = MAX_FAILURES,
        window_s: float = WINDOW_S,
        max_pairs: int = MAX_PAIRS,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_failures = max_failures
        self._window_s = window_s
        self._max_pairs = max_pairs
        self._monotonic_s = monotonic_s
        self._failures: OrderedDict[_Pair, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, name: str, address: str) -> int:
        """Whole seconds until the next try is allowed; 0: now."""
        with self._lock:
            failures = self._failures.get(_pair(name, address))
            if failures is None or len(failures) < self._max_failures:
                return 0
            return max(0, math.ceil(failures[0] + self._window_s - self._monotonic_s()))

    def record(self, name: str, address: str) -> None:
        with self._lock:
            pair = _pair(name, address)
            failures = self._failures.setdefault(pair, deque(maxlen=self._max_failures))
            failures.append(self._monotonic_s())
            self._failures.move_to_end(pair)
            if len(self._failures) > self._max_pairs:
                self._failures.popitem(last=False)

    def forgive(self, name: str, address: str) -> None:
        """After a success: what a person mistyped before no longer counts."""
        with self._lock:
            self._failures.pop(_pair(name, address), None)


def _pair(name: str, address: str) -> _Pair:
    """An IPv6 customer owns a whole /64 and could take a new address for every try."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return name, address
    if parsed.version == 6:
        return name, str(ipaddress.ip_network((parsed, 64), strict=False))
    return name, address
