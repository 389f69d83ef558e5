"""Every example grades its own right, wrong, crashing and looping answers as it says it does."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from graders.checking import Kind, answer_of, check_grader, differences
from graders.cli.main import main
from graders.grader_file import read_grader_file
from graders.languages import LANGUAGES
from graders.publishing.docker_program import BUILD_NETWORK
from graders.trying import Answer, OpenGrader, opened
from sandbox.run import ExitReason
from tests.support.together import try_together, wanted_cases

EXAMPLES = Path(__file__).parents[2] / "graders" / "examples"
DECLARED = sorted(path.parent for path in EXAMPLES.glob("*/grader.yaml"))
IN_BUNDLES = [path for path in DECLARED if not (path / "Dockerfile").exists()]


def sample_names(directory):
    return {Path(sample.path).stem for sample in read_grader_file(directory).samples}


def grade(directory, backend, sample, *, seed=1):
    text = (directory / "samples" / sample).read_text()
    with opened(directory, backend) as grader:
        return grader.grade(Answer(response=text, seed=seed))


@pytest.fixture(scope="module")
def checked(request, docker_backend):
    """What each example's check came to."""
    wanted = wanted_cases(request, "directory")
    return try_together({path: partial(check_grader, path, docker_backend) for path in wanted})


@pytest.mark.parametrize("directory", IN_BUNDLES, ids=lambda path: path.name)
def test_an_examples_samples_are_graded_as_it_declares(checked, directory):
    findings = checked[directory].result()
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
def queens_image(engine, docker_backend):
    """The id of the tier-2 example's image, built as authors are told to."""
    words = ["build", str(QUEENS), "--quiet"]
    done = CliRunner().invoke(main, words, env={BUILD_NETWORK: "none"})
    assert done.exit_code == 0, done.output
    image_id = done.stdout.strip()
    yield image_id
    docker_backend.settle()  # no image goes before its last container
    engine.images.remove(image_id, force=True)


@pytest.mark.parametrize(
    "sample", read_grader_file(QUEENS).samples, ids=lambda sample: Path(sample.path).stem
)
def test_the_example_that_is_an_image_grades_a_sample_as_declared(
    docker_backend, queens_image, sample
):
    manifest = replace(read_grader_file(QUEENS).manifest(), image=queens_image)
    grader = OpenGrader(manifest=manifest, directory=QUEENS, backend=docker_backend)
    result = grader.grade(answer_of(sample, QUEENS))
    assert list(differences(sample, result)) == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("char table[4182000] = {1};\n", "too large when it is compiled"),
        ("//" + "x" * 6_000_000, "too long"),
    ],
    ids=["program", "code"],
)
def test_an_image_whose_learners_program_is_too_large_fails_the_learner_alone(
    docker_backend, queens_image, more, words
):
    manifest = replace(read_grader_file(QUEENS).manifest(), image=queens_image)
    grader = OpenGrader(manifest=manifest, directory=QUEENS, backend=docker_backend)
    text = (QUEENS / "samples" / "correct.c").read_text() + more
    result = grader.grade(Answer(response=text))
    assert result.reason is ExitReason.COMPLETED, result
    assert {(report.score, report.status) for report in result.reports} == {(0, "error")}
    assert words in result.reports[0].output


ACCOUNTS = EXAMPLES / "bank-account"
CLASSES = {
    "nested": """
    private static class Cents { int n = 1; }
    private final Cents cents = new Cents();
    private final Runnable none = new Runnable() { public void run() { } };
    private final int of = switch (Thread.State.NEW) { case NEW -> 1; default -> 2; };
}
""",
    "hundreds": "}\n" + "\n".join(f"class K{number} {{ }}" for number in range(300)),
}


@pytest.mark.parametrize("more", CLASSES.values(), ids=CLASSES)
def test_a_java_program_may_have_classes_of_any_kind_and_number(docker_backend, more):
    text = (ACCOUNTS / "samples" / "correct.java").read_text().rstrip()
    with opened(ACCOUNTS, docker_backend) as grader:
        result = grader.grade(Answer(response=text.removesuffix("}") + more))
    assert {report.status for report in result.reports} == {"passed"}, result.reports[0].output


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
