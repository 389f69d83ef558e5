"""`xqueue-server callback`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.stored import (
    ORIGIN,
    a_callback,
    a_dead_callback,
    a_queue,
    a_submission,
    state_of,
)
from xqueue_server.instant import ManualClock
from xqueue_server.models.callback import CallbackState
from xqueue_server.storage import Storage

OTHER = "http://other.example.org:8000"


@pytest.fixture(autouse=True)
def _queue(storage: Storage) -> None:
    a_queue(storage)


@pytest.fixture
def submission_id(storage: Storage) -> int:
    return a_submission(storage)


def test_the_list_is_newest_first_and_filtered(
    run: Any, run_json: Any, storage: Storage, submission_id: int
) -> None:
    dead = a_dead_callback(storage, submission_id)
    pending = a_callback(storage, submission_id)
    other = a_callback(storage, submission_id, origin=OTHER)
    assert [c["id"] for c in run_json("callback", "list")] == [other, pending, dead]
    assert [c["id"] for c in run_json("callback", "list", "--state", "dead")] == [dead]
    of_origin = run_json("callback", "list", "--origin", "HTTPS://LMS.example.org:443/")
    assert [c["id"] for c in of_origin] == [pending, dead]
    page = run("callback", "list", "--limit", "1")
    assert page.stderr.endswith(f"--before {other}\n")


def test_a_callback_is_shown_with_its_tries(
    run: Any, run_json: Any, storage: Storage, submission_id: int
) -> None:
    dead = a_dead_callback(storage, submission_id)
    shown = run_json("callback", "show", str(dead))
    assert (shown["state"], shown["last_status"]) == ("dead", 404)
    assert shown["attempts"][0]["response"] == "no such course"
    text = run("callback", "show", str(dead)).stdout
    assert "HTTP 404" in text
    assert "no such course" in text


def test_the_message_itself_is_not_shown(run: Any, storage: Storage, submission_id: int) -> None:
    dead = a_dead_callback(storage, submission_id)
    assert "Well done" not in run("callback", "show", str(dead), "--json").output


def test_the_backlog_counts_by_lms_and_state(
    run: Any, run_json: Any, storage: Storage, submission_id: int
) -> None:
    a_dead_callback(storage, submission_id)
    a_callback(storage, submission_id, origin=OTHER)
    counts = {(b["origin"], b["state"]): b["count"] for b in run_json("callback", "backlog")}
    assert counts == {(ORIGIN, "dead"): 1, (OTHER, "pending"): 1}
    assert OTHER in run("callback", "backlog").stdout


def test_a_dead_callback_is_replayed(run: Any, storage: Storage, submission_id: int) -> None:
    dead = a_dead_callback(storage, submission_id)
    done = run("callback", "replay", str(dead))
    assert done.stdout.startswith("1 callback will be sent again")
    assert "takes the first reply" in done.stdout
    assert state_of(storage, dead) is CallbackState.PENDING


def test_only_a_dead_callback_is_replayed(run: Any, storage: Storage, submission_id: int) -> None:
    pending = a_callback(storage, submission_id)
    refused = run("callback", "replay", str(pending), exit_code=1)
    assert refused.stderr.startswith(f"Error: Callback {pending} is pending")


def test_all_dead_callbacks_of_an_lms_are_replayed(
    run: Any, storage: Storage, submission_id: int
) -> None:
    dead = [a_dead_callback(storage, submission_id) for _ in range(2)]
    spared = a_dead_callback(storage, submission_id, origin=OTHER)
    done = run("callback", "replay", "--origin", ORIGIN)
    assert done.stdout.startswith("2 callbacks will be sent again")
    assert {state_of(storage, each) for each in dead} == {CallbackState.PENDING}
    assert state_of(storage, spared) is CallbackState.DEAD


def test_a_replay_can_begin_at_a_moment(
    run: Any, storage: Storage, clock: ManualClock, submission_id: int
) -> None:
    old = a_dead_callback(storage, submission_id)  # the manual clock starts on 2026-01-01
    clock.advance(24 * 3600)
    fresh = a_dead_callback(storage, submission_id)
    done = run("callback", "replay", "--origin", ORIGIN, "--since", "2026-01-01T12:00")
    assert done.stdout.startswith("1 callback ")
    assert state_of(storage, old) is CallbackState.DEAD
    assert state_of(storage, fresh) is CallbackState.PENDING


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("1", "--origin", ORIGIN),
        ("1", "--since", "2026-01-01"),
        ("--origin", "lms.example.org"),
        ("--origin", ORIGIN, "--since", "yesterday"),
    ],
)
def test_an_unclear_replay_is_wrong_usage(run: Any, args: tuple[str, ...]) -> None:
    run("callback", "replay", *args, exit_code=2)


def test_an_unknown_callback_is_refused(run: Any) -> None:
    for act in ("show", "replay"):
        refused = run("callback", act, "4711", exit_code=1)
        assert refused.stderr == "Error: Callback 4711 not found\n"


def test_it_works_as_a_process(run_process: Any, storage: Storage, submission_id: int) -> None:
    dead = a_dead_callback(storage, submission_id)
    listed = run_process("callback", "list", "--json")
    assert [c["id"] for c in json.loads(listed.stdout)] == [dead]
    assert run_process("callback", "replay", str(dead)).returncode == 0
    again = run_process("callback", "replay", str(dead))
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)
