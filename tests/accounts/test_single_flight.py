"""One computation for everybody who asks at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Self

import pytest

from xqueue_server.accounts.single_flight import SingleFlight

MANY = 8
TIMEOUT_S = 60


class Key(bytes):
    """Tells when it is looked up. That is done under the lock that the end of a computation takes,
    too, so whoever has begun to look one up before the end shares the answer."""

    when_looked_up: Callable[[], object]

    def __new__(cls, value: bytes, when_looked_up: Callable[[], object]) -> Self:
        key = super().__new__(cls, value)
        key.when_looked_up = when_looked_up
        return key

    def __hash__(self) -> int:
        self.when_looked_up()
        return super().__hash__()


class SlowAnswer:
    """Answers only when told to, and counts how often it was asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked = 0
        self.began = threading.Event()
        self.may_end = threading.Event()
        self._error = error

    def __call__(self) -> str:
        self.asked += 1
        self.began.set()
        assert self.may_end.wait(TIMEOUT_S)
        if self._error:
            raise self._error
        return "answer"


def test_those_who_ask_at_once_share_one_computation() -> None:
    flight: SingleFlight[str] = SingleFlight()
    slow = SlowAnswer()
    asking: set[int] = set()

    def ask(number: int) -> None:
        asking.add(number)
        if len(asking) == MANY:
            slow.may_end.set()

    with ThreadPoolExecutor(MANY) as pool:
        keys = [Key(b"key", partial(ask, number)) for number in range(MANY)]
        asked = [pool.submit(flight.do, key, slow) for key in keys]
        assert {each.result(TIMEOUT_S) for each in asked} == {"answer"}
    assert slow.asked == 1


def test_different_questions_are_computed_each() -> None:
    flight: SingleFlight[int] = SingleFlight()
    assert (flight.do(b"a", lambda: 1), flight.do(b"b", lambda: 2)) == (1, 2)


def test_an_answer_is_not_remembered() -> None:
    flight: SingleFlight[int] = SingleFlight()
    answers = iter([1, 2])
    assert [flight.do(b"a", lambda: next(answers)) for _ in range(2)] == [1, 2]


def test_an_error_reaches_everybody_and_is_not_remembered() -> None:
    flight: SingleFlight[str] = SingleFlight()
    slow = SlowAnswer(ValueError("no"))
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(flight.do, b"key", slow)
        assert slow.began.wait(TIMEOUT_S)
        with pytest.raises(ValueError, match="no"):
            flight.do(Key(b"key", slow.may_end.set), lambda: "never asked")
        with pytest.raises(ValueError, match="no"):
            other.result(TIMEOUT_S)
    assert flight.do(b"key", lambda: "works again") == "works again"
