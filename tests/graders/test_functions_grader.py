"""The example grader: learners' functions in, points and useful words out, on every backend."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from sandbox.run import DirectoryGrader, ExitReason, ImageGrader, Limits, RunRequest

FUNCTIONS = Path(__file__).parents[2] / "graders" / "examples" / "functions"
SQUARE = "def square(x):\n    return x * x\n"
SPOIL_EVERY_DESCRIPTOR = """
import os
for fd in range(3, 64):
    try:
        os.write(fd, b"[[[[" * 99)
    except OSError:
        pass
os._exit(0)
"""


def grade(backend, code, problem="square", *, payload=None, grader=None, limits=None):
    return backend.run(
        RunRequest(
            run_id="test-run",
            grader=grader or DirectoryGrader(path=FUNCTIONS),
            job={
                "response": code,
                "payload": json.dumps({"problem": problem}) if payload is None else payload,
                "files": {},
                "seed": 1,
            },
            limits=limits or Limits(),
        )
    )


def scores(result):
    assert result.reason is ExitReason.COMPLETED, result
    return [report.score for report in result.reports]


@pytest.fixture
def a_grader_with(tmp_path):
    """A copy of the example grader with one more problem."""

    def make(problem):
        folder = tmp_path / "functions"
        shutil.copytree(FUNCTIONS, folder)
        text = problem if isinstance(problem, str) else json.dumps(problem)
        (folder / "problems" / "new.json").write_text(text)
        return DirectoryGrader(path=folder)

    return make


def test_a_right_function_gets_all_points(backend):
    result = grade(backend, SQUARE)
    assert scores(result) == [1, 1, 1]
    assert result.declared_max == 3


def test_a_wrong_function_is_shown_what_it_returned_and_what_was_expected(backend):
    result = grade(backend, "def square(x):\n    return 2 * x\n")
    assert scores(result) == [0, 1, 0]
    assert result.reports[0].output == "square(3) returned 6"
    assert result.reports[0].expected == "9"


def test_a_hidden_test_shows_neither_its_input_nor_its_answer(backend):
    result = grade(backend, "def square(x):\n    print(x)\n    return 0\n")
    hidden = result.reports[2]
    assert not hidden.visible
    assert (hidden.output, hidden.expected) == ("", None)


def test_an_exception_is_named_with_the_line_of_the_learners_own_code(backend):
    result = grade(backend, "import json\ndef square(x):\n    y = 1\n    return json.loads('')\n")
    assert "JSONDecodeError in line 4 of your code" in result.reports[0].output


def test_a_syntax_error_is_named_with_its_line(backend):
    result = grade(backend, "x = 1\ndef square(x)\n    return x\n")
    assert "SyntaxError in line 2" in result.reports[0].output


def test_a_missing_function_is_named(backend):
    result = grade(backend, "def sqare(x):\n    return x * x\n")
    assert "does not define a function `square`" in result.reports[0].output


def test_an_infinite_loop_fails_its_test_and_no_other(backend):
    code = "def word_counts(text):\n    while not text: pass\n    c = {}\n"
    code += "    for w in text.split(): c[w] = c.get(w, 0) + 1\n    return c\n"
    result = grade(backend, code, "word_counts")
    assert scores(result) == [2, 0, 1]
    assert "longer than 1 s" in result.reports[1].output


def test_what_learners_print_reaches_them_and_spoils_nothing(backend):
    code = (
        'import os, sys\ndef square(x):\n    print(\'{"value": 0}\')\n    os.system("echo shell")\n'
        "    sys.stderr.write('error stream')\n    return x * x\n"
    )
    result = grade(backend, code)
    assert scores(result) == [1, 1, 1]
    for words in ('{"value": 0}', "shell", "error stream"):
        assert words in result.reports[0].output


@pytest.mark.parametrize(
    "code",
    [
        "class Yes:\n    def __eq__(self, other): return True\ndef square(x): return Yes()",
        "class Nine(int):\n    __eq__ = lambda *_: True\ndef square(x): return Nine(9)",
        "import os\nprint('{\"value\": 9}')\nos._exit(0)",
        "import sys\nsys.exit(0)",
        "def square(x):\n    raise SystemExit",
        "raise KeyboardInterrupt",
        "def square(x):\n    x = []\n    x.append(x)\n    return x",
        "class E(Exception):\n    def __str__(self): raise self\ndef square(x): raise E",
        SPOIL_EVERY_DESCRIPTOR,
        "def square(x):\n    return '\\ud800'",
        "def square(x): return float('nan')",
        "square = 9",
        "",
        "\x00",
    ],
)
def test_no_trick_gets_a_point(backend, code):
    assert scores(grade(backend, code))[0] == 0


def test_a_forged_answer_is_only_an_answer(backend):
    """Whoever finds the driver's descriptor can return a value, and could have done that anyway."""
    code = "import os\nfor fd in range(3, 10):\n    try: os.write(fd, b'{\"value\": 9}')\n"
    code += "    except OSError: pass\nos._exit(0)"
    assert scores(grade(backend, code)) == [1, 0, 0]


def test_floats_are_compared_with_the_problems_tolerance_and_nan_is_nan(backend):
    code = "def mean(v):\n    return sum(v) / len(v) if v else float('nan')\n"
    assert scores(grade(backend, code, "mean")) == [2, 1, 2, 1]


def test_a_long_one_line_submission_is_graded(backend):
    assert scores(grade(backend, SQUARE + "x = '" + "a" * 1_000_000 + "'")) == [1, 1, 1]


@pytest.mark.parametrize(
    "text", [SQUARE.replace("\n", "\r\n"), "\ufeff" + SQUARE, "# é 中\n" + SQUARE]
)
def test_line_ends_marks_and_scripts_of_any_editor_are_accepted(bubblewrap_backend, text):
    assert scores(grade(bubblewrap_backend, text)) == [1, 1, 1]


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ("", "not JSON"),
        ("[]", "must be"),
        ("{}", "must be"),
        ('{"problem": "../problems/square"}', "must be"),
        ('{"problem": "/etc/passwd"}', "must be"),
        ('{"problem": "no-such-problem"}', "there are: mean, square, word_counts"),
    ],
)
def test_a_payload_that_names_no_problem_is_the_authors_fault(bubblewrap_backend, payload, said):
    result = grade(bubblewrap_backend, SQUARE, payload=payload)
    assert result.reason is ExitReason.GRADER_FAILED
    assert said in result.detail


def test_a_value_nested_too_deeply_to_be_shown_is_a_wrong_answer(backend):
    code = "def square(x):\n    v = []\n    for _ in range(330):\n        v = [v]\n    return v\n"
    assert scores(grade(backend, code)) == [0, 0, 0]
    forged = "import os\nos.write(3, b'{\"value\":' + b'[' * 900 + b']' * 900 + b'}')\nos._exit(0)"
    assert scores(grade(backend, forged)) == [0, 0, 0]


@pytest.mark.parametrize(
    ("comment", "points"),
    [("x" * 4_000_000, 1), ("é" * 1_000_000, 1), ("\0" * 1_500_000, 0)],
    ids=["long", "accents", "zeros"],
)
def test_code_of_any_length_is_graded(backend, comment, points):
    assert scores(grade(backend, f"{SQUARE}#{comment}")) == [points] * 3


def test_printing_much_in_many_tests_costs_only_the_text(bubblewrap_backend, a_grader_with):
    tests = [{"args": [number], "expected": number * number} for number in range(100)]
    grader = a_grader_with({"function": "square", "tests": tests})
    code = "import sys\ndef square(x):\n    sys.stderr.write('\\0' * 9999)\n    return x * x\n"
    limits = Limits(wall_s=120)  # a hundred processes, on a loaded machine
    result = grade(bubblewrap_backend, code, "new", grader=grader, limits=limits)
    assert scores(result) == [1] * 100


@pytest.mark.skipif(not os.access("/usr/local/share", os.W_OK), reason="writes below /usr")
def test_a_grader_among_the_hosts_programs_cannot_be_read(bubblewrap_backend):
    with tempfile.TemporaryDirectory(dir="/usr/local/share", prefix="xqueue-test-") as folder:
        Path(folder).chmod(0o755)
        shutil.copytree(FUNCTIONS, Path(folder, "functions"))
        code = f"def square(x):\n    return open('{folder}/functions/grade.py').read()\n"
        grader = DirectoryGrader(path=Path(folder, "functions"))
        result = grade(bubblewrap_backend, code, grader=grader)
    assert "PermissionError" in result.reports[0].output


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ("{", "problems/new.json is not JSON"),
        ([], '"function" must'),
        ({"function": "f", "tests": []}, "at least one test"),
        ({"function": "f", "tests": [{"args": 3}]}, "tests[0].args"),
        ({"function": "f", "tests": [{"args": []}]}, "tests[0].expected"),
        ({"function": "f", "tests": [{"args": [], "expected": 1, "points": "2"}]}, "max"),
    ],
)
def test_a_problem_file_that_is_wrong_is_the_authors_fault(
    bubblewrap_backend, a_grader_with, problem, said
):
    result = grade(bubblewrap_backend, SQUARE, "new", grader=a_grader_with(problem))
    assert result.reason is ExitReason.GRADER_FAILED
    assert said in result.detail


def test_a_grader_that_raises_tells_the_course_team_where(bubblewrap_backend, tmp_path):
    (tmp_path / "grade.py").write_text(
        "from graders.library import grade_with\ndef grade(session):\n    1 / 0\n"
        "grade_with(grade)\n"
    )
    result = grade(bubblewrap_backend, SQUARE, grader=DirectoryGrader(path=tmp_path))
    assert result.reason is ExitReason.GRADER_FAILED
    assert "ZeroDivisionError" in result.detail
    assert "/grade/grade.py:3" in result.detail
    assert "Traceback" in result.grader_log


def test_tuples_sets_and_keyword_arguments_can_be_tested(bubblewrap_backend, a_grader_with):
    grader = a_grader_with(
        {
            "function": "f",
            "tests": [
                {"args": [{"$tuple": [1, 2]}], "expected": {"$tuple": [2, 1]}},
                {"args": [{"$set": [1]}], "kwargs": {"kind": "set"}, "expected": {"$set": [1, 9]}},
            ],
        }
    )
    code = "def f(x, kind=''):\n    return x | {9} if kind else tuple(reversed(x))\n"
    assert scores(grade(bubblewrap_backend, code, "new", grader=grader)) == [1, 1]


def test_the_same_grader_ships_as_an_image(docker_backend):
    grader = ImageGrader(image="xqueue/grader-functions:local")
    assert scores(grade(docker_backend, SQUARE, grader=grader)) == [1, 1, 1]
