"""Learner's failure, grader's failure, platform's failure: kept apart."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from grader_worker.errors import FilesUnavailable, SettingsError, SubmissionUnusable
from grader_worker.grading import Graded, GraderBroken, PlatformBroken, grade, run_id
from grader_worker.lease import Lease
from sandbox.errors import GraderNotUsable, SandboxUnavailable
from sandbox.run import DeclaredTest, ExitReason, Isolation
from tests.worker.fakes import LocalBackend, assignment, report, result, submission_body


def outcome(behave=None, *, body=None, fetch_files=lambda _json: {}, **changes):
    lease = Lease(header="{}", submission_id="7", body=body or submission_body("code"))
    backend = LocalBackend(behave)
    graded_by = replace(assignment(), **changes)
    return grade(lease, graded_by, sandbox=backend, fetch_files=fetch_files), backend


def raising(error):
    def behave(_anything):
        raise error

    return behave


def test_a_learners_failure_is_a_grade():
    got, _ = outcome(lambda _request: result(report(0)))
    assert isinstance(got, Graded)
    assert json.loads(got.reply)["score"] == 0


def test_a_learners_limit_is_a_grade():
    got, _ = outcome(lambda _request: result(report(0), reason=ExitReason.LEARNER_LIMIT))
    assert isinstance(got, Graded)


@pytest.mark.parametrize(
    "behave",
    [
        lambda _request: result(report(), reason=ExitReason.GRADER_FAILED, detail="boom"),
        lambda _request: result(report(float("nan"))),
        raising(GraderNotUsable("no such image")),
    ],
)
def test_a_broken_grader_is_no_grade(behave):
    assert isinstance(outcome(behave)[0], GraderBroken)


def test_a_broken_sandbox_is_no_grade_and_closes_the_gate():
    got, _ = outcome(raising(SandboxUnavailable("docker is away")))
    assert isinstance(got, PlatformBroken)
    assert got.sandbox_down


@pytest.mark.parametrize("body", ["not json", "{}"])
def test_a_body_that_is_no_submission_is_held_without_a_run(body):
    got, backend = outcome(body=body)
    assert isinstance(got, GraderBroken)
    assert "unusable submission" in got.detail
    assert backend.requests == []


def test_files_that_can_not_be_used_are_held():
    got, _ = outcome(fetch_files=raising(SubmissionUnusable("too large")))
    assert isinstance(got, GraderBroken)


def test_files_that_can_not_be_fetched_are_tried_again_without_blaming_the_sandbox():
    got, _ = outcome(fetch_files=raising(FilesUnavailable("503")))
    assert isinstance(got, PlatformBroken)
    assert not got.sandbox_down


def test_what_a_grader_says_is_for_the_course_team_and_not_for_the_log():
    got, _ = outcome(
        lambda _request: result(
            reason=ExitReason.GRADER_FAILED, detail="saw CODE", grader_log="trace CODE"
        )
    )
    assert "saw CODE\ntrace CODE" in got.detail
    assert "CODE" not in got.summary
    assert "CODE" not in repr(got)


def test_the_run_gets_the_submission_and_the_assignments_grader_and_limits():
    _, backend = outcome(fetch_files=lambda _json: {"a.txt": "A"})
    request = backend.requests[0]
    assert request.job == {
        "response": "code",
        "payload": "{}",
        "files": {"a.txt": "A"},
        "seed": 42,
    }
    assert (request.grader, request.limits) == (assignment().grader, assignment().limits)


def test_the_run_gets_what_the_assignment_says_of_isolation_runtime_and_tests():
    tests = (DeclaredTest(test_id="t", title="adds up", max_score=1),)
    _, backend = outcome(isolation=Isolation.SPLIT_CONTAINER, runtime="runsc", tests=tests)
    request = backend.requests[0]
    assert request.isolation is Isolation.SPLIT_CONTAINER
    assert (request.runtime, request.tests) == ("runsc", tests)


def test_an_assignment_that_says_nothing_leaves_the_choice_to_the_backend():
    request = outcome()[1].requests[0]
    assert (request.isolation, request.runtime, request.tests) == (None, None, None)


def test_an_assignment_with_points_of_the_lms_sends_them():
    got, _ = outcome(lambda _request: result(report(1), report(0)), lms_points=10)
    assert json.loads(got.reply)["score"] == 5


@pytest.mark.parametrize("legacy_reason", ["", "  "])
def test_forgeable_grading_needs_a_reason(legacy_reason):
    with pytest.raises(SettingsError, match="legacy_reason"):
        replace(assignment(), isolation=Isolation.NONE, legacy_reason=legacy_reason)


def test_forgeable_grading_with_a_reason_is_possible():
    _, backend = outcome(isolation=Isolation.NONE, legacy_reason="images of 2019, until summer")
    assert backend.requests[0].isolation is Isolation.NONE


@pytest.mark.parametrize("submission_id", ["7", "A/b c", "é" * 50, "../../x"])
def test_a_run_is_named_so_that_processes_and_containers_can_bear_it(submission_id):
    assert re.fullmatch(r"[a-z0-9-]{1,40}", run_id(submission_id, "0123abcd"))
