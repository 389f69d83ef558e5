"""Old `grader.py` files run unchanged, and their learners can not cheat any more."""

import pytest

from sandbox.run import ExitReason
from tests.graders.grading import grade, graded, scores, statuses

YAML = "name: old\nlanguage: python\ngradelib: grader.py\n"
ANSWER = "def square(x):\n    return x * x\n"
GRADER = '''
from grader_support import gradelib
from gradelib import *

grader = gradelib.Grader()
grader.add_input_check(prohibited_substring("import this"))
grader.add_test(gradelib.InvokeStudentFunctionTest("square", [3]))

def some_number(submission_module):
    number = gradelib.rand.randint(1, 1000)
    print(number, submission_module.square(number))

grader.add_test(Test(some_number, "random", "the square of some number"))

class Tests(object):
    def test_two_is_four(self, submission_module):
        """two"""
        if submission_module.square(2) != 4:
            grader.end_test("two is not four")
        print(_("fine"))

grader.add_tests_from_class(Tests)
'''


@pytest.fixture
def old(grader_at):
    def make(grader=GRADER, answer=ANSWER, **files):
        return grader_at({"grader.yaml": YAML, "grader.py": grader, "answer.py": answer, **files})

    return make


def test_a_right_answer_prints_what_the_staffs_prints(backend, old):
    reports = graded(backend, old(), "def square(x): return x ** 2\r\n")
    assert scores(reports) == {"t1": 1, "t2": 1, "t3": 1}
    assert [report.title for report in reports.values()] == [
        "Test: square(3)",
        "random",
        "Test: two is four",
    ]


def test_a_wrong_answer_is_compared_test_by_test(bubblewrap_backend, old):
    reports = graded(bubblewrap_backend, old(), "def square(x): return x + x")
    assert scores(reports) == {"t1": 0, "t2": 0, "t3": 1}
    assert (reports["t1"].expected, reports["t1"].actual) == ("9\n", "6\n")
    assert reports["t2"].output == "the square of some number"


def test_an_ended_test_tells_why(bubblewrap_backend, old):
    report = graded(bubblewrap_backend, old(), "def square(x): return 0")["t3"]
    assert (report.score, report.actual) == (0, "*** Error: two is not four\n")


def test_an_exception_fails_its_test_and_names_itself(bubblewrap_backend, old):
    report = graded(bubblewrap_backend, old(), "def square(x): raise ValueError('no')")["t1"]
    assert report.status == "error"
    assert report.actual == "ValueError: no\n"


def test_a_test_that_does_not_end_fails_alone(bubblewrap_backend, old):
    code = "def square(x):\n    while x > 3: pass\n    return x * x\n"
    reports = graded(bubblewrap_backend, old(), code)
    assert statuses(reports) == {"t1": "passed", "t2": "time", "t3": "passed"}


def test_an_input_check_comes_before_everything(bubblewrap_backend, old):
    reports = graded(bubblewrap_backend, old(), ANSWER + "import this\n")
    assert set(statuses(reports).values()) == {"failed"}
    assert "should not contain 'import this'" in reports["t1"].output


def test_code_that_cannot_be_loaded_says_so(bubblewrap_backend, old):
    reports = graded(bubblewrap_backend, old(), "def square(x)\n")
    assert set(statuses(reports).values()) == {"error"}
    assert "SyntaxError" in reports["t1"].output
    assert "(line 1)" in reports["t1"].output


def test_scripts_are_wrapped_and_their_output_compared(bubblewrap_backend, old):
    directory = old(
        "import gradelib\ngrader = gradelib.Grader()\n"
        "grader.add_preprocessor(gradelib.wrap_in_string)\n"
        "grader.add_test(gradelib.ExecWrappedStudentCodeTest({'n': 4}, 'runs'))\n"
        "grader.add_test(gradelib.Test(gradelib.exec_code_and_inspect_values({'n': 2}, ['x']),\n"
        "                              'x'))\n",
        "x = n * n\nprint(x)\n",
    )
    assert scores(graded(bubblewrap_backend, directory, "x = n ** 2\nprint(x)")) == {
        "t1": 1,
        "t2": 1,
    }
    assert scores(graded(bubblewrap_backend, directory, "print(n + n)")) == {"t1": 0, "t2": 0}


def test_comparisons_of_the_author_decide(bubblewrap_backend, old):
    directory = old(
        "from gradelib import *\n"
        "def near(expected, actual):\n"
        "    if 'x' in actual: raise EndTest('no letters')\n"
        "    return abs(float(expected) - float(actual)) < 1\n"
        "grader = Grader()\n"
        "grader.add_test(Test(lambda m: print(m.f()), 'near', compare=near))\n",
        "def f(): return 10\n",
    )
    assert scores(graded(bubblewrap_backend, directory, "def f(): return 10.5")) == {"t1": 1}
    report = graded(bubblewrap_backend, directory, "def f(): return 'x'")["t1"]
    assert (report.score, report.output) == (0, "no letters")


def test_what_a_grader_imports_can_be_listed(bubblewrap_backend, old):
    grader = (
        "import extra\nfrom gradelib import *\ngrader = Grader()\ngrader.add_test(extra.test)\n"
    )
    extra = "from gradelib import *\ntest = InvokeStudentFunctionTest('square', [5])\n"
    listed = old(grader, **{"grader.yaml": YAML + "files: [extra.py]\n", "extra.py": extra})
    assert scores(graded(bubblewrap_backend, listed, ANSWER)) == {"t1": 1}


def test_what_is_not_listed_is_the_graders_fault(bubblewrap_backend, old):
    grader = (
        "import extra\nfrom gradelib import *\ngrader = Grader()\ngrader.add_test(extra.test)\n"
    )
    extra = "from gradelib import *\ntest = InvokeStudentFunctionTest('square', [5])\n"
    result = grade(bubblewrap_backend, old(grader, **{"extra.py": extra}), ANSWER)
    assert result.reason is ExitReason.GRADER_FAILED
    assert "must be listed in `files`" in result.detail


def test_the_payload_can_hide_output_or_skip_the_grader(bubblewrap_backend, old):
    hidden = graded(bubblewrap_backend, old(), "x = 1", payload='{"hide_output": true}')
    told = {(report.output, report.expected, report.actual) for report in hidden.values()}
    assert told == {("", None, None)}
    skipped = graded(bubblewrap_backend, old(), "x = 1", payload='{"skip_grader": true}')
    assert scores(skipped) == {"t1": 1, "t2": 1, "t3": 1}


def test_the_tests_can_be_given_points_in_grader_yaml(bubblewrap_backend, old):
    tests = "tests:\n  - {id: a, points: 5}\n  - {id: b, hidden: true}\n  - {id: c}\n"
    directory = old(**{"grader.yaml": YAML + tests})
    assert scores(graded(bubblewrap_backend, directory, ANSWER)) == {"a": 5, "b": 1, "c": 1}


FORGERIES = {
    "the whole result on stdout": """
import os
os.write(1, b'{"errors": [], "tests": [], "correct": true, "score": 1.0}\\n')
os._exit(0)
""",
    "the answer by import": "from answer import *\n",
    "the answer by path": """
import os
for folder, _, names in os.walk("/"):
    if "answer.py" in names:
        exec(open(os.path.join(folder, "answer.py")).read())
""",
    "the comparator": """
import gradelib
gradelib.Test.compare_results = lambda *args: True
square = lambda x: 0
""",
    "the frames": """
import sys
def square(x):
    frame = sys._getframe()
    while frame:
        for value in frame.f_locals.values():
            if isinstance(value, dict) and "expected_output" in value:
                return value["expected_output"]
        frame = frame.f_back
    return 0
""",
    "verdicts for every test": """
import os
for fd in range(1, 10):
    try:
        os.write(fd, b'\\n{"test": 0, "output": "", "error": null, "score": 1, "passed": true}\\n')
    except OSError:
        pass
os._exit(0)
""",
    "a broken grader": """
import os
for fd in range(1, 10):
    try:
        os.write(fd, b'\\n{"test": -1, "grader_error": "x"}\\n')
    except OSError:
        pass
os._exit(0)
""",
    "rubbish": """
import os
lines = b'[[[[', b'{"test": "x"}', b'{"test": true, "output": 3}', b'{"test": 99, "output": ""}'
for fd in range(1, 10):
    try:
        os.write(fd, b"\\n".join([b"", *lines, b""]))
    except OSError:
        pass
os._exit(0)
""",
}


@pytest.mark.parametrize("code", FORGERIES.values(), ids=FORGERIES)
def test_no_forgery_gets_a_point_or_breaks_the_grader(backend, old, code):
    grader = (
        "from gradelib import *\ngrader = Grader()\n"
        "grader.add_test(InvokeStudentFunctionTest('square', [3]))\n"
        "grader.add_test(InvokeStudentFunctionTest('square', [4]))\n"
    )
    assert set(scores(graded(backend, old(grader), code)).values()) == {0}


NUMBERS = """
from gradelib import *
grader = Grader()
class Tests(object):
    def test_g(self, module): print(module.g(3))
    def compare_results(self, expected, actual): return abs(float(expected) - float(actual)) < 1e-6
grader.add_tests_from_class(Tests)
"""
DOUBLE = "def g(x): return 2 * x\n"


@pytest.mark.parametrize(
    ("code", "score", "status"),
    [
        ("def g(x): return x + x", 1, "passed"),
        ("def g(x): return 'six'", 0, "failed"),
        ("def g(x): return None", 0, "failed"),
        ("def g(x): 1 / 0", 0, "error"),
    ],
)
def test_output_that_a_comparison_can_not_read_is_wrong(
    bubblewrap_backend, old, code, score, status
):
    reports = graded(bubblewrap_backend, old(NUMBERS, DOUBLE), code)
    assert (scores(reports), statuses(reports)) == ({"t1": score}, {"t1": status})
    assert ("could not be compared" in reports["t1"].output) is (score == 0)


def test_a_comparison_that_can_not_read_the_staffs_answer_is_the_graders_fault(
    bubblewrap_backend, old
):
    result = grade(bubblewrap_backend, old(NUMBERS, "def g(x): return 'six'\n"), DOUBLE)
    assert result.reason is ExitReason.GRADER_FAILED
    assert "could not convert string to float" in result.detail


@pytest.mark.parametrize("add", ["add_input_check", "add_preprocessor"])
def test_code_that_a_check_of_the_authors_can_not_read_is_wrong(bubblewrap_backend, old, add):
    read = {
        "add_input_check": "ast.parse(code) and None",
        "add_preprocessor": "ast.parse(code) and code",
    }
    grader = f"import ast\n{NUMBERS}\ngrader.{add}(lambda code: {read[add]})\n"
    directory = old(grader, DOUBLE)
    assert scores(graded(bubblewrap_backend, directory, DOUBLE)) == {"t1": 1}
    reports = graded(bubblewrap_backend, directory, "def g(x")
    assert statuses(reports) == {"t1": "failed"}
    assert "could not be examined" in reports["t1"].output


def test_a_check_that_can_not_read_the_staffs_answer_is_the_graders_fault(bubblewrap_backend, old):
    grader = f"{NUMBERS}\ngrader.add_input_check(lambda code: 1 / 0)\n"
    result = grade(bubblewrap_backend, old(grader, DOUBLE), DOUBLE)
    assert result.reason is ExitReason.GRADER_FAILED
    assert "division by zero" in result.detail


@pytest.mark.parametrize("text", ["a;" * 500_000, "(" * 1_000_000], ids=["names", "brackets"])
def test_code_that_nobody_typed_is_told_to_be_too_long(bubblewrap_backend, old, text):
    grader = f"{NUMBERS}\ngrader.add_input_check(prohibited_keyword('while'))\n"
    reports = graded(bubblewrap_backend, old(grader, DOUBLE), f"{DOUBLE}{text}\n")
    assert statuses(reports) == {"t1": "error"}
    assert "too long to be graded: at most 100 KB" in reports["t1"].output


@pytest.mark.parametrize("text", ["a;" * 51_000, "(" * 102_000], ids=["names", "brackets"])
def test_the_longest_code_is_examined_within_the_graders_memory(bubblewrap_backend, old, text):
    checks = "".join(f"grader.add_input_check(prohibited_keyword('w{n}'))\n" for n in range(30))
    code = f"{DOUBLE}{text}\n"
    patient = {"grader.yaml": YAML + "limits: {total_s: 120}\n"}  # it is about memory, not time
    directory = old(NUMBERS + checks, DOUBLE, **patient)
    assert scores(graded(bubblewrap_backend, directory, code)) == {"t1": 0}


def test_uploads_that_do_not_fit_are_told_to_the_learner(bubblewrap_backend, grader_at):
    yaml = YAML + "uploads: [data.csv]\n"
    directory = grader_at({"grader.yaml": yaml, "grader.py": NUMBERS, "answer.py": DOUBLE})
    reports = graded(bubblewrap_backend, directory, DOUBLE, files={"data.csv": b"x" * 6_000_000})
    assert "too large" in reports["t1"].output
