"""Graders that the operator names himself: read once, prepared before they are needed."""

from __future__ import annotations

import json
import logging

import pytest

from grader_worker.assignment import Assignment, ServedQueue
from grader_worker.errors import SettingsError
from grader_worker.lease import Lease, NamedGrader
from grader_worker.local_grader import Wishes, local_assignment
from grader_worker.preparing import AGAIN_S, OwnGraders, preparation_of
from grader_worker.published.grader_cache import BundleCache
from grader_worker.record import MAX_RECORD_BYTES, Timing, record_text
from grader_worker.server_account import ServerAccount
from sandbox.errors import GraderNotUsable
from sandbox.run import DirectoryGrader, ImageGrader, Isolation, Limits, Preparation
from tests.kit.written import write_files
from tests.worker.fake_api import square_grader
from tests.worker.fakes import LocalBackend, Sleeper

IMAGE = ImageGrader(image="sums@sha256:0")


@pytest.fixture
def local(tmp_path):
    def local(grader, wishes=None):
        return local_assignment("python", str(grader), wishes, cache_dir=tmp_path / "cache")

    return local


# From a directory or an image


def test_a_directory_with_a_grader_file_is_read_once(local, tmp_path):
    directory = square_grader(tmp_path / "square")
    found = local(directory)
    (directory / "grader.yaml").write_text("now edited")
    assert found.grader.path != directory
    assert "returns: 9" in (found.grader.path / "grader.yaml").read_text()
    assert [test.test_id for test in found.tests] == ["three"]


def test_any_other_directory_is_used_as_it_lies_there(local, tmp_path):
    write_files(tmp_path / "old", {"grade.py": "pass\n"})
    found = local(tmp_path / "old")
    assert found.grader == DirectoryGrader(path=tmp_path / "old")
    assert found.tests is None


def test_what_the_operator_says_goes_before_the_manifest(local, tmp_path):
    directory = square_grader(tmp_path / "square")
    wishes = Wishes(
        limits=Limits(wall_s=3), isolation=Isolation.BOX, runtime="runc", lms_points=7.0
    )
    found = local(directory, wishes)
    assert (found.limits, found.isolation) == (Limits(wall_s=3), Isolation.BOX)
    assert (found.runtime, found.lms_points) == ("runc", 7.0)
    assert local(directory).isolation is None


def test_an_image_is_one(local):
    assert local(IMAGE.image).grader == IMAGE


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"grader.yaml": "name: [\n"}, "grader.yaml"),
        ({"grader.yaml": "name: x\nlanguage: klingon\n"}, "language"),
        (
            {
                "grader.yaml": "name: x\nlanguage: bash\ntests: [{id: a, title: a}]\n",
                "Dockerfile": "FROM scratch\n",
            },
            "graders build",
        ),
    ],
)
def test_a_directory_that_is_no_grader_ends_the_start(local, tmp_path, files, words):
    write_files(tmp_path / "bad", files)
    with pytest.raises(SettingsError, match=words):
        local(tmp_path / "bad")


def test_a_cache_that_can_not_be_written_ends_the_start(local, tmp_path):
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(SettingsError, match="cache of graders"):
        local(square_grader(tmp_path / "square"))


def test_the_keepers_tidying_does_not_remove_it(local, tmp_path):
    found = local(square_grader(tmp_path / "square"))
    assert BundleCache(tmp_path / "cache", clock=lambda: 2**33).forget_unused() == 0
    assert found.grader.path.is_dir()


# Preparing


def served(queue="python", url="http://campus", grader=IMAGE):
    return ServedQueue(
        account=ServerAccount(url=url, username="g", password="p"),
        name=queue,
        assignment=None if grader is None else Assignment(queue=queue, grader=grader),
    )


class Preparing(LocalBackend):
    def __init__(self, *troubles):
        super().__init__()
        self.troubles = list(troubles)
        self.prepared = []

    def prepare(self, preparation):
        self.prepared.append(preparation)
        trouble = self.troubles.pop(0) if self.troubles else None
        if trouble:
            raise trouble


def test_a_preparation_is_all_of_an_assignment_that_is_known_before():
    assignment = Assignment(
        queue="q", grader=IMAGE, limits=Limits(pids=3), isolation=Isolation.BOX, runtime="runc"
    )
    assert preparation_of(assignment) == Preparation(
        grader=IMAGE, limits=Limits(pids=3), isolation=Isolation.BOX, runtime="runc"
    )


def test_graders_are_prepared_again_and_again_and_changes_are_said_once(caplog):
    caplog.set_level(logging.INFO, logger="grader_worker")
    sandbox, sleeper = Preparing(None, None, GraderNotUsable("gone"), None), Sleeper(stop_after=4)
    OwnGraders([served()], sandbox=sandbox, sleep=sleeper).keep_until_stopped()
    assert sleeper.pauses == [AGAIN_S] * 4
    assert len(sandbox.prepared) == 4
    assert caplog.messages == ["grader-ready", "grader-not-ready", "grader-ready"]


def test_queues_of_two_servers_with_one_name_are_told_apart(caplog):
    caplog.set_level(logging.INFO, logger="grader_worker")
    queues = [served(), served(url="http://other")]
    sandbox = Preparing(*[None, GraderNotUsable("gone")] * 3)
    OwnGraders(queues, sandbox=sandbox, sleep=Sleeper(stop_after=3)).keep_until_stopped()
    assert caplog.messages == ["grader-ready", "grader-not-ready"]


def test_without_graders_of_its_own_nothing_is_waited_for():
    sleeper = Sleeper(stop_after=1)
    OwnGraders([served(grader=None)], sandbox=Preparing(), sleep=sleeper).keep_until_stopped()
    assert sleeper.pauses == []


# What the server is told about each test


def record(tests=2, **more):
    each = [{"id": f"t{n}", "status": "passed", "output": "LEARNERS"} for n in range(tests)]
    return {"tests": each, "log": "LEARNERS"} | more


def lease(grader):
    return Lease(header="{}", submission_id="1", body="{}", grader=grader)


SQUARE = NamedGrader(name="square", version=1)
TRIAL = NamedGrader(name="square", version=0, trial=5)


TIMES = {"prepare_ms": 1500.0, "run_ms": 250.0}


def told_of(grader, said):
    return record_text(lease(grader), said, Timing(**TIMES))


def test_of_a_learners_submission_only_ids_and_statuses_and_times_are_told():
    tests = [{"id": "t0", "status": "passed"}, {"id": "t1", "status": "passed"}]
    assert json.loads(told_of(SQUARE, record())) == {"tests": tests} | TIMES


def test_of_a_trial_everything_is_told():
    assert json.loads(told_of(TRIAL, record())) == record() | TIMES


def test_of_a_trial_that_said_too_much_only_ids_and_statuses_are_told():
    text = told_of(TRIAL, record(log="x" * MAX_RECORD_BYTES))
    assert "LEARNERS" not in text
    assert len(json.loads(text)["tests"]) == 2


def test_the_longest_record_fits_what_the_server_takes():
    tests = [{"id": "x" * 64, "status": "partial"}] * 1000
    assert len(told_of(SQUARE, {"tests": tests})) <= MAX_RECORD_BYTES


@pytest.mark.parametrize(("grader", "said"), [(None, record()), (SQUARE, {})])
def test_where_there_is_nothing_to_count_only_times_are_told(grader, said):
    assert json.loads(told_of(grader, said)) == {"tests": []} | TIMES


def test_all_that_the_sandbox_does_not_call_running_was_preparing():
    timing = Timing.of({"phases_ms": {"prepare": 5.0, "run": 250.0, "cleanup": 1.0}}, 1.75)
    assert timing == Timing(prepare_ms=1500.0, run_ms=250.0)


def test_a_run_that_took_longer_than_the_clock_says_was_not_prepared_for_less_than_no_time():
    assert Timing.of({"phases_ms": {"run": 2000.0}}, 1.75).prepare_ms == 0


@pytest.mark.parametrize(("grader", "tests"), [(None, 0), (SQUARE, 2)])
def test_that_learners_can_have_graded_themselves_is_told_of_every_grader(grader, tests):
    told = json.loads(told_of(grader, record(forgeable=True)))
    assert (len(told["tests"]), told["forgeable"]) == (tests, True)
    assert "forgeable" not in told_of(SQUARE, record(forgeable=False))
