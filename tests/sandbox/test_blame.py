"""Whose fault a run's end is: what a learner does never breaks a grader or the platform."""

import json

import pytest

from sandbox.errors import GraderNotUsable
from sandbox.probe.script import DONE, TESTS, one_run, probe_request, ran, report_step, run_step
from sandbox.run import MAX_JOB_BYTES, MIB, ExitReason, Limits, RunRequest

LIMITS = Limits(wall_s=12, learner_wall_s=4, learner_cpu_s=3, memory_bytes=128 * MIB)
TAKE_THE_GRADERS_MEMORY = """
try:
    open("/proc/self/oom_score_adj", "w").write("0")
except OSError:
    pass
def processes():
    return [name for name in os.listdir("/proc") if name.isdigit()]
before, kept, written = processes(), [], 0
while processes() == before:
    if written % 200 == 0:
        kept.append(os.memfd_create("hoard"))
    written += os.write(kept[-1], b"x" * 65536) // 65536
os._exit(0)
"""


def test_memory_that_a_learner_takes_away_from_the_grader_is_the_learners_fault(backend):
    result = backend.run(probe_request(one_run(), TAKE_THE_GRADERS_MEMORY, limits=LIMITS))
    assert result.reason in (ExitReason.COMPLETED, ExitReason.LEARNER_LIMIT), result
    assert sum(report.score for report in result.reports if report.test_id == "t1") == 0


@pytest.mark.parametrize(
    "code", ["#" + "x" * 200_000, "#\0", "#\ud800"], ids=["long", "nul", "half"]
)
def test_arguments_no_program_can_be_given_are_an_answer_for_the_grader(backend, code):
    result = backend.run(probe_request(one_run(), code, limits=LIMITS))
    assert result.reason is ExitReason.COMPLETED, result
    assert ran(result.reports[0]).code == 127


def test_time_that_ends_just_after_the_learners_program_is_the_learners(backend):
    script = [TESTS, run_step("t1"), {"do": "hang"}]
    limits = Limits(wall_s=12, learner_wall_s=60)
    result = backend.run(probe_request(script, "import time; time.sleep(8)", limits=limits))
    assert result.reason is ExitReason.LEARNER_LIMIT
    assert [report.score for report in result.reports] == [1]


def test_time_that_ends_long_after_the_learners_program_is_the_graders(backend):
    script = [TESTS, run_step("t1"), {"do": "hang"}]
    result = backend.run(probe_request(script, "pass", limits=Limits(wall_s=4)))
    assert result.reason is ExitReason.GRADER_FAILED


@pytest.mark.parametrize("depth", range(980, 991))
def test_nesting_at_the_edge_of_what_can_be_decoded_is_not_our_failure(bubblewrap_backend, depth):
    body = b'{"type":"report","id":"t1","score":1,"x":' + b"[" * depth + b"]" * depth + b"}"
    raw = {"do": "raw", "hex": (len(body).to_bytes(4, "big") + body).hex()}
    script = [TESTS, raw, report_step("t2"), report_step("t3"), DONE]
    result = bubblewrap_backend.run(probe_request(script, limits=Limits(wall_s=30)))
    assert result.reason in (ExitReason.COMPLETED, ExitReason.GRADER_FAILED)


def test_a_flood_of_large_frames_ends_the_run_at_once(backend):
    tests = [{"id": "a", "max": 1, "title": "x" * 200_000}]
    script = [TESTS, {"do": "flood", "frame": {"type": "tests", "tests": tests}}]
    result = backend.run(probe_request(script, limits=Limits(wall_s=90)))
    assert result.reason is ExitReason.GRADER_FAILED
    assert result.phases_ms["run"] < 30_000


def job_request(size, limits):
    request = probe_request(one_run(), "print(1)", limits=limits)
    job = dict(request.job)
    job["files"] = {"big": "x" * (size - len(json.dumps(job)) - 20)}
    return RunRequest(run_id="big-job", grader=request.grader, job=job, limits=limits)


def test_the_largest_job_reaches_the_program_under_the_default_limits(backend):
    result = backend.run(job_request(MAX_JOB_BYTES, Limits(wall_s=60)))
    assert result.reason is ExitReason.COMPLETED, result
    assert ran(result.reports[0]).stdout == "1\n"


def test_a_job_beyond_the_memory_limit_is_not_tried_again_and_again(docker_backend):
    with pytest.raises(GraderNotUsable, match="memory_bytes"):
        docker_backend.run(job_request(MAX_JOB_BYTES, Limits(wall_s=60, memory_bytes=64 * MIB)))


def test_a_job_beyond_the_first_frame_is_not_tried_again_and_again(backend):
    with pytest.raises(GraderNotUsable, match="bytes"):
        backend.run(job_request(70 * MIB, Limits()))


def test_many_programs_of_one_run_do_not_use_up_its_processes(bubblewrap_backend):
    names = [f"t{number}" for number in range(150)]
    tests = {"do": "tests", "tests": [{"id": name, "max": 1} for name in names]}
    script = [tests, *(run_step(name, argv=["/bin/true"]) for name in names), DONE]
    limits = Limits(wall_s=300, pids=16)
    result = bubblewrap_backend.run(probe_request(script, limits=limits))
    assert sum(report.score for report in result.reports) == 150


def test_files_that_do_not_fit_are_not_our_failure(backend):
    script = [TESTS, run_step("t1", files={"big": "A" * 4_000_000}), DONE]
    limits = Limits(wall_s=30, scratch_bytes=2 * MIB)
    result = backend.run(probe_request(script, limits=limits))
    assert result.reason is ExitReason.GRADER_FAILED
    assert "do not fit" in result.detail
