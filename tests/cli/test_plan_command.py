"""`xqueue-server plan`: workers by hour. The command's clock is the database's own, so deadlines
lie far ahead here and windows begin at them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.stored import a_queue
from xqueue_server.storage import Storage

DEADLINE = "2126-01-08T18:00Z"
PLAN = ("plan", "--queue", "q", "--deadline", DEADLINE, "--learners", "6000")


@pytest.fixture(autouse=True)
def _queue(storage: Storage) -> None:
    a_queue(storage)


def test_a_week_for_six_thousand_learners(run_json: Callable[..., Any]) -> None:
    found = run_json(*PLAN, "--service-s", "30")
    steps = found["steps"]
    assert steps[0]["from"] == "2126-01-01T18:00:00Z"
    assert steps[-1]["to"] == "2126-01-08T18:00:00Z"
    assert sum(step["expected"] for step in steps) == pytest.approx(6000)
    assert steps[-1]["peak_per_min"] == pytest.approx(61.4, abs=0.1)
    assert found["workers"] == steps[-1]["workers"] == 34
    assert all(step["wait_p95_s"] <= 30 for step in steps)
    assert found["worker_hours"] == pytest.approx(sum(s["worker_hours"] for s in steps))
    assert found["worker_hours"] < found["worker_hours_at_most_workers"] / 5


def test_each_input_says_where_it_comes_from(run_json: Callable[..., Any]) -> None:
    assumed = run_json(*PLAN)["inputs"]
    assert assumed["service_s"]["value"] == 15
    assert "assumed" in assumed["service_s"]["source"]
    assert "assumed: 0 arrivals" in assumed["d0_min"]["source"]
    given = run_json(*PLAN, "--service-s", "2", "--d0", "5", "--each", "2")["inputs"]
    assert given["service_s"] == {"value": 2, "source": "given"}
    assert given["d0_min"] == {"value": 5, "source": "given"}
    assert given["submissions"]["value"] == 12_000


def test_people_get_a_line_for_each_number_of_workers(run: Run) -> None:
    said = run(*PLAN, "--service-s", "30").stdout
    assert "34 workers at most" in said
    assert "Rests on" in said
    rows = [line.split() for line in said.splitlines() if line.startswith("2126")]
    workers = [row[4] for row in rows]
    assert all(a != b for a, b in pairwise(workers))


def test_a_stricter_target_needs_more(run_json: Callable[..., Any]) -> None:
    strict = run_json(*PLAN, "--service-s", "30", "--target-s", "5")
    assert strict["workers"] > run_json(*PLAN, "--service-s", "30")["workers"]


def test_other_deadlines_at_the_same_time_are_added(run: Run, run_json: Callable[..., Any]) -> None:
    alone = run_json(*PLAN, "--service-s", "30")
    run("deadline", "add", "q", "--at", "2126-01-08T17:30Z", "--submissions", "6000")
    both = run_json(*PLAN, "--service-s", "30")
    assert both["inputs"]["other_deadlines"]["value"] == 1
    assert both["workers"] > alone["workers"]


def test_telling_the_deadline_does_not_count_it_twice(
    run: Run, run_json: Callable[..., Any]
) -> None:
    alone = run_json(*PLAN)
    run("deadline", "add", "q", "--at", DEADLINE, "--submissions", "6000")
    assert run_json(*PLAN) == alone


@pytest.mark.parametrize(
    ("more", "code", "why"),
    [
        (("--opens", DEADLINE), 2, "--opens must be before --deadline"),
        (("--each", "1000", "--learners", "9000000"), 2, "At most 10,000,000"),
        (("--deadline", "2020-01-01T00:00Z"), 1, "is over"),
        (("--queue", "nope"), 1, "Queue 'nope' not found"),
        (("--opens", "2026-01-01T00:00Z"), 1, "at most 366 days are planned"),
    ],
)
def test_what_can_not_be_planned_says_why(
    run: Run, more: tuple[str, ...], code: int, why: str
) -> None:
    assert why in run(*PLAN, *more, exit_code=code).output


def test_what_is_left_of_an_open_window_is_planned(run_json: Callable[..., Any]) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    deadline = (now + timedelta(days=1)).isoformat()
    found = run_json(*PLAN, "--deadline", deadline, "--opens", "2026-01-01T00:00Z")
    first = datetime.fromisoformat(found["steps"][0]["from"])
    assert first >= now
    assert sum(step["expected"] for step in found["steps"]) < 6000
