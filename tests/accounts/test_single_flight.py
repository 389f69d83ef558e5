"""One computation for everybody who asks at the same time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from xqueue_server.single_flight import SingleFlight

MANY = 8


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
        assert self.may_end.wait(5)
        if self._error:
            raise self._error
        return "answer"


def test_those_who_ask_at_once_share_one_computation() -> None:
    flight: SingleFlight[str] = SingleFlight()
    slow = SlowAnswer()
    with ThreadPoolExecutor(MANY) as pool:
        asked = [pool.submit(flight.do, b"key", slow) for _ in range(MANY)]
        assert slow.began.wait(5)
        slow.may_end.set()
        assert {each.result(5) for each in asked} == {"answer"}
    assert 1 <= slow.asked < MANY


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
        assert slow.began.wait(5)
        threading.Timer(0.05, slow.may_end.set).start()
        with pytest.raises(ValueError, match="no"):
            flight.do(b"key", lambda: "never asked")
        with pytest.raises(ValueError, match="no"):
            other.result(5)
    assert flight.do(b"key", lambda: "works again") == "works again"
