"""`POST …/time`: what the time is by the clock that decides deadlines, in the manner of NTP.

No sign-in: it tells nobody anything but the time. It asks no database, keeps nothing, reads a few
bytes; beyond so many a second in each process it answers 429.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flask import Response

from proctoring_hooks.web.exam_service_errors import Problem, answer, bad_request, content

MAX_BODY = 256
MOST_A_SECOND = 500
FARTHEST_S = 1e11
"""Clocks of clients may be wrong by centuries; what is no instant at all is refused."""


class Rate:
    """So many in each second of a process."""

    def __init__(self, most: int, monotonic_s: Callable[[], float]) -> None:
        self._most = most
        self._monotonic_s = monotonic_s
        self._second = -1
        self._count = 0
        self._lock = threading.Lock()

    def take(self) -> bool:
        with self._lock:
            second = math.floor(self._monotonic_s())
            if second != self._second:
                self._second, self._count = second, 0
            self._count += 1
            return self._count <= self._most


def tell_time(time_s: Callable[[], float], rate: Rate) -> Response:
    """{t1} -> {t1, t2, t3}, in seconds since 1970: the client's word, our receipt, our answer."""
    t2 = time_s()
    if not rate.take():
        raise Problem(
            HTTPStatus.TOO_MANY_REQUESTS, "Too many ask at once.", headers={"Retry-After": "1"}
        )
    t1 = _instant(content(MAX_BODY))
    return answer({"t1": t1, "t2": t2, "t3": time_s()})


def _instant(body: bytes) -> float:
    """Of whatever type the body says it is: a page's beacon may not choose."""
    try:
        given: Any = json.loads(body)
    except (ValueError, RecursionError):
        given = None
    t1 = given.get("t1") if isinstance(given, dict) else None
    if isinstance(t1, bool) or not isinstance(t1, int | float) or not abs(t1) < FARTHEST_S:
        raise bad_request('The body must be {"t1": seconds since 1970, by your clock}.')
    return t1
