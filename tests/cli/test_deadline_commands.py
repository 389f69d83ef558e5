"""`xqueue-server deadline`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.stored import a_queue
from xqueue_server.storage import Storage

AT = "2026-02-01T18:00+01:00"


@pytest.fixture(autouse=True)
def _queue(storage: Storage) -> None:
    a_queue(storage)


def test_a_deadline_is_told_listed_and_removed(run: Run, run_json: Callable[..., Any]) -> None:
    said = run("deadline", "add", "q", "--at", AT, "--submissions", "6000", "--note", "midterm")
    assert said.stdout == "Deadline 1 of queue q: 2026-02-01T17:00:00Z, 6000 submissions\n"
    (found,) = run_json("deadline", "list")
    assert (found["at"], found["submissions"], found["note"], found["source"]) == (
        "2026-02-01T17:00:00+00:00", 6000, "midterm", "hand"
    )  # fmt: skip
    assert "2026-01-25T17:00:00Z" in run("deadline", "list").stdout  # opens a week before
    run("deadline", "remove", "1")
    assert run_json("deadline", "list") == []
    assert "Deadline 1 not found" in run("deadline", "remove", "1", exit_code=1).output


def test_learners_times_what_each_submits(run: Run, run_json: Callable[..., Any]) -> None:
    run("deadline", "add", "q", "--at", AT, "--learners", "200", "--each", "3", "--course", "c")
    (found,) = run_json("deadline", "list", "--queue", "q")
    assert (found["submissions"], found["course"]) == (600, "c")
    assert run_json("deadline", "list", "--queue", "other") == []


def test_a_moment_without_an_offset_is_utc_and_that_is_said(run: Run) -> None:
    said = run("deadline", "add", "q", "--at", "2026-02-01T18:00", "--submissions", "1")
    assert "taken for UTC, 2026-02-01T18:00:00Z" in said.stderr
    said = run("deadline", "add", "q", "--at", AT, "--submissions", "1")
    assert said.stderr == ""


def test_the_deadlines_of_a_removed_queue_are_gone(
    run: Run, run_json: Callable[..., Any], storage: Storage
) -> None:
    """Or they would ask for workers for another queue of this name."""
    run("deadline", "add", "q", "--at", AT, "--submissions", "5")
    run("queue", "remove", "q")
    a_queue(storage)
    assert run_json("deadline", "list") == []


def test_who_told_it_is_recorded(run: Run) -> None:
    run("deadline", "add", "q", "--at", AT, "--submissions", "5")
    run("deadline", "remove", "1")
    events = run("event", "list", "--subject", "queue q").stdout
    assert "deadline added" in events
    assert "deadline removed" in events


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (("--at", AT), "Give either --submissions, or --learners"),
        (("--at", AT, "--submissions", "5", "--learners", "5"), "Give either"),
        (("--at", "tomorrow", "--submissions", "5"), "is not like 2026-11-20T18:00+01:00"),
        (("--at", AT, "--submissions", "0"), "0 is not in the range"),
        (("--at", "0001-01-01T01:00Z", "--submissions", "5"), "is not a moment of this time"),
        (("--at", "9999-12-31T23:59-14:00", "--submissions", "5"), "not a moment of this time"),
        (("--at", AT, "--opens", AT, "--submissions", "5"), "--opens must be before --at"),
        (("--at", AT, "--learners", "10000000", "--each", "2"), "At most 10,000,000"),
        (("--at", AT, "--submissions", "5", "--note", "a\nb"), "printable"),
    ],
)
def test_wrong_usage_says_what_is_wrong(run: Run, more: tuple[str, ...], why: str) -> None:
    assert why in run("deadline", "add", "q", *more, exit_code=2).output


def test_an_unknown_queue_is_refused(run: Run) -> None:
    said = run("deadline", "add", "nope", "--at", AT, "--submissions", "5", exit_code=1)
    assert "Queue 'nope' not found" in said.output
