"""A sandbox or a grader that is broken gives no grade; mended, it gives the right one."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from deploy.demo.lms import StandInLms
from deploy.demo.processes import ROOT
from tests.acceptance.classroom import (
    ENDLESS,
    RIGHT,
    assert_each_graded_right,
    assert_nothing_left,
    assert_taken_once,
    submit,
)
from tests.acceptance.site import Site, kill
from tests.worker.fakes import eventually, need
from xqueue_server.models.submission import SubmissionState
from xqueue_server.storage import Storage, open_storage, submissions

GRADER = ROOT / "graders" / "examples" / "functions"
GRADE_S = 60.0


@pytest.fixture
def site(server_site: Site) -> Site:
    need("bwrap")
    server_site.start_deliver()
    return server_site


def has_children(pid: int) -> bool:
    return any(map(_read, Path(f"/proc/{pid}/task").glob("*/children")))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # its thread has ended since it was listed
        return ""


def is_leased(storage: Storage, submission_id: int) -> bool:
    """By the database itself: a command may take longer than the run that is waited for."""
    with storage.read() as tx:
        found = submissions.find(tx, submission_id)
    return found is not None and found.state is SubmissionState.LEASED


def the_submission(site: Site) -> dict[str, object]:
    (found,) = site.ask("submission", "list")
    return dict(found)


def test_a_sandboxd_killed_in_mid_run_costs_a_second_run_and_no_grade(
    site: Site, lms: StandInLms
) -> None:
    sandboxd = site.start_sandboxd("bubblewrap")
    submitted = [submit(lms, site.capa(), ENDLESS)]
    number = int(str(the_submission(site)["id"]))
    with closing(open_storage(site.settings["XQUEUE_DATABASE_URL"])) as storage:
        site.start_worker("poll", grader=str(GRADER))
        eventually(lambda: is_leased(storage, number), GRADE_S)
    eventually(lambda: has_children(sandboxd.pid), GRADE_S)
    kill(sandboxd)

    eventually(lambda: the_submission(site)["platform_failures"] == 1, GRADE_S)
    assert the_submission(site)["attempt"] == 1, "no attempt is burnt"
    assert lms.callbacks == ()
    site.start_sandboxd("bubblewrap")

    assert_each_graded_right(lms, submitted, GRADE_S)
    assert_taken_once(lms, submitted)
    assert_nothing_left(site, 1)


def test_a_broken_grader_is_held_and_its_submission_graded_once_it_is_mended(
    site: Site, lms: StandInLms, tmp_path: Path
) -> None:
    grader = tmp_path / "grader"
    shutil.copytree(GRADER, grader)
    source = (grader / "grade.py").read_text()
    broken = source.replace("def grade(", "raise RuntimeError('we were here')\n\n\ndef grade(")
    (grader / "grade.py").write_text(broken)
    site.start_sandboxd("bubblewrap")
    site.start_worker("poll", grader=str(grader))
    submitted = [submit(lms, site.capa(), RIGHT)]
    eventually(lambda: the_submission(site)["state"] == "held", GRADE_S)

    held = the_submission(site)
    assert held["held_reason"] == "grader"
    assert "we were here" in str(held["held_detail"])
    assert lms.callbacks == ()
    (grader / "grade.py").write_text(source)
    site.command("submission", "release", str(held["id"]))

    assert_each_graded_right(lms, submitted, GRADE_S)
    assert_taken_once(lms, submitted)
    assert_nothing_left(site, 1)
