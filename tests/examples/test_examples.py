"""Every example grades its own right, wrong, crashing and looping answers as it says it does."""

import subprocess
from pathlib import Path

import pytest

from graders.checking import Kind, check_grader
from graders.grader_file import read_grader_file
from graders.languages import LANGUAGES
from graders.reply.score import grade_of
from graders.reply.verdict import is_passed, status_of
from graders.trying import Answer, opened
from sandbox.run import ImageGrader, RunRequest

EXAMPLES = Path(__file__).parents[2] / "graders" / "examples"
DECLARED = sorted(path.parent for path in EXAMPLES.glob("*/grader.yaml"))
IN_BUNDLES = [path for path in DECLARED if not (path / "Dockerfile").exists()]


def sample_names(directory):
    return {Path(sample.path).stem for sample in read_grader_file(directory).samples}


def grade(directory, backend, sample, *, seed=1):
    text = (directory / "samples" / sample).read_text()
    with opened(directory, backend) as grader:
        return grader.grade(Answer(response=text, seed=seed))


@pytest.mark.parametrize("directory", IN_BUNDLES, ids=lambda path: path.name)
def test_an_examples_samples_are_graded_as_it_declares(docker_backend, directory):
    findings = check_grader(directory, docker_backend)
    assert [str(finding) for finding in findings if finding.kind is not Kind.OK] == []


@pytest.mark.parametrize("directory", DECLARED, ids=lambda path: path.name)
def test_an_example_shows_the_four_kinds_of_answers(directory):
    kinds = {name.split("-")[0] for name in sample_names(directory)}
    assert kinds >= {"correct", "wrong", "crashing", "looping"}


@pytest.mark.parametrize("directory", DECLARED, ids=lambda path: path.name)
def test_every_sample_of_an_example_is_declared(directory):
    declared = {sample.path for sample in read_grader_file(directory).samples}
    assert declared == {f"samples/{path.name}" for path in (directory / "samples").iterdir()}


QUEENS = EXAMPLES / "eight-queens"


@pytest.fixture(scope="module")
def queens_image(engine):
    """The id of the tier-2 example's image, built from the sources here."""
    tag = "xqueue/example-eight-queens:test"
    command = ["docker", "build", "--network", "none", "--tag", tag, QUEENS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    yield engine.images.get(tag).id
    engine.images.remove(tag, force=True)


@pytest.mark.parametrize(
    "sample", read_grader_file(QUEENS).samples, ids=lambda sample: Path(sample.path).stem
)
def test_the_example_that_is_an_image_grades_a_sample_as_declared(
    docker_backend, queens_image, sample
):
    manifest = read_grader_file(QUEENS).manifest()
    request = RunRequest(
        run_id="test-queens",
        grader=ImageGrader(image=queens_image),
        job={"response": (QUEENS / sample.path).read_text(), "payload": "", "files": {}},
        limits=manifest.limits,
        tests=manifest.tests,
    )
    result = docker_backend.run(request)
    failed = {report.test_id for report in result.reports if not is_passed(report)}
    statuses = {report.test_id: status_of(report) for report in result.reports}
    assert grade_of(result).fraction == pytest.approx(sample.score, abs=0.005), result
    assert sample.fails is None or failed == set(sample.fails)
    assert statuses | sample.statuses == statuses


def test_every_language_has_an_example():
    assert {read_grader_file(path).language.name for path in DECLARED} == set(LANGUAGES)


def test_a_wrong_curve_is_plotted_beside_the_right_one(docker_backend):
    result = grade(EXAMPLES / "projectile-plot", docker_backend, "wrong.py")
    pictures = {report.test_id: report.pictures for report in result.reports}
    assert [len(pictures[test]) for test in ("slow", "steep", "other")] == [1, 1, 0]
    right = grade(EXAMPLES / "projectile-plot", docker_backend, "correct.py")
    assert pictures["slow"] != right.reports[0].pictures


def test_another_seed_asks_for_another_key(docker_backend):
    directory = EXAMPLES / "affine-cipher"
    scores = [
        [report.score for report in grade(directory, docker_backend, sample, seed=seed).reports]
        for sample, seed in [("correct-seed-1.py", 1), ("correct-seed-1.py", 2)]
    ]
    assert scores == [[1, 2, 1], [0, 0, 0]]


def test_a_null_pointer_in_c_is_told_with_its_line(docker_backend):
    result = grade(EXAMPLES / "reverse-words", docker_backend, "crashing.c")
    assert "reverse_words.c:5:21: runtime error" in result.reports[0].output


def test_what_a_c_compiler_says_reaches_the_learner(docker_backend):
    result = grade(EXAMPLES / "reverse-words", docker_backend, "does-not-compile.c")
    assert "expected ',' or ';' before 'return'" in result.reports[0].output


def test_hostile_sql_finds_neither_the_answers_nor_a_way_out(docker_backend):
    result = grade(EXAMPLES / "bookshop", docker_backend, "hostile.sql")
    hidden_answer = (EXAMPLES / "bookshop" / "tests" / "other.out").read_text().split("\n")[0]
    shown = "".join(f"{report.output}{report.actual}" for report in result.reports)
    assert "Permission denied" in shown
    assert hidden_answer not in shown
    assert sum(report.score for report in result.reports) == 0
