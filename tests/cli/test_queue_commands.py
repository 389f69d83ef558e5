"""`xqueue-server queue`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.stored import a_held_submission, a_submission
from xqueue_server.storage import Storage, browsing


def test_an_added_queue_has_the_default_terms(run: Any, run_json: Any) -> None:
    assert "Added queue q1" in run("queue", "add", "q1").stdout
    shown = run_json("queue", "show", "q1")
    assert (shown["lease_s"], shown["max_attempts"], shown["give_up_after_s"]) == (600, 3, 86400)


def test_terms_can_be_given_and_changed_one_by_one(run: Any, run_json: Any) -> None:
    run("queue", "add", "q1", "--lease-s", "30", "--max-attempts", "5", "--give-up-after-s", "0")
    run("queue", "set", "q1", "--lease-s", "40")
    shown = run_json("queue", "show", "q1")
    assert (shown["lease_s"], shown["max_attempts"], shown["give_up_after_s"]) == (40, 5, 0)
    assert "never" in run("queue", "show", "q1").stdout


def test_the_list_counts_unfinished_submissions(run: Any, run_json: Any, storage: Storage) -> None:
    for name in ("b", "a"):
        run("queue", "add", name)
    for _ in range(2):
        a_submission(storage, "a")
    a_held_submission(storage, "a")
    listed = run_json("queue", "list")
    assert [q["name"] for q in listed] == ["a", "b"]
    assert listed[0]["unfinished"] == {"queued": 2, "leased": 0, "held": 1}
    header, first, _ = run("queue", "list").stdout.splitlines()
    assert header.split()[:2] == ["NAME", "LEASE"]
    assert first.split() == ["a", "10", "min", "3", "1", "d", "2", "0", "1"]


def test_an_empty_list_says_so(run: Any, run_json: Any) -> None:
    assert run("queue", "list").stdout == "(none)\n"
    assert run_json("queue", "list") == []


def test_a_removed_queue_is_gone(run: Any) -> None:
    run("queue", "add", "q1")
    run("queue", "remove", "q1")
    assert "'q1' not found" in run("queue", "show", "q1", exit_code=1).stderr


def test_a_queue_with_submissions_is_not_removed(run: Any, storage: Storage) -> None:
    run("queue", "add", "q1")
    a_submission(storage, "q1")
    assert "would be lost" in run("queue", "remove", "q1", exit_code=1).stderr


def test_a_queue_is_added_once(run: Any) -> None:
    run("queue", "add", "q1")
    assert run("queue", "add", "q1", exit_code=1).stderr == "Error: Queue 'q1' exists already\n"


@pytest.mark.parametrize("name", ["MITx-6.00x", "course-v1:Org+Course+Run", "my queue", "été", "q"])
def test_names_that_courses_use_are_accepted(run: Any, name: str) -> None:
    run("queue", "add", name)


@pytest.mark.parametrize("name", ["", "*", "a/b", " a", "a ", "a\nb", "x" * 129, "\x1b[0m"])
def test_names_that_would_do_harm_are_refused(run: Any, name: str) -> None:
    run("queue", "add", name, exit_code=2)


@pytest.mark.parametrize("option", ["--lease-s", "--max-attempts"])
def test_terms_that_make_no_sense_are_refused(run: Any, option: str) -> None:
    run("queue", "add", "q1", option, "0", exit_code=2)


def test_changing_nothing_is_wrong_usage(run: Any) -> None:
    run("queue", "add", "q1")
    assert "at least one option" in run("queue", "set", "q1", exit_code=2).stderr


def test_acts_are_recorded_with_the_operators_name(
    run: Any, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "anna")
    run("queue", "add", "q1")
    with storage.read() as tx:
        recorded = browsing.latest_events(tx, subject="queue q1")
    assert [(e.actor, e.why) for e in recorded] == [("operator anna", "added")]


def test_it_works_as_a_process(run_process: Any) -> None:
    assert run_process("queue", "add", "q1").returncode == 0
    assert "q1" in run_process("queue", "list").stdout
    refused = run_process("queue", "add", "q1")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "Error: Queue 'q1' exists already\n"


# -- order, caps and pauses ----------------------------------------------------------------------


def test_priority_and_cap_are_terms_like_the_others(run: Any, run_json: Any) -> None:
    run("queue", "add", "q1", "--priority", "-7", "--learner-cap", "2")
    shown = run_json("queue", "show", "q1")
    assert (shown["priority"], shown["learner_cap"]) == (-7, 2)
    run("queue", "set", "q1", "--priority", "0")
    shown = run_json("queue", "show", "q1")
    assert (shown["priority"], shown["learner_cap"]) == (0, 2)
    run("queue", "set", "q1", "--learner-cap", "none")
    assert run_json("queue", "show", "q1")["learner_cap"] is None


@pytest.mark.parametrize(
    "option", ["--priority=1000", "--priority=-1000", "--learner-cap=0", "--learner-cap=no"]
)
def test_priorities_and_caps_that_make_no_sense_are_refused(run: Any, option: str) -> None:
    run("queue", "add", "q1", option, exit_code=2)


def test_a_pause_is_shown_wherever_the_queue_is(run: Any, run_json: Any) -> None:
    run("queue", "add", "q1")
    assert "PAUSED" not in run("queue", "list").stdout
    run("queue", "pause", "q1", "--reason", "grader is\x1b[0m being mended")
    for args in (("list",), ("show", "q1")):
        shown = run("queue", *args).stdout
        assert ": grader is\\x1b[0m being mended" in shown
    assert run_json("queue", "show", "q1")["paused_at"].endswith("+00:00")
    run("queue", "resume", "q1")
    assert "mended" not in run("queue", "list").stdout + run("queue", "show", "q1").stdout


def test_a_pause_needs_a_reason_and_a_queue_that_is_not_paused(run: Any) -> None:
    run("queue", "add", "q1")
    run("queue", "pause", "q1", exit_code=2)
    assert "Give a reason" in run("queue", "pause", "q1", "--reason", " ", exit_code=2).stderr
    assert "is not paused" in run("queue", "resume", "q1", exit_code=1).stderr
    run("queue", "pause", "q1", "--reason", "r")
    assert "is paused already" in run("queue", "pause", "q1", "--reason", "r", exit_code=1).stderr
    assert "'x' not found" in run("queue", "pause", "x", "--reason", "r", exit_code=1).stderr


def test_weights_are_set_listed_and_removed(run: Any, run_json: Any, storage: Storage) -> None:
    run("queue", "add", "q1")
    run("queue", "weight", "q1", "course-v1:A+B+C", "3")
    run("queue", "weight", "q1", "course-v1:A+B+C", "4")
    assert run_json("queue", "show", "q1")["course_weights"] == {"course-v1:A+B+C": 4}
    assert run_json("queue", "list")[0]["course_weights"] == {"course-v1:A+B+C": 4}
    assert "weight of course-v1:A+B+C  4" in run("queue", "show", "q1").stdout
    run("queue", "weight", "q1", "course-v1:A+B+C", "--remove")
    assert run_json("queue", "show", "q1")["course_weights"] == {}
    with storage.read() as tx:
        recorded = browsing.latest_events(tx, subject="queue q1", limit=3)
    assert [(e.why, e.detail) for e in recorded] == [
        ("weight", f"course-v1:A+B+C: {weight}") for weight in (1, 4, 3)
    ]


def test_weights_that_make_no_sense_are_refused(run: Any) -> None:
    run("queue", "add", "q1")
    for args in (("c",), ("c", "0"), ("c", "1001"), ("c", "2", "--remove"), ("c\n", "2")):
        run("queue", "weight", "q1", *args, exit_code=2)
    assert "'x' not found" in run("queue", "weight", "x", "c", "2", exit_code=1).stderr
    refused = run("queue", "weight", "q1", "c", "--remove", exit_code=1)
    assert "has no weight of its own" in refused.stderr


def test_weights_go_with_their_queue(run: Any, run_json: Any) -> None:
    run("queue", "add", "q1")
    run("queue", "weight", "q1", "c", "3")
    run("queue", "remove", "q1")
    run("queue", "add", "q1")
    assert run_json("queue", "show", "q1")["course_weights"] == {}
