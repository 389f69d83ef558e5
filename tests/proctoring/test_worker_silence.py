"""What it means that a worker is not heard of."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from proctoring_hooks.incidents import PRESETS, NewIncident, Source, read_policy
from proctoring_hooks.worker.liveness import (
    SilenceRule,
    Watched,
    is_worth_noting,
    report_silences,
    silence,
)

NINE = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
RULE = SilenceRule(ping_interval_s=60, misses=3, severity=0.4)
HEARD = Watched(attempt_id=7, started_since=NINE, heard_at=NINE + timedelta(seconds=90))


def found(
    watched: Watched = HEARD,
    rule: SilenceRule = RULE,
    *,
    after_s: float,
    listening_since: datetime = NINE - timedelta(days=1),
) -> NewIncident | None:
    now = NINE + timedelta(seconds=after_s)
    return silence(watched, rule, now=now, listening_since=listening_since)


def test_a_series_of_missed_pings_is_an_incident_by_its_rule() -> None:
    assert found(after_s=90 + 179) is None
    incident = found(after_s=90 + 180)
    assert incident is not None
    assert (incident.attempt_id, incident.source, incident.severity) == (7, Source.WORKER, 0.4)
    assert incident.happened_at == HEARD.heard_at


def test_one_silence_is_one_incident_and_the_next_another() -> None:
    first, still = found(after_s=300), found(after_s=3000)
    later = found(replace(HEARD, heard_at=NINE + timedelta(seconds=1000)), after_s=3000)
    assert first is not None
    assert still is not None
    assert later is not None
    assert first.incident_id == still.incident_id != later.incident_id


def test_silence_while_nobody_listened_is_ours() -> None:
    restarted = NINE + timedelta(seconds=1000)
    assert found(after_s=1179, listening_since=restarted) is None
    incident = found(after_s=1180, listening_since=restarted)
    assert incident is not None
    # Started twice meanwhile, it is the same silence still.
    assert incident == found(after_s=1180)


def test_a_page_is_not_expected_to_ping_while_its_learner_looks_back() -> None:
    back = replace(HEARD, started_since=NINE + timedelta(seconds=1000))
    assert found(back, after_s=1179) is None
    assert found(back, after_s=1180) is not None


def test_a_worker_that_said_that_it_ends_is_not_missed() -> None:
    assert found(replace(HEARD, has_ended=True), after_s=9999) is None


def test_pages_that_never_had_a_worker_are_not_missed_unless_all_must_have_one() -> None:
    never = replace(HEARD, heard_at=None)
    assert found(never, after_s=9999) is None
    assert found(never, replace(RULE, expects_pings=True), after_s=179) is None
    assert found(never, replace(RULE, expects_pings=True), after_s=180) is not None


def test_the_rule_can_be_that_there_is_none() -> None:
    assert found(rule=replace(RULE, misses=0), after_s=9999) is None


def test_a_sweep_reports_each_attempt_that_is_silent() -> None:
    class FakeSilences:
        def __init__(self) -> None:
            self.reported: list[int] = []

        def watched(self) -> list[Watched]:
            fresh = replace(HEARD, attempt_id=8, heard_at=NINE + timedelta(seconds=290))
            return [HEARD, fresh, replace(HEARD, attempt_id=9)]

        def report(self, incident: NewIncident) -> None:
            self.reported.append(incident.attempt_id)

    silences = FakeSilences()
    now = NINE + timedelta(seconds=300)
    assert report_silences(silences, RULE, now=now, listening_since=NINE) == 2
    assert silences.reported == [7, 9]


@pytest.mark.parametrize(("last_s", "expected"), [(None, True), (4.9, False), (5, True)])
def test_a_flood_of_pings_costs_no_writing(last_s: float | None, expected: bool) -> None:
    last = None if last_s is None else NINE - timedelta(seconds=last_s)
    assert is_worth_noting(last, NINE) is expected


@pytest.mark.parametrize("policy", [name for name, each in PRESETS.items() if each.strikes])
def test_a_lost_network_is_no_strike_unless_a_policy_of_its_own_says_so(policy: str) -> None:
    assert not PRESETS[policy].is_strike(SilenceRule().severity)
    assert read_policy('{"counts_from": 0.4}').is_strike(SilenceRule().severity)
