"""Tier 0: `grader.yaml` alone, in real sandboxes."""

import pytest

from sandbox.run import ExitReason
from tests.graders.grading import grade, graded, scores, statuses

PYTHON = "name: x\nlanguage: python\n"
ADD = "import sys\nprint(sum(map(int, sys.stdin.read().split())) + len(sys.argv) - 1)\n"

PROGRAM = (
    PYTHON
    + """
limits: {time_s: 10}
tests:
  - {id: plain, stdin: "1 2", stdout: 3}
  - {id: args, stdin: "1 2", args: [a, b], stdout: 5, points: 2}
  - {id: regex, stdin: "4", stdout_regex: '^\\d$'}
  - {id: near, stdin: "4", stdout: 4.0001, tolerance: 0.001}
  - {id: hidden, stdin: "5", stdout: 5, hidden: true, points: 3}
"""
)


def test_a_program_is_given_input_and_arguments_and_its_output_compared(backend, grader_at):
    reports = graded(backend, grader_at(PROGRAM), ADD)
    assert scores(reports) == {"plain": 1, "args": 2, "regex": 1, "near": 1, "hidden": 3}
    assert set(statuses(reports).values()) == {"passed"}
    assert all(report.duration_ms > 0 for report in reports.values())


def test_a_wrong_program_is_shown_what_it_printed_and_what_was_expected(
    bubblewrap_backend, grader_at
):
    reports = graded(bubblewrap_backend, grader_at(PROGRAM), "print('hello')")
    assert set(statuses(reports).values()) == {"failed"}
    assert (reports["plain"].expected, reports["plain"].actual) == ("3", "hello\n")
    hidden = reports["hidden"]
    assert (hidden.output, hidden.expected, hidden.actual) == ("", None, None)


def test_each_limit_and_crash_has_its_own_status(backend, grader_at):
    text = (
        PYTHON
        + """
limits: {time_s: 5}
defaults: {stdout: x}
tests:
  - {id: loop, args: [loop], limits: {time_s: 1}}
  - {id: flood, args: [flood], limits: {output_kb: 4}}
  - {id: crash, args: [crash]}
  - {id: exit, args: [exit]}
  - {id: fine, args: [fine]}
"""
    )
    code = """
import sys
match sys.argv[1]:
    case "loop":
        while True: pass
    case "flood":
        while True: print("x" * 1000)
    case "crash": 1 / 0
    case "exit": sys.exit(7)
    case "fine": print("x")
"""
    reports = graded(backend, grader_at(text), code)
    assert statuses(reports) == {
        "loop": "time",
        "flood": "output",
        "crash": "error",
        "exit": "error",
        "fine": "passed",
    }
    assert "longer than 1 s" in reports["loop"].output
    assert "ZeroDivisionError" in reports["crash"].output
    assert "ended with status 7" in reports["exit"].output


def test_the_exit_status_and_the_error_stream_can_be_asked_for(bubblewrap_backend, grader_at):
    text = (
        PYTHON
        + """
tests:
  - {id: usage, exit: 2, stderr_regex: "^usage:"}
  - {id: any, exit: any, stderr_regex: usage}
  - {id: zero, stderr_regex: usage}
"""
    )
    code = "import sys\nprint('usage: x', file=sys.stderr)\nsys.exit(2)\n"
    reports = graded(bubblewrap_backend, grader_at(text), code)
    assert statuses(reports) == {"usage": "passed", "any": "passed", "zero": "error"}


def test_files_of_the_author_and_of_the_test_lie_beside_the_program(bubblewrap_backend, grader_at):
    directory = grader_at(
        {
            "grader.yaml": PYTHON
            + """
files: [data/words.txt]
tests:
  - {id: own, stdout: "words a"}
  - {id: other, files: {words.txt: data/b.txt}, stdout: "words b"}
""",
            "data/words.txt": "a",
            "data/b.txt": "b",
        }
    )
    code = (
        "import os\nprint(os.listdir('.').count('words.txt') and 'words', open('words.txt').read())"
    )
    assert scores(graded(bubblewrap_backend, directory, code)) == {"own": 1, "other": 1}


def test_nothing_else_of_the_grader_can_be_read_by_the_program(backend, grader_at):
    directory = grader_at({"grader.yaml": PYTHON + "tests:\n  - {id: a, stdout: secret}\n"})
    code = """
import os
found = []
for top in ("/grade", "/scratch", "/proc/1/environ", "/proc/1/cmdline", "."):
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            try:
                if "secret" in open(path).read() and "submission" not in name:
                    found.append(path)
            except Exception:
                pass
print(found)
"""
    report = graded(backend, directory, code)["a"]
    assert report.actual == "[]\n"


def test_uploads_lie_beside_the_program_and_a_missing_one_is_asked_for(
    bubblewrap_backend, grader_at
):
    directory = grader_at(PYTHON + "uploads: [d.bin]\ntests:\n  - {id: a, stdout: 258}\n")
    code = "print(int.from_bytes(open('d.bin', 'rb').read(), 'big'))"
    with_file = graded(bubblewrap_backend, directory, code, files={"d.bin": b"\x01\x02"})
    assert scores(with_file) == {"a": 1}
    without = graded(bubblewrap_backend, directory, code)
    assert without["a"].status == "error"
    assert "Attach d.bin" in without["a"].output


def test_an_attached_file_may_be_the_submission(bubblewrap_backend, grader_at):
    directory = grader_at(PYTHON + "uploads: [submission.py]\ntests:\n  - {id: a, stdout: hi}\n")
    files = {"submission.py": b"print('hi')"}
    assert scores(graded(bubblewrap_backend, directory, "", files=files)) == {"a": 1}


def test_too_much_handed_in_is_the_learners_and_not_the_graders_fault(
    bubblewrap_backend, grader_at
):
    directory = grader_at(PYTHON + "uploads: [big]\ntests:\n  - {id: a, stdout: hi}\n")
    report = graded(bubblewrap_backend, directory, "", files={"big": bytes(9_000_000)})["a"]
    assert (report.status, report.score) == ("error", 0)
    assert "too large" in report.output


CHECKED = PYTHON + "tests:\n  - {id: a, points: 4, stdin: '7', checker: check.py}\n"


@pytest.mark.parametrize(
    ("check", "score", "status", "words"),
    [
        ("return answer.stdout == '49\\n' and answer.stdin == '7'", 4, "passed", ""),
        ("return False, 'no'", 0, "failed", "no"),
        ("return 1, 'partly'", 1, "partial", "partly"),
        (
            "return answer.test == 'a' and answer.seed == 3 and answer.payload == 'p'",
            4,
            "passed",
            "",
        ),
    ],
)
def test_a_checker_decides(bubblewrap_backend, grader_at, check, score, status, words):
    directory = grader_at(
        {"grader.yaml": CHECKED, "check.py": f"def check(answer):\n    {check}\n"}
    )
    report = graded(bubblewrap_backend, directory, "print(49)", seed=3, payload="p")["a"]
    assert (report.score, report.status, report.output) == (score, status, words)


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ("def check(answer):\n    return 5\n", "from 0 to 4"),
        ("def check(answer):\n    return None\n", "must be True"),
        ("def check(answer):\n    return int(answer.stdout)\n", "check.py:2"),
        ("x = 1\n", "does not define a function `check"),
    ],
)
def test_a_broken_checker_is_the_graders_fault(bubblewrap_backend, grader_at, check, said):
    directory = grader_at({"grader.yaml": CHECKED, "check.py": check})
    result = grade(bubblewrap_backend, directory, "print('no number')")
    assert result.reason is ExitReason.GRADER_FAILED
    assert said in result.detail


def test_a_limit_is_told_before_a_checker_is_asked(bubblewrap_backend, grader_at):
    directory = grader_at({"grader.yaml": CHECKED, "check.py": "def check(a): return True\n"})
    assert graded(bubblewrap_backend, directory, "1 / 0")["a"].status == "error"


CALLS = (
    PYTHON
    + """
defaults: {call: f}
limits: {time_s: 10}
tests:
  - {id: value, args: [2], returns: 4}
  - {id: words, args: [[a, b]], kwargs: {sep: "-"}, returns: a-b}
  - {id: tuple, args: [!python "(1, 2)"], returns: !python "(2, 1)"}
  - {id: near, args: [0.1], returns: 0.01, tolerance: 1e-9}
  - {id: raises, args: [null], raises: ValueError}
  - {id: loop, args: [loop], returns: 1, limits: {time_s: 1}}
"""
)
RIGHT = """
import helpers
def f(x, sep=""):
    print("called")
    if x == "loop":
        while True: pass
    if x is None: raise ValueError("no")
    if isinstance(x, tuple): return x[::-1]
    return helpers.join(sep, x) if isinstance(x, list) else x * x
"""


def test_functions_are_called_with_files_of_the_author_at_hand(backend, grader_at):
    directory = grader_at(
        {
            "grader.yaml": CALLS + "files: [helpers.py]\n",
            "helpers.py": "def join(sep, x): return sep.join(x)\n",
        }
    )
    reports = graded(backend, directory, RIGHT)
    assert statuses(reports) == {
        "value": "passed",
        "words": "passed",
        "tuple": "passed",
        "near": "passed",
        "raises": "passed",
        "loop": "time",
    }
    assert "Your code printed:\ncalled" in reports["value"].output


def test_a_wrong_value_and_a_missing_exception_are_shown(bubblewrap_backend, grader_at):
    reports = graded(bubblewrap_backend, grader_at(CALLS), "def f(x, sep=''): return 5")
    assert set(statuses(reports).values()) == {"failed"}
    assert (reports["value"].expected, reports["value"].actual) == ("4", "5")
    assert (reports["tuple"].expected, reports["tuple"].actual) == ("(2, 1)", "5")
    assert reports["raises"].expected == "an exception of type ValueError"


def test_an_exception_of_another_kind_does_not_count(bubblewrap_backend, grader_at):
    text = PYTHON + "tests:\n  - {id: a, call: f, raises: ValueError}\n"
    code = "class ValueErro(Exception): pass\ndef f(): raise ValueErro('ValueError')"
    report = graded(bubblewrap_backend, grader_at(text), code)["a"]
    assert report.status == "failed"
    assert "ValueErro in line 2" in report.actual


def test_a_value_can_be_checked_too(bubblewrap_backend, grader_at):
    directory = grader_at(
        {
            "grader.yaml": PYTHON
            + "tests:\n  - {id: a, call: f, args: [3], checker: check.py, points: 2}\n",
            "check.py": "def check(a): return len(a.value) == a.args[0], a.shown\n",
        }
    )
    report = graded(bubblewrap_backend, directory, "def f(n): return 'x' * n")["a"]
    assert (report.score, report.output) == (2, "'xxx'")


def test_feedback_and_expected_values_are_the_authors_choice(bubblewrap_backend, grader_at):
    text = PYTHON + "tests:\n  - {id: a, stdout: b, feedback: Look again., show_expected: false}\n"
    failed = graded(bubblewrap_backend, grader_at(text), "print('a')")["a"]
    assert (failed.output, failed.expected, failed.actual) == ("Look again.", None, "a\n")
    passed = graded(bubblewrap_backend, grader_at(text), "print('b')")["a"]
    assert passed.output == ""


@pytest.mark.parametrize("text", ["print('b')\r\n", "\ufeffprint('b')", "print('b') # é"])
def test_line_ends_and_marks_of_any_editor_are_accepted(bubblewrap_backend, grader_at, text):
    directory = grader_at(PYTHON + "tests:\n  - {id: a, stdout: b}\n")
    assert scores(graded(bubblewrap_backend, directory, text)) == {"a": 1}


COMPILED = """
name: x
language: c
limits: {time_s: 10}
tests:
  - {id: one, args: [a], stdout: "a 0"}
  - {id: two, args: [b], stdout: "b 0"}
"""
COUNTS_ITS_RUNS = """
#include <stdio.h>
#include <unistd.h>
int main(int count, char **words) {
    int before = access("mark", F_OK) == 0;
    fclose(fopen("mark", "w"));
    printf("%s %d\\n", words[1], before);
    return 0;
}
"""


def test_a_program_is_compiled_and_finds_nothing_of_the_test_before(bubblewrap_backend, grader_at):
    reports = graded(bubblewrap_backend, grader_at(COMPILED), COUNTS_ITS_RUNS)
    assert scores(reports) == {"one": 1, "two": 1}


def test_what_does_not_compile_is_told_once_and_gets_nothing(bubblewrap_backend, grader_at):
    reports = graded(bubblewrap_backend, grader_at(COMPILED), "int main( {")
    assert set(statuses(reports).values()) == {"error"}
    assert "could not be compiled" in reports["one"].output
    assert "submission.c:1" in reports["one"].output
    assert reports["two"].output == ""


def test_a_compiler_may_leave_nothing(bubblewrap_backend, grader_at):
    text = PYTHON + "compile: python3 -m py_compile submission.py\ntests:\n  - {id: a, stdout: x}\n"
    assert scores(graded(bubblewrap_backend, grader_at(text), "print('x')")) == {"a": 1}
    report = graded(bubblewrap_backend, grader_at(text), "print('x'")["a"]
    assert "could not be compiled" in report.output
    assert "SyntaxError" in report.output


def test_files_that_a_program_creates_are_compared(backend, grader_at):
    directory = grader_at(
        {
            "grader.yaml": PYTHON
            + """
tests:
  - {id: text, creates: {out.txt: "a b"}, ignore: [case]}
  - {id: file, creates: {out.txt: {file: t/out}, data.bin: xyz}}
  - {id: missing, creates: {other.txt: x}}
  - {id: checked, creates: {out.txt: ""}, checker: c.py}
""",
            "t/out": "A B\n",
            "c.py": "def check(answer): return answer.files == {'out.txt': b'A B'}\n",
        }
    )
    code = "open('out.txt', 'w').write('A B')\nopen('data.bin', 'w').write('xyz')\n"
    reports = graded(backend, directory, code)
    assert scores(reports) == {"text": 1, "file": 1, "missing": 0, "checked": 1}
    assert "did not create the file other.txt" in reports["missing"].output
    wrong = graded(backend, directory, "open('out.txt', 'w').write('C')")
    assert (
        "The file out.txt that your program created is not as it should be" in wrong["text"].output
    )


def test_a_link_or_folder_in_the_place_of_a_file_is_no_file(backend, grader_at):
    directory = grader_at(
        PYTHON + "tests:\n  - {id: a, creates: {a: x}}\n  - {id: b, creates: {b: x}}\n"
    )
    code = "import os\nos.symlink('/etc/passwd', 'a')\nos.mkdir('b')\n"
    reports = graded(backend, directory, code)
    assert scores(reports) == {"a": 0, "b": 0}
    assert "root:" not in reports["a"].output


def test_a_compiler_that_does_not_end_is_stopped(bubblewrap_backend, grader_at):
    text = (
        PYTHON
        + "compile: sh -c 'while true; do :; done'\nlimits: {compile_s: 1}\n"
        + "tests:\n  - {id: a, stdout: x}\n"
    )
    report = graded(bubblewrap_backend, grader_at(text), "")["a"]
    assert (report.status, report.score) == ("time", 0)
    assert "Compiling your code took longer than 1 s" in report.output
