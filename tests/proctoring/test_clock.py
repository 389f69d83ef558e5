"""How long a learner may write, and that no clock but ours counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proctoring_hooks.clock import Allowance, AllowanceKind, Exchange, allowed_s, best_offset_s

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
MORE = Allowance(kind=AllowanceKind.ADDITIONAL_MINUTES, value=15)
HALF_AGAIN = Allowance(kind=AllowanceKind.MULTIPLIER, value=1.5)


def test_an_allowance_adds_to_the_limit() -> None:
    assert _allowed(limit_mins=60) == 3600
    assert _allowed(limit_mins=60, allowance=MORE) == 75 * 60
    assert _allowed(limit_mins=60, allowance=HALF_AGAIN) == 90 * 60
    assert (
        _allowed(limit_mins=1, allowance=Allowance(kind=AllowanceKind.MULTIPLIER, value=1.01)) == 61
    )


@pytest.mark.parametrize(
    ("kind", "value", "more_s"),
    [
        (AllowanceKind.MULTIPLIER, 1.1, 360),
        (AllowanceKind.MULTIPLIER, 1.0001, 1),
        (AllowanceKind.ADDITIONAL_MINUTES, 0.1, 6),
        (AllowanceKind.ADDITIONAL_MINUTES, 4.15, 249),
        (AllowanceKind.ADDITIONAL_MINUTES, 16.1, 966),
    ],
)
def test_an_allowance_is_what_was_written_not_what_binary_makes_of_it(
    kind: AllowanceKind, value: float, more_s: int
) -> None:
    assert Allowance(kind=kind, value=value).more_s(60) == more_s


def test_the_due_date_ends_it_to_the_second() -> None:
    assert _allowed(limit_mins=60, allowance=MORE, due_at=NOW + timedelta(seconds=1799)) == 1799
    assert _allowed(limit_mins=60, due_at=NOW + timedelta(days=1)) == 3600
    assert _allowed(limit_mins=60, due_at=NOW - timedelta(seconds=1)) == 0


def test_a_resumed_attempt_has_exactly_what_was_left() -> None:
    assert _allowed(limit_mins=60, allowance=MORE, remaining_s=1799) == 1799


@settings(deadline=None)
@given(
    skew_s=st.floats(-3600, 3600),
    there_s=st.floats(0, 0.2),
    back_s=st.floats(0, 0.2),
    thinking_s=st.floats(0, 1),
)
def test_a_client_learns_the_time_whatever_its_clock_says(
    skew_s: float, there_s: float, back_s: float, thinking_s: float
) -> None:
    exchange = _exchange(skew_s, there_s, back_s, thinking_s)
    error_s = abs(exchange.offset_s - (-skew_s))
    assert error_s <= exchange.delay_s / 2 + 1e-6


def test_the_quickest_exchange_is_believed() -> None:
    slow, quick = _exchange(30, 2.0, 0.0, 0), _exchange(30, 0.01, 0.01, 0)
    assert abs(best_offset_s([slow, quick, slow]) + 30) < 0.001


def _allowed(
    *,
    limit_mins: int,
    allowance: Allowance | None = None,
    remaining_s: int | None = None,
    due_at: datetime | None = None,
) -> int:
    return allowed_s(
        limit_mins=limit_mins,
        allowance=allowance,
        remaining_s=remaining_s,
        now=NOW,
        due_at=due_at,
    )


def _exchange(skew_s: float, there_s: float, back_s: float, thinking_s: float) -> Exchange:
    """As seen by a client whose clock is ahead of ours by `skew_s`."""
    sent = 1_000_000.0
    received = sent + there_s
    answered = received + thinking_s
    return Exchange(t1=sent + skew_s, t2=received, t3=answered, t4=answered + back_s + skew_s)
