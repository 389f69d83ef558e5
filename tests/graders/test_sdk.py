"""Tier 1: a grader that is a short Python program."""

import pytest

from graders.describing import pack_with_tests
from graders.errors import GradingFailed
from sandbox.run import ExitReason
from tests.graders.grading import grade, graded, scores, statuses

YAML = "name: x\nlanguage: python\n"
HEAD = "from graders.library import grader\n"
END = "\ngrader.main()\n"
PNG = bytes.fromhex("89504e470d0a1a0a")

SQUARES = (
    HEAD
    + """
@grader.test("three", title="the square of 3")
def three(t):
    answer = t.call("square", 3)
    t.check(answer.value == 9, expected=9, actual=answer.shown)

@grader.test("random", points=2, hidden=True)
def some_number(t):
    number = t.random.randint(-1000, 1000)
    t.check(t.call("square", number).value == number**2)

@grader.test("prints", points=4)
def prints(t):
    ran = t.run(stdin="5", args=["x"], files={"in.txt": "data"})
    t.points(1)
    t.check("5xdata" in ran.stdout, "wrong words", expected="5xdata", actual=ran.stdout)
    t.points(4)
"""
    + END
)
RIGHT = """
import sys
def square(x):
    return x * x
if len(sys.argv) > 1:
    print(sys.stdin.read() + sys.argv[1] + open("in.txt").read())
"""


@pytest.fixture
def a_program(grader_at):
    def make(body, yaml=YAML):
        return grader_at({"grader.yaml": yaml, "grade.py": HEAD + body + END})

    return make


def test_functions_are_called_and_programs_run(backend, grader_at):
    directory = grader_at({"grader.yaml": YAML, "grade.py": SQUARES})
    assert scores(graded(backend, directory, RIGHT)) == {"three": 1, "random": 2, "prints": 4}


def test_a_failed_check_ends_the_test_and_is_shown(bubblewrap_backend, grader_at):
    directory = grader_at({"grader.yaml": YAML, "grade.py": SQUARES})
    reports = graded(bubblewrap_backend, directory, "def square(x): return 6")
    assert statuses(reports) == {"three": "failed", "random": "failed", "prints": "partial"}
    assert (reports["three"].expected, reports["three"].actual) == ("9", "6")
    assert reports["prints"].score == 1
    assert "wrong words" in reports["prints"].output
    assert (reports["random"].output, reports["random"].visible) == ("", False)


def test_why_a_program_was_stopped_is_told_without_the_authors_help(bubblewrap_backend, a_program):
    body = (
        '@grader.test("a")\ndef a(t): t.check(t.call("f").value == 1)\n'
        '@grader.test("b")\ndef b(t): t.check(t.run(time_s=1).stdout == "1")\n'
    )
    code = "def f(): 1 / 0\nif __name__ == '__main__':\n    while True: pass\n"
    reports = graded(bubblewrap_backend, a_program(body), code)
    assert statuses(reports) == {"a": "error", "b": "time"}
    assert "ZeroDivisionError" in reports["a"].output
    assert "longer than 1 s" in reports["b"].output


def test_the_same_seed_gives_the_same_numbers(bubblewrap_backend, a_program):
    body = (
        '@grader.test("a")\ndef a(t): t.say(t.random.random())\n'
        '@grader.test("b")\ndef b(t): t.say(t.random.random())\n'
    )
    directory = a_program(body)

    def said(seed):
        reports = graded(bubblewrap_backend, directory, "", seed=seed)
        return [report.output for report in reports.values()]

    assert said(1) == said(1)
    assert said(1) != said(2)
    assert len(set(said(1))) == 2


def test_markup_pictures_and_what_was_handed_in(bubblewrap_backend, a_program):
    body = f"""
@grader.test("a")
def a(t):
    t.html("<b>hi</b>")
    t.picture("plot", {PNG!r})
    t.say(t.submission)
    t.say(t.files["d"] + t.files["t"])
    t.say(t.seed)
    t.say(t.payload)
"""
    files = {"d": b"\0\xff", "t": "é".encode()}
    answer = {"files": files, "seed": 7, "payload": "pay"}
    report = graded(bubblewrap_backend, a_program(body), "code\r\n", **answer)["a"]
    assert report.html == "<b>hi</b>"
    assert [(picture.label, picture.data) for picture in report.pictures] == [("plot", PNG)]
    assert report.output.split("\n") == ["code", "", "b'\\x00\\xff\\xc3\\xa9'", "7", "pay"]


def test_values_may_be_tuples_and_sets_in_both_directions(bubblewrap_backend, a_program):
    body = """
from graders.library import same_value
@grader.test("a")
def a(t):
    answer = t.call("f", (1, 2), {3}, key={4: 5})
    t.check(same_value({"$tuple": [{"$tuple": [1, 2]}, {"$set": [3]}]}, answer.value))
"""
    code = "def f(a, b, key):\n    assert key == {4: 5}\n    return (a, b)\n"
    assert scores(graded(bubblewrap_backend, a_program(body), code)) == {"a": 1}


def test_values_nested_too_deeply_are_a_failed_test_and_no_broken_grader(
    bubblewrap_backend, a_program
):
    body = """
@grader.test("a")
def a(t):
    answer = t.call("f")
    t.check(answer.value == 1, expected=1, actual=answer.value)
@grader.test("b")
def b(t):
    t.check(t.call("f", t.call("f").value).value == 1)
"""
    # As a program may that is not the driver.
    code = "import os\nos.write(3, b'{\"value\":' + b'[' * 600 + b']' * 600 + b'}')\nos._exit(0)\n"
    reports = graded(bubblewrap_backend, a_program(body), code)
    assert scores(reports) == {"a": 0, "b": 0}
    assert reports["a"].actual == "a value nested too deeply to be shown"


def test_the_tests_can_be_listed_in_grader_yaml(bubblewrap_backend, a_program):
    yaml = YAML + "tests:\n  - {id: a, title: The first, points: 3, feedback: Hm.}\n"
    directory = a_program('@grader.test("a")\ndef a(t): t.check(t.submission)\n', yaml)
    report = graded(bubblewrap_backend, directory, "")["a"]
    assert (report.title, report.max_score, report.output) == ("The first", 3, "Hm.")


def test_a_grader_is_asked_for_its_tests_without_grading(bubblewrap_backend, grader_at):
    directory = grader_at({"grader.yaml": YAML, "grade.py": SQUARES})
    tests = pack_with_tests(directory, bubblewrap_backend).manifest.tests
    assert [(test.test_id, test.title, test.max_score, test.visible) for test in tests] == [
        ("three", "the square of 3", 1, True),
        ("random", "random", 2, False),
        ("prints", "prints", 4, True),
    ]


@pytest.mark.parametrize(
    ("body", "yaml", "said"),
    [
        ("", YAML, "declares no test"),
        ('@grader.test("a")\ndef a(t): pass\n' * 2, YAML, "two functions"),
        ("1 / 0\n", YAML, "ZeroDivisionError"),
        ('@grader.test("a")\ndef a(t): pass\n', YAML + "tests:\n  - id: b\n", "'a'"),
        (
            '@grader.test("a", points=2)\ndef a(t): pass\n',
            YAML + "tests:\n  - id: a\n",
            "say points in grader.yaml",
        ),
        (
            '@grader.test("a")\ndef a(t): pass\n',
            YAML + "tests:\n  - id: a\n  - id: b\n",
            "no function of grade.py",
        ),
    ],
)
def test_what_is_declared_wrongly_is_told_to_the_author(
    bubblewrap_backend, a_program, body, yaml, said
):
    directory = a_program(body, yaml)
    if yaml == YAML:
        with pytest.raises(GradingFailed, match=said):
            pack_with_tests(directory, bubblewrap_backend)
        return
    result = grade(bubblewrap_backend, directory, "")
    assert result.reason is ExitReason.GRADER_FAILED
    assert said in result.detail


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1 / 0", "grade.py:5"),
        ("t.points(2)", "not from 0 to 1"),
        ("t.fail_grader('no data')", "no data"),
    ],
)
def test_a_mistake_in_a_test_is_the_graders_fault(bubblewrap_backend, a_program, line, said):
    body = f'\n@grader.test("a")\ndef a(t):\n    {line}\n'
    result = grade(bubblewrap_backend, a_program(body), "")
    assert result.reason is ExitReason.GRADER_FAILED
    assert said in result.detail


def test_what_does_not_compile_fails_every_test(bubblewrap_backend, grader_at):
    body = '@grader.test("a")\ndef a(t): t.run()\n@grader.test("b")\ndef b(t): t.run()\n'
    directory = grader_at({"grader.yaml": "name: x\nlanguage: c\n", "grade.py": HEAD + body + END})
    reports = graded(bubblewrap_backend, directory, "int main( {")
    assert set(statuses(reports).values()) == {"error"}
    assert "could not be compiled" in reports["a"].output
