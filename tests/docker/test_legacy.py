"""Images of openedx/xqueue-watcher's ContainerGrader: only by permission, and marked forgeable."""

import json
from dataclasses import replace

import pytest

from sandbox.backends.docker import GRADER_BASE_IMAGE
from sandbox.backends.docker.legacy_result import LegacyNonsense, legacy_result
from sandbox.errors import GraderNotUsable, HostCannot
from sandbox.run import DirectoryGrader, ExitReason, ImageGrader, Isolation, Limits, RunRequest

ENTRY_POINT = b"""
import json, os, sys
path, seed = sys.argv[1:]
code = os.environ.get("SUBMISSION_CODE")
from_stdin = sys.stdin.read() if code is None else ""
print("a line before the result")
if (code or "").startswith("import"):
    exec(code)
facts = [path, seed, os.getuid(), os.environ["GRADER_LANGUAGE"], os.environ["HIDE_OUTPUT"]]
status = open("/proc/self/status").read()
facts += [len(code or ""), len(from_stdin), status.split("CapBnd:")[1].split()[0]]
tests = [["short", json.dumps(facts), True, "2", "2"], ["other", "", False, "3", "4"]]
print(json.dumps({"errors": [], "tests": tests, "correct": False, "score": 0.5}))
"""
PAYLOAD = json.dumps({"grader": "/graders/grade.py", "lang": "de", "hide_output": True})
DOCKERFILE = (
    f"FROM {GRADER_BASE_IMAGE}",
    "COPY main.py /main.py",
    'ENTRYPOINT ["python3", "/main.py"]',
)


@pytest.fixture
def image(build_image):
    return build_image(*DOCKERFILE, files={"main.py": ENTRY_POINT}).id


@pytest.fixture
def backend(image, open_docker):
    backend = open_docker(0, allow_legacy={image: "an old course, until June"})
    yield backend
    backend.close()


def request_for(image, response, payload=PAYLOAD, **limits):
    return RunRequest(
        run_id="legacy",
        grader=ImageGrader(image=image),
        job={"response": response, "payload": payload, "files": {}, "seed": 7},
        limits=Limits(**{"wall_s": 10, **limits}),
        isolation=Isolation.NONE,
    )


def test_an_old_image_runs_by_its_contract_and_its_result_is_marked(image, backend):
    result = backend.run(request_for(image, "print(1)"))
    assert result.reason is ExitReason.COMPLETED
    assert result.forgeable
    assert [(one.title, one.score, one.max_score) for one in result.reports] == [
        ("short", 1, 1),
        ("other", 0, 1),
    ]
    facts = json.loads(result.reports[0].output)
    assert facts == ["/graders/grade.py", "7", 1000, "de", "1", 8, 0, "0000000000000000"]


def test_without_permission_no_image_runs(image, open_docker):
    other = open_docker(0, allow_legacy={"another": "reason"})
    with pytest.raises(HostCannot, match="forged"):
        other.run(request_for(image, "print(1)"))
    unexplained = open_docker(0, allow_legacy={image: ""})
    with pytest.raises(HostCannot, match="forged"):
        unexplained.run(request_for(image, "print(1)"))


def test_the_operator_reads_which_grades_can_be_forged(image, backend):
    assert any("can be forged" in line for line in backend.describe().unenforced)


def test_a_submission_too_long_for_a_variable_is_not_graded_as_an_empty_one(image, backend):
    with pytest.raises(GraderNotUsable, match=r"org\.xqueue\.submission=stdin"):
        backend.run(request_for(image, "x" * 200_000))


def test_an_image_that_says_so_gets_a_long_submission_on_stdin(build_image, open_docker):
    lines = (*DOCKERFILE, "LABEL org.xqueue.submission=stdin")
    image = build_image(*lines, files={"main.py": ENTRY_POINT}).id
    backend = open_docker(0, allow_legacy={image: "reason"})
    result = backend.run(request_for(image, "x" * 200_000))
    assert json.loads(result.reports[0].output)[5:7] == [0, 200_000]
    backend.close()


def test_a_program_that_does_not_end_is_stopped(image, backend):
    result = backend.run(request_for(image, "import time; time.sleep(60)", wall_s=1))
    assert result.reason is ExitReason.LEARNER_LIMIT
    assert result.reports == ()
    assert result.forgeable


def test_a_program_that_takes_all_memory_is_stopped(image, backend):
    code = "import os\nx = []\nwhile True: x.append(bytes(10_000_000))"
    result = backend.run(request_for(image, code, memory_bytes=64 << 20))
    assert result.reason is ExitReason.LEARNER_LIMIT


def test_a_grader_that_crashes_gives_no_grade(image, backend):
    result = backend.run(request_for(image, "import sys; sys.exit(3)"))
    assert result.reason is ExitReason.GRADER_FAILED
    assert "status 3" in result.detail


def test_a_flood_of_output_ends_the_run(image, backend):
    code = "import sys\nwhile True: sys.stdout.write('x' * 1_000_000)"
    result = backend.run(request_for(image, code))
    assert result.reason is ExitReason.GRADER_FAILED
    assert "more than" in result.detail


@pytest.mark.parametrize("payload", ["[]", "{", '{"grader": 3}', '{"grader": "a\\u0000b"}'])
def test_a_payload_without_a_grader_is_the_course_teams_fault(image, backend, payload):
    with pytest.raises(GraderNotUsable, match="grader_payload"):
        backend.run(request_for(image, "1", payload))


def test_a_directory_has_no_legacy_contract(backend, tmp_path):
    (tmp_path / "grade.py").write_text("")
    request = replace(request_for("x", "1"), grader=DirectoryGrader(path=tmp_path))
    with pytest.raises(GraderNotUsable):
        backend.run(request)


def result_of(**answer):
    content = {"errors": [], "tests": [], "correct": True, "score": 1, **answer}
    line = json.dumps(content).encode()
    return legacy_result(b"noise\n" + line + b"\n\n", Limits(), grader_log="")


def test_a_score_that_is_not_the_mean_of_the_tests_counts_alone():
    result = result_of(tests=[["a", "", True, "1", "1"], ["b", "", False, "1", "2"]], score=0.75)
    assert [(one.test_id, one.score, one.max_score) for one in result.reports] == [
        ("t1", 0, 0),
        ("t2", 0, 0),
        ("score", 0.75, 1),
    ]
    assert result.declared_max == 1


def test_errors_are_shown_with_the_score():
    result = result_of(errors=["it does not compile"], score=0)
    assert result.reports[0].output == "it does not compile"
    assert (result.reports[0].score, result.declared_max) == (0, 1)


@pytest.mark.parametrize(
    "answer",
    [
        {"score": float("nan")},
        {"score": 1.5},
        {"score": -0.1},
        {"score": True},
        {"score": "1"},
        {"tests": {}},
        {"tests": [["a", "b", 1, "c", "d"]]},
        {"tests": [["a", "b"]]},
        {"errors": "text"},
    ],
)
def test_what_the_contract_does_not_allow_is_no_grade(answer):
    with pytest.raises(LegacyNonsense):
        result_of(**answer)


@pytest.mark.parametrize("stdout", [b"", b"\n\n", b"[1]\n", b"{", b"[" * 100_000])
def test_a_last_line_that_is_no_result_is_no_grade(stdout):
    with pytest.raises(LegacyNonsense):
        legacy_result(stdout, Limits(), grader_log="")


def test_texts_beyond_the_limit_are_dropped_and_their_points_are_not():
    line = json.dumps(
        {"errors": [], "tests": [["a", "x" * 500, True, "", ""]], "correct": True, "score": 1}
    )
    result = legacy_result(line.encode(), Limits(result_bytes=100), grader_log="")
    assert result.reports[0].output == "(not kept: too much output)"
    assert result.reports[0].score == 1
