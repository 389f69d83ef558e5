"""`xqueue-server submission` and `xqueue-server event`."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.cli.stored import (
    GRADERS_WORDS,
    LEARNERS_CODE,
    a_dead_callback,
    a_held_submission,
    a_queue,
    a_result,
    a_submission,
)
from xqueue_server.models.callback import CallbackKind
from xqueue_server.models.submission import SubmissionState
from xqueue_server.storage import Storage, callbacks, submissions

SOURCES = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _queue(storage: Storage) -> None:
    a_queue(storage)


def state_of(storage: Storage, submission_id: int) -> SubmissionState:
    with storage.read() as tx:
        found = submissions.find(tx, submission_id)
    assert found
    return found.state


def test_the_list_is_newest_first_and_filtered(run_json: Any, storage: Storage) -> None:
    a_queue(storage, "other")
    first, held = a_submission(storage), a_held_submission(storage)
    other = a_submission(storage, "other")
    everything = run_json("submission", "list")
    assert [s["id"] for s in everything] == [other, held, first]
    assert [s["id"] for s in run_json("submission", "list", "--queue", "q")] == [held, first]
    assert [s["id"] for s in run_json("submission", "list", "--state", "held")] == [held]
    both = run_json("submission", "list", "--queue", "other", "--state", "held")
    assert both == []


def test_the_list_is_read_page_by_page(run: Any, run_json: Any, storage: Storage) -> None:
    ids = [a_submission(storage) for _ in range(3)]
    page = run("submission", "list", "--limit", "2")
    assert page.stderr == f"Perhaps there are older ones: --before {ids[1]}\n"
    rest = run_json("submission", "list", "--limit", "2", "--before", str(ids[1]))
    assert [s["id"] for s in rest] == [ids[0]]


def test_the_table_is_aligned(run: Any, storage: Storage) -> None:
    a_submission(storage)
    a_held_submission(storage)
    header, held, queued = run("submission", "list").stdout.splitlines()
    column = header.index("STATE")
    assert held[column:].startswith("held")
    assert queued[column:].startswith("queued")


def test_a_submission_is_shown_with_all_that_happened(
    run: Any, run_json: Any, storage: Storage
) -> None:
    held = a_held_submission(storage)
    a_result(storage, held)
    callback_id = a_dead_callback(storage, held)
    shown = run_json("submission", "show", str(held))
    assert (shown["state"], shown["held_reason"]) == ("held", "grader")
    assert [(e["from_state"], e["to_state"]) for e in shown["events"][:3]] == [
        (None, "queued"),
        ("queued", "leased"),
        ("leased", "held"),
    ]
    assert (shown["body_bytes"], shown["file_bytes"]) == (len(LEARNERS_CODE), [2048])
    assert shown["results"][0]["disposition"] == "accepted"
    assert shown["callbacks"][0]["id"] == callback_id
    assert shown["callbacks"][0]["attempts"][0]["status"] == 404
    text = run("submission", "show", str(held)).stdout
    for expected in ("queued > leased", "accepted", "HTTP 404", "35 ms", "2.0 KB"):
        assert expected in text


def test_what_the_learner_wrote_is_never_shown(run: Any, storage: Storage) -> None:
    held = a_held_submission(storage)
    a_result(storage, held)
    for form in ((), ("--json",), ("--with-result",), ("--with-result", "--json")):
        shown = run("submission", "show", str(held), *form).output
        assert "the learner wrote" not in shown
        assert "secret.py" not in shown


def test_keys_are_not_shown(run: Any, run_json: Any, storage: Storage) -> None:
    submission_id = a_submission(storage)
    listed = run_json("submission", "list")[0]
    shown = run_json("submission", "show", str(submission_id))
    assert not {"lms_key", "lease_key", "accepted_key"} & (listed.keys() | shown.keys())
    assert "lms key" not in run("submission", "show", str(submission_id)).stdout


def test_a_result_is_shown_only_when_asked_for(run: Any, run_json: Any, storage: Storage) -> None:
    held = a_held_submission(storage)
    a_result(storage, held)
    plain = run("submission", "show", str(held)).stdout
    assert "Well done" not in plain
    assert "body" not in run_json("submission", "show", str(held))["results"][0]
    assert GRADERS_WORDS in run("submission", "show", str(held), "--with-result").stdout
    full = run_json("submission", "show", str(held), "--with-result")["results"][0]
    assert (full["body"], full["body_bytes"]) == (GRADERS_WORDS, len(GRADERS_WORDS))


def test_no_text_can_steer_the_terminal(run: Any, storage: Storage) -> None:
    shown = run("submission", "show", str(a_held_submission(storage))).stdout
    assert "\x1b" not in shown
    assert "import error \\x1b[31m" in shown


def test_an_unknown_submission_is_refused(run: Any) -> None:
    for act in (("show",), ("release",), ("give-up", "--yes")):
        refused = run("submission", *act, "4711", exit_code=1)
        assert refused.stderr.startswith("Error: Submission ")


@pytest.mark.parametrize("given", ["0", "-1", "x", str(2**63)])
def test_an_impossible_id_is_wrong_usage(run: Any, given: str) -> None:
    run("submission", "show", "--", given, exit_code=2)


def test_a_released_submission_is_queued_with_all_its_attempts(run: Any, storage: Storage) -> None:
    held = a_held_submission(storage)
    run("submission", "release", str(held))
    with storage.read() as tx:
        found = submissions.find(tx, held)
    assert found
    assert (found.state, found.attempt) == (SubmissionState.QUEUED, 1)


def test_only_a_held_submission_is_released_or_given_up(run: Any, storage: Storage) -> None:
    queued = a_submission(storage)
    for act in (("release",), ("give-up", "--yes"), ("give-up",)):
        refused = run("submission", *act, str(queued), exit_code=1)
        assert refused.stderr == f"Error: Submission {queued} is queued, not held\n"


def test_giving_up_sends_the_message_and_says_that_it_is_final(run: Any, storage: Storage) -> None:
    held = a_held_submission(storage)
    done = run("submission", "give-up", str(held), "--yes")
    assert "can not be undone" in done.stdout
    assert "the attempt is spent" in done.stdout
    assert state_of(storage, held) is SubmissionState.GIVEN_UP
    with storage.read() as tx:
        assert [c.kind for c in callbacks.of_submission(tx, held)] == [CallbackKind.GIVE_UP]


def test_giving_up_without_a_terminal_needs_a_yes(run: Any, storage: Storage) -> None:
    held = a_held_submission(storage)
    refused = run("submission", "give-up", str(held), exit_code=1)
    assert "Refused without --yes" in refused.stderr
    assert "can not be undone" in refused.stderr
    assert state_of(storage, held) is SubmissionState.HELD


@pytest.mark.parametrize(
    ("answer", "state"), [("n", SubmissionState.HELD), ("y", SubmissionState.GIVEN_UP)]
)
def test_giving_up_asks_at_a_terminal(
    environment: dict[str, str], storage: Storage, answer: str, state: SubmissionState
) -> None:
    held = a_held_submission(storage)
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    asked = subprocess.run(
        [sys.executable, "-m", "xqueue_server.cli.main", "submission", "give-up", str(held)],
        stdin=theirs,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=SOURCES,
        env=os.environ | environment,
    )
    for end in (ours, theirs):
        os.close(end)
    assert "This can not be undone" in asked.stdout
    assert asked.returncode == (0 if state is SubmissionState.GIVEN_UP else 1)
    assert state_of(storage, held) is state


def test_the_help_of_giving_up_says_that_it_is_final(run: Any) -> None:
    text = " ".join(run("submission", "give-up", "--help").stdout.split())
    assert "IRREVERSIBLE" in text
    assert "the attempt is spent" in text


def test_the_record_is_listed_newest_first(run: Any, run_json: Any, storage: Storage) -> None:
    held = a_held_submission(storage)
    subject = f"submission {held}"
    listed = run_json("event", "list", "--subject", subject)
    assert [e["to_state"] for e in listed] == ["held", "leased", "queued"]
    assert len(run_json("event", "list", "--limit", "2")) == 2
    page = run_json("event", "list", "--subject", subject, "--before", str(listed[0]["id"]))
    assert page == listed[1:]
    assert "leased > held" in run("event", "list").stdout


def test_it_works_as_a_process(run_process: Any, storage: Storage) -> None:
    held = a_held_submission(storage)
    shown = run_process("submission", "show", str(held), "--json")
    assert json.loads(shown.stdout)["id"] == held
    assert run_process("submission", "release", str(held)).returncode == 0
    refused = run_process("submission", "give-up", str(held), "--yes")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.count("\n") == 1
    assert run_process("event", "list").returncode == 0


# -- place in line -------------------------------------------------------------------------------


def test_the_place_in_line_is_shown_where_it_has_one(
    run: Any, run_json: Any, storage: Storage
) -> None:
    _first, second, held = a_submission(storage), a_submission(storage), a_held_submission(storage)
    assert run_json("submission", "show", str(second))["position"] == 2
    shown = run("submission", "show", str(second)).stdout.splitlines()
    assert [line.split() for line in shown if line.startswith("place")] == [
        ["place", "in", "line", "2"]
    ]
    assert run_json("submission", "show", str(held))["position"] is None
    with storage.write() as tx:
        tx.run(text("UPDATE submissions SET is_blocked = true, is_capped = true WHERE id = 2"))
    assert "its learner has as many in line" in run("submission", "show", str(second)).stdout


def test_a_long_line_is_not_counted_to_its_end(
    run: Any, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xqueue_server.submissions.line.COUNTED_UP_TO", 1)
    monkeypatch.setattr("xqueue_server.cli.submission_view.COUNTED_UP_TO", 1)
    ids = [a_submission(storage) for _ in range(3)]
    assert "more than 1\n" in run("submission", "show", str(ids[2])).stdout


def test_a_submission_can_be_put_before_the_others(
    run: Any, run_json: Any, storage: Storage
) -> None:
    _first, second = a_submission(storage), a_submission(storage)
    run("submission", "prioritise", str(second), "--priority", "5")
    shown = run_json("submission", "show", str(second))
    assert (shown["priority"], shown["position"]) == (5, 1)
    run("submission", "prioritise", str(second), "--priority", "-1000", exit_code=2)
    refused = run("submission", "prioritise", "99", "--priority", "1", exit_code=1)
    assert "does not exist" in refused.stderr
