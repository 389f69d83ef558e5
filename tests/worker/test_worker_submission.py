"""Reading what a server handed out."""

from __future__ import annotations

import json

import pytest

from grader_worker.errors import ServerUnreachable, SubmissionUnusable
from grader_worker.lease import parse_lease
from grader_worker.submission import parse_submission, sandbox_job
from sandbox.run import MAX_JOB_BYTES
from tests.worker.fakes import submission_body


def test_the_learners_text_and_the_authors_payload_are_passed_on_verbatim():
    body = submission_body("a\n\tb", grader_payload=' {"x": 1} ')
    submission = parse_submission(body)
    assert (submission.response, submission.payload) == ("a\n\tb", ' {"x": 1} ')


def test_the_seed_is_the_learners():
    assert parse_submission(submission_body()).seed == 42


@pytest.mark.parametrize("info", [None, "", "{}", "[1]", "nonsense", '{"random_seed": null}', 5])
def test_a_submission_without_a_seed_has_seed_1(info):
    assert parse_submission(submission_body(student_info=info)).seed == 1


def test_an_empty_response_is_fine_because_a_problem_may_only_take_files():
    assert parse_submission(submission_body("")).response == ""


def test_a_payload_that_is_an_object_is_passed_on_as_json():
    assert json.loads(parse_submission(submission_body(grader_payload={"a": 1})).payload) == {
        "a": 1
    }


@pytest.mark.parametrize("body", ["not json", "[]", "{}", '{"student_response": 5}', "[" * 100000])
def test_a_body_that_is_no_submission_is_unusable(body):
    with pytest.raises(SubmissionUnusable):
        parse_submission(body)


def test_the_learners_identity_does_not_go_into_the_sandbox():
    job = sandbox_job(parse_submission(submission_body()), {})
    assert "learner-7" not in json.dumps(job)
    assert set(job) == {"response", "payload", "files", "seed"}


def test_a_job_that_no_sandbox_takes_is_unusable_and_not_tried_again_and_again():
    submission = parse_submission(submission_body("\0" * (MAX_JOB_BYTES // 6)))
    with pytest.raises(SubmissionUnusable, match="at most"):
        sandbox_job(submission, {})


def test_the_header_is_kept_verbatim():
    header = '{"submission_id":  7,"submission_key":"k", "extra": [1]}'
    lease = parse_lease(json.dumps({"xqueue_header": header, "xqueue_body": "b"}))
    assert (lease.header, lease.submission_id, lease.files_json) == (header, "7", "{}")


def test_the_key_and_the_learners_text_are_not_in_the_repr():
    header = json.dumps({"submission_id": 7, "submission_key": "SECRET"})
    lease = parse_lease({"xqueue_header": header, "xqueue_body": "CODE"})
    assert "SECRET" not in repr(lease)
    assert "CODE" not in repr(lease)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"xqueue_header": "x"}', None, 5])
def test_content_that_is_no_submission_is_the_servers_trouble(content):
    with pytest.raises(ServerUnreachable):
        parse_lease(content)


@pytest.mark.parametrize(
    "said", [None, 5, "", "nonsense", f"00-{'AB' * 16}-{'cd' * 8}-01", f"00-{'ab' * 16}-short-01"]
)
def test_what_is_no_traceparent_is_no_trace(said):
    header = {"submission_id": 1, "traceparent": said}
    assert parse_lease({"xqueue_header": header, "xqueue_body": "b"}).trace_id is None
