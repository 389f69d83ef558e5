"""The table of answers and the schedule: pure rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.delivery.outbox_data import longest
from xqueue_server.callbacks.redelivery import (
    Decision,
    Sign,
    Verdict,
    decide,
    retry_after_s,
    rule_for,
)
from xqueue_server.storage.attempts import History, Try
from xqueue_server.transport import Outcome

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def history(*statuses: int | None, spacing_s: float = 300, age_s: float | None = None) -> History:
    """Tries that ended with these statuses, the newest last and just now."""
    count = len(statuses)
    started = [NOW - timedelta(seconds=spacing_s * (count - 1 - i)) for i in range(count)]
    tries = [Try(status=s, started_at=at) for s, at in zip(statuses, started, strict=True)]
    age = timedelta(seconds=age_s if age_s is not None else spacing_s * (count - 1))
    return History(now=NOW, retry_from=NOW - age, tries=tries[::-1])


def after(outcome: Outcome, attempt: int, past: History) -> Decision:
    return decide(outcome, attempt, past, longest)


@pytest.mark.parametrize(
    ("status", "verdict", "sign"),
    [
        (200, Verdict.DELIVERED, Sign.ALIVE),
        (204, Verdict.DELIVERED, Sign.ALIVE),
        (301, Verdict.RETRY, Sign.ALIVE),
        (304, Verdict.RETRY, Sign.ALIVE),
        (400, Verdict.REFUSED, Sign.ALIVE),
        (401, Verdict.CREDENTIALS, Sign.ALIVE),
        (403, Verdict.CREDENTIALS, Sign.ALIVE),
        (404, Verdict.REFUSED, Sign.ALIVE),
        (408, Verdict.RETRY, Sign.BUSY),
        (410, Verdict.REFUSED, Sign.ALIVE),
        (422, Verdict.REFUSED, Sign.ALIVE),
        (425, Verdict.RETRY, Sign.BUSY),
        (429, Verdict.RETRY, Sign.BUSY),
        (500, Verdict.RETRY, Sign.DOWN),
        (504, Verdict.RETRY, Sign.DOWN),
        (999, Verdict.RETRY, Sign.DOWN),
        (None, Verdict.RETRY, Sign.DOWN),
    ],
)
def test_each_answer_has_its_verdict(status: int | None, verdict: Verdict, sign: Sign) -> None:
    rule = rule_for(Outcome(status=status))
    assert (rule.verdict, rule.sign) == (verdict, sign)


def test_the_schedule_is_dense_in_the_first_quarter_of_an_hour_and_ends_at_two_hours() -> None:
    delays = [after(Outcome(status=500), n, history(500)).delay_s for n in range(1, 11)]
    assert delays == [2, 10, 30, 120, 300, 900, 3600, 7200, 7200, 7200]


def test_later_delays_have_full_jitter_and_the_first_three_none() -> None:
    def shortest(low: float, _high: float) -> float:
        return low

    delays = [
        decide(Outcome(status=None), n, history(None), shortest).delay_s for n in (1, 2, 3, 4, 9)
    ]
    assert delays == [2, 10, 30, 0, 0]


def test_a_callback_is_given_up_after_three_days() -> None:
    almost = history(500, age_s=72 * 3600 - 1)
    assert after(Outcome(status=500), 40, almost).delay_s is not None
    assert after(Outcome(status=500), 40, history(500, age_s=72 * 3600)) == Decision(why="expired")


@pytest.mark.parametrize("status", [400, 404, 410])
def test_a_refusal_is_believed_after_five_tries_that_lasted_a_quarter_of_an_hour(
    status: int,
) -> None:
    outcome = Outcome(status=status)
    assert after(outcome, 5, history(*[status] * 5)) == Decision(why="refused")
    assert after(outcome, 4, history(*[status] * 4)).delay_s is not None
    quick = history(*[status] * 8, spacing_s=60)
    assert after(outcome, 8, quick).delay_s is not None


def test_the_tries_of_a_refused_callback_last_a_quarter_of_an_hour_at_least() -> None:
    def shortest(low: float, _high: float) -> float:
        return low

    delays = [
        decide(Outcome(status=404), n, history(*[404] * n, spacing_s=0), shortest).delay_s or 0
        for n in range(1, 5)
    ]
    assert sum(delays) >= 15 * 60


def test_failures_of_another_kind_do_not_count_as_refusals() -> None:
    deploying = history(404, 404, 502, 502, 404, spacing_s=600)
    assert after(Outcome(status=404), 5, deploying).delay_s is not None


def test_wrong_credentials_are_retried_slowly() -> None:
    delay_s = after(Outcome(status=401), 1, history(401)).delay_s
    assert delay_s is not None
    assert 600 <= delay_s <= 1200


def test_what_can_never_be_sent_is_dead_at_once() -> None:
    refused = Outcome(status=None, error="not a public address", is_permanent=True)
    assert after(refused, 1, history(None)) == Decision(why="not_sent")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("Fri, 20 Nov 2026 12:02:00 GMT", 120),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0),
        ("99999999999999999999", 3600),
        ("Fri, 20 Nov 2037 11:00:00 GMT", 3600),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("²", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_within_bounds(
    text: str | None, seconds: float | None
) -> None:
    assert retry_after_s(text, NOW) == seconds


def test_retry_after_only_ever_lengthens_the_wait() -> None:
    asked = Outcome(status=503, retry_after="5")
    assert after(asked, 1, history(503)).delay_s == 5.5
    assert after(asked, 7, history(503)).delay_s == 3600
