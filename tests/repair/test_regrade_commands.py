"""Regrading, releasing and replaying many from the command line, and the file for overrides."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.conftest import environment as environment
from tests.cli.conftest import run as run
from tests.cli.conftest import run_json as run_json
from tests.repair.regraded import NEW, begin, graded, last_regrade
from tests.repair.test_bulk import bury, held
from tests.server.builders import BLOCK, COURSE, ORIGIN, Desk, callback_url, grade, lms_body
from xqueue_server.models.regrade import RegradeState
from xqueue_server.models.submission import SubmissionState
from xqueue_server.repair import override_file

S = SubmissionState
PROBLEM = BLOCK + "0" * 32
RunJson = Callable[..., Any]


def test_a_dry_run_says_what_a_regrade_would_touch(run: Run, desk: Desk) -> None:
    old = graded(desk)
    graded(desk, user=2, is_delivered=False)
    told = run("submission", "regrade", "--queue", "python", "--reason", "x", "--dry-run").stdout
    assert "2 submissions will be graded anew" in told
    assert "a worker's own" in told
    assert "Of 1 submission the LMS has taken the grade: it keeps it" in told
    assert desk.see(old.submission_id).state is S.GRADED
    assert desk.count("regrade_batches") == 0


def test_a_selection_is_regraded_and_the_regrade_is_shown(
    run: Run, run_json: RunJson, desk: Desk
) -> None:
    first, second = graded(desk, user=1), graded(desk, user=2)
    graded(desk, user=3)
    ids = (str(first.submission_id), str(second.submission_id))
    done = run("submission", "regrade", *ids, "--reason", "test 3 was wrong", "--yes").stdout
    assert "2 submissions will be graded anew, as regrade 1" in done
    desk.put(desk.lease(), NEW)
    (batch,) = run_json("regrade", "list")
    assert (batch["waiting"], batch["changed"], batch["lms_kept_old"]) == (1, 1, 1)
    assert batch["reason"] == "test 3 was wrong"
    assert batch["selection"] == f"id={','.join(ids)}"
    shown = run_json("regrade", "show", "1")
    assert [r["state"] for r in shown["regrades"]] == ["changed", "waiting"]
    assert (shown["regrades"][0]["old_score"], shown["regrades"][0]["new_score"]) == (0.5, 1)
    text = run("regrade", "show", "1").stdout
    assert "test 3 was wrong" in text
    assert "changed" in text
    story = run("submission", "show", ids[1]).stdout
    assert "Regrades" in story
    assert "graded > queued" in story


def test_an_interrupted_regrade_goes_on_without_what_it_has(run: Run, desk: Desk) -> None:
    done, left = graded(desk, user=1), graded(desk, user=2)
    batch = str(begin(desk, done.submission_id))
    desk.put(desk.lease(), NEW)
    again = ("submission", "regrade", "--queue", "python", "--reason", "x", "--continue")
    assert "1 submission will be graded anew" in run(*again, batch, "--dry-run").stdout
    assert (
        f"1 submission will be graded anew, as regrade {batch}"
        in run(*again, batch, "--yes").stdout
    )
    assert desk.see(done.submission_id).state is S.GRADED
    assert last_regrade(desk, left.submission_id).batch_id == int(batch)
    assert "Regrade 9 not found" in run(*again, "9", "--yes", exit_code=1).stderr


def test_what_can_not_be_regraded_is_refused_by_name(run: Run, desk: Desk) -> None:
    graded_id = str(graded(desk).submission_id)
    waiting = str(desk.submit(callback_url(user=7)))
    refused = run(
        "submission", "regrade", graded_id, waiting, "--reason", "x", "--yes", exit_code=1
    )
    assert refused.stderr == f"Error: Submission {waiting} is queued, not graded\n"
    assert desk.count("regrades") == 0


@pytest.mark.parametrize(
    "args",
    [
        ("submission", "regrade", "--reason", "x", "--yes"),
        ("submission", "release", "--yes"),
        ("callback", "replay", "--yes"),
        ("submission", "regrade", "1"),
    ],
)
def test_everything_and_no_reason_are_wrong_usage(
    run: Run, desk: Desk, args: tuple[str, ...]
) -> None:
    run(*args, exit_code=2)


def test_without_a_terminal_a_yes_is_needed(run: Run, desk: Desk) -> None:
    ids = held(desk, 2)
    refused = run("submission", "release", "--state", "held", exit_code=1)
    assert refused.stderr == "Error: Refused without --yes: 2 submissions will be queued again\n"
    assert desk.see(ids[0]).state is S.HELD


def test_a_pasted_unit_is_explained(run: Run, desk: Desk) -> None:
    unit = PROBLEM.replace("problem", "vertical")
    refused = run("submission", "list", "--problem", unit, exit_code=1)
    assert refused.stderr.startswith("Error: problem: 'block-v1:")
    assert "is a unit, which may hold several problems" in refused.stderr


def test_held_ones_are_released_by_a_selection(run: Run, desk: Desk) -> None:
    ids = held(desk, 3)
    assert (
        "3 submissions will be"
        in run("submission", "release", "--course", COURSE, "--dry-run").stdout
    )
    done = run("submission", "release", "--course", COURSE, "--yes").stdout
    assert done == "3 submissions queued again, with all their attempts\n"
    assert {desk.see(i).state for i in ids} == {S.QUEUED}


def test_dead_callbacks_are_replayed_by_a_selection(run: Run, desk: Desk) -> None:
    graded(desk, is_delivered=False)
    bury(desk)
    done = run("callback", "replay", "--learner", "42", "--yes").stdout
    assert done.startswith("1 submission will be told to the LMS again at once\n")
    assert [state for state, _body in desk.outgoing(1)] == ["pending"]
    run("callback", "replay", "1", "--learner", "42", "--yes", exit_code=2)


def test_what_a_fault_holds_is_released(run: Run, desk: Desk) -> None:
    ids = held(desk, 2)
    assert "2 submissions will be queued again" in run("fault", "release", "1", "--dry-run").stdout
    assert desk.see(ids[0]).state is S.HELD
    done = run("fault", "release", "1", "--yes").stdout
    assert done == "2 submissions queued again, with all their attempts\n"
    assert run("fault", "release", "9", exit_code=1).stderr == "Error: Fault 9 not found\n"


def test_a_regrade_is_cancelled(run: Run, desk: Desk) -> None:
    old = graded(desk)
    begin(desk, old.submission_id)
    assert "1 submission will be left" in run("regrade", "cancel", "1", "--dry-run").stdout
    assert (
        run("regrade", "cancel", "1", "--yes").stdout == "1 submission left with their old grade\n"
    )
    assert last_regrade(desk, old.submission_id).state is RegradeState.CANCELLED
    assert run("regrade", "cancel", "9", exit_code=1).stderr == "Error: Regrade 9 not found\n"


# -- the file ------------------------------------------------------------------------------------


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_file_has_what_the_lms_does_not_take(run: Run, desk: Desk, tmp_path: Path) -> None:
    changed = graded(desk, user=1)
    same = graded(desk, user=2)
    undelivered = graded(desk, user=3, is_delivered=False)
    leases = (changed, same, undelivered)
    begin(desk, *[lease.submission_id for lease in leases])
    for body in (NEW, grade(0.5), NEW):
        desk.put(desk.lease(), body)
    written = run("regrade", "csv", "1")
    assert _rows(written.stdout) == [
        {
            "user_id": "1",
            "username": "",
            "course_id": COURSE,
            "block_id": PROBLEM,
            "Previous Points": "0.5",
            "New Points": "1",
            "submission_id": str(changed.submission_id),
            "submitted_at": "2026-01-01T00:00:00+00:00",
            "regraded_at": "2026-01-01T00:00:00+00:00",
        }
    ]
    assert written.stderr == "1 changed scores that the LMS has the old ones of\n"
    path = tmp_path / "scores.csv"
    run("regrade", "csv", "1", "--out", str(path))
    assert path.read_bytes().decode() == written.stdout_bytes.decode()
    assert path.stat().st_mode & 0o777 == 0o600
    again = run("regrade", "csv", "1", "--out", str(path), exit_code=1)
    assert "can not write" in again.stderr
    jump = f"{ORIGIN}/courses/{COURSE}/jump_to/{PROBLEM}"
    assert len(_rows(run("regrade", "csv", "1", "--problem", jump).stdout)) == 1
    other = PROBLEM[:-1] + "1"
    assert _rows(run("regrade", "csv", "1", "--problem", other).stdout) == []


def test_a_score_that_does_not_count_any_more_is_left_out(run: Run, desk: Desk) -> None:
    old = graded(desk, made_at="20260101120000")
    begin(desk, old.submission_id)
    desk.put(desk.lease(), NEW)
    desk.submit(body=lms_body("20260101120100"))
    written = run("regrade", "csv", "1")
    assert _rows(written.stdout) == []
    assert "1 left out: the learner has submitted again since" in written.stderr


@pytest.mark.parametrize("text", ["=1+2", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_text_is_a_formula(text: str) -> None:
    assert override_file.cell(text) == f"'{text}"


def test_a_learner_who_is_a_formula_is_written_as_text(run: Run, desk: Desk) -> None:
    desk.submit(f"{ORIGIN}/courses/{COURSE}/xqueue/=cmd/{PROBLEM}/score_update")
    desk.put(desk.lease(), grade(0.5))
    assert desk.deliver(desk.claim_callback())
    begin(desk, 1)
    desk.put(desk.lease(), NEW)
    assert _rows(run("regrade", "csv", "1").stdout)[0]["user_id"] == "'=cmd"


def test_the_list_has_every_filter(run_json: RunJson, desk: Desk) -> None:
    first = graded(desk, user=1)
    graded(desk, user=2)
    begin(desk, first.submission_id)
    for options in (
        ("--learner", "1"),
        ("--state", "queued", "--state", "leased"),
        ("--regrade", "waiting"),
        ("--batch", "1"),
        ("--problem", PROBLEM, "--learner", "1"),
    ):
        found = run_json("submission", "list", *options)
        assert [s["id"] for s in found] == [first.submission_id], options
    assert found[0]["problem"] == PROBLEM
    assert run_json("submission", "list", "--forgeable") == []
    assert len(run_json("submission", "list", "--callback", "delivered", "--account", "lms")) == 2
