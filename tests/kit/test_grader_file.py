"""What `grader.yaml` means, and that every mistake in it says where, what, and what to do."""

import math

import pytest

from graders.errors import ManifestInvalid
from graders.grader_file import load_manifest, read_grader_file
from sandbox.run import Isolation
from tests.kit.written import SQUARE, write_files

HEAD = "name: x\nlanguage: python\n"


def read_tests_of(grader_at, text):
    return read_grader_file(grader_at(HEAD + text)).tests


def one_test(grader_at, text):
    (test,) = read_tests_of(grader_at, f"tests:\n  - {{{text}}}\n")
    return test


def mistakes_of(directory):
    with pytest.raises(ManifestInvalid) as caught:
        read_grader_file(directory)
    return caught.value.mistakes


def test_a_few_lines_are_a_grader(grader_at):
    manifest = load_manifest(grader_at(SQUARE))
    assert (manifest.name, manifest.base, manifest.tier) == ("square", "python", 0)
    (test,) = manifest.tests
    assert (test.test_id, test.title, test.max_score, test.visible) == (
        "three",
        "square(3)",
        1.0,
        True,
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("3", "3"),
        ("yes", "yes"),
        ("1:30", "1:30"),
        ("007", "007"),
        ("2024-01-01", "2024-01-01"),
        ("null", "null"),
        ('""', ""),
        ('"a\\tb"', "a\tb"),
    ],
)
def test_texts_are_taken_as_they_are_written(grader_at, written, meant):
    assert one_test(grader_at, f"stdin: {written}, stdout: x").work["stdin"] == {"text": meant}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("3", 3),
        ('"3"', "3"),
        ("1e-9", 1e-9),
        ("1.", 1.0),
        ("012", 12),
        ("1:30", "1:30"),
        ("yes", "yes"),
        ("true", True),
        ("null", None),
        ("[1, [a]]", [1, ["a"]]),
        ("{a: 1}", {"a": 1}),
        ("{1: a}", {"$dict": [[1, "a"]]}),
        ('{"1": a}', {"1": "a"}),
        ('!python "(1, {2})"', {"$tuple": [1, {"$set": [2]}]}),
        ("!python \"{'a': b'x'}\"", {"a": {"$bytes": [120]}}),
        ("-.inf", -math.inf),
    ],
)
def test_values_are_what_python_would_make_of_them(grader_at, written, value):
    work = one_test(grader_at, f"call: f, args: [{written}], returns: {written}").work
    assert work["args"] == [value]
    assert work["returns"] == value
    assert type(work["returns"]) is type(value)


def test_defaults_hold_where_a_test_says_nothing_else(grader_at):
    first, second = read_tests_of(
        grader_at,
        "defaults: {call: f, points: 3, limits: {time_s: 1, cpu_s: 1}, tolerance: 0.1}\n"
        "tests:\n  - {returns: 1}\n"
        "  - {returns: 2, points: 1, limits: {time_s: 5}}\n",
    )
    assert (first.points, first.bounds.time_s, first.work["tolerance"]) == (3, 1, 0.1)
    assert (second.points, second.bounds.time_s, second.bounds.cpu_s) == (1, 5, 1)


def test_the_sandbox_gets_what_the_most_demanding_test_needs(grader_at):
    limits = load_manifest(
        grader_at(
            HEAD + "limits: {time_s: 3, memory_mb: 100, total_s: 60, output_kb: 10, disk_mb: 5, "
            "processes: 7}\n"
            "tests:\n  - {stdout: a, limits: {time_s: 20, output_kb: 200}}\n  - {stdout: b}\n"
        )
    ).limits
    assert (limits.learner_wall_s, limits.learner_cpu_s, limits.wall_s) == (20, 20, 60)
    assert (limits.output_bytes, limits.memory_bytes) == (200 * 1024, 100 * 1024**2)
    assert (limits.scratch_bytes, limits.pids) == (5 * 1024**2, 7)


def test_compiling_has_a_time_of_its_own(grader_at):
    text = "name: x\nlanguage: c\nlimits: {compile_s: 17}\ntests:\n  - {stdout: a}\n"
    assert load_manifest(grader_at(text)).limits.learner_wall_s == 17
    assert load_manifest(grader_at(text + "compile: none\n")).limits.learner_wall_s == 2


def test_commands_follow_the_name_of_the_submission(grader_at):
    grader = read_grader_file(
        grader_at(
            {
                "grader.yaml": "name: x\nlanguage: c\nsubmission: main.c\nfiles: [help.c, help.h]\n"
                "uploads: [more.c]\ntests:\n  - {stdout: a}\n",
                "help.c": "",
                "help.h": "",
            }
        )
    )
    at = grader.compile.index("main.c")
    assert grader.compile[at : at + 3] == ("main.c", "help.c", "more.c")
    assert "help.h" not in grader.compile


def test_commands_are_split_into_words_without_a_shell(grader_at):
    grader = read_grader_file(
        grader_at(
            HEAD + "run: python3 -c 'a b; c' x\ncompile: [make, a b]\ntests:\n  - stdout: a\n"
        )
    )
    assert grader.run == ("python3", "-c", "a b; c", "x")
    assert grader.compile == ("make", "a b")


def test_hidden_tests_get_a_title_that_gives_nothing_away(grader_at):
    test = one_test(grader_at, "call: f, args: [secret], returns: 1, hidden: true")
    assert "secret" not in test.title


def test_samples_say_how_they_are_graded(grader_at):
    grader = read_grader_file(
        grader_at(
            {
                "grader.yaml": SQUARE
                + "samples:\n  - {file: s/a.py, score: 1/3, fails: [three], seed: 0,\n"
                "     status: {three: time}, uploads: {d.csv: s/a.py}}\n",
                "s/a.py": "x",
            }
        )
    )
    (sample,) = grader.samples
    assert sample.score == pytest.approx(1 / 3)
    assert (sample.fails, sample.statuses) == (("three",), {"three": "time"})
    assert (sample.seed, sample.uploads) == (0, {"d.csv": "s/a.py"})


def test_isolation_and_points_for_the_lms_are_in_the_manifest(grader_at):
    manifest = load_manifest(
        grader_at(SQUARE + "isolation: split-container\nruntime: runsc\nlms_points: 10\n")
    )
    assert (manifest.isolation, manifest.runtime) == (Isolation.SPLIT_CONTAINER, "runsc")
    assert manifest.lms_points == 10


@pytest.mark.parametrize(
    ("files", "tier"),
    [
        ({}, 0),
        ({"grade.py": ""}, 1),
        ({"Dockerfile": ""}, 2),
        ({"Dockerfile": "", "grade.py": ""}, 2),
    ],
)
def test_what_lies_beside_it_makes_the_tier(grader_at, files, tier):
    tests = "tests:\n  - {id: a, points: 2}\n" if tier else "tests:\n  - {stdout: a}\n"
    directory = grader_at({"grader.yaml": HEAD + tests, **files})
    assert load_manifest(directory).tier == tier


def test_a_program_may_declare_its_tests_itself(grader_at):
    directory = grader_at({"grader.yaml": HEAD, "grade.py": ""})
    assert load_manifest(directory).tests == ()


MISTAKES = [
    # grader.yaml, line, part of the problem, part of the hint
    ("", 1, "empty", "name"),
    ("- a\n", 1, "must be a mapping", ""),
    ("name: [\n", 2, "not YAML", "quotes"),
    ("name: a: b\n", 1, "not YAML", "quotes"),
    ("name: x\nname: y\n", 2, "said twice, first in line 1", ""),
    ("name: &a x\ntitle: *a\n", 2, "aliases", ""),
    (SQUARE + "lenguage: c\n", 5, "`lenguage` is not a key", "`language`"),
    (SQUARE + "setup_files: [a]\n", 5, "`setup_files`", "`files`"),
    ("language: python\ntests:\n  - {stdout: a}\n", 1, "no `name`", "short name"),
    ("name: x\ntests:\n  - {stdout: a}\n", 1, "no `language`", "python"),
    ("name: X y\nlanguage: python\ntests:\n  - {stdout: a}\n", 1, "'X y'", "a-z"),
    ("name: x\nlanguage: pyton\ntests:\n  - {stdout: a}\n", 2, "'pyton'", "`python`"),
    (HEAD, 1, "no tests", "at least one"),
    (HEAD + "tests: []\n", 3, "no tests", "at least one"),
    (HEAD + "tests: {a: b}\n", 3, "list", "[one, two]"),
    (HEAD + "tests:\n  - stdin: a\n", 4, "what must come of it", "stdout"),
    (HEAD + "tests:\n  - call: f\n", 4, "what must come of it", "returns"),
    (HEAD + "tests:\n  - {stdout: a, timeout: 3}\n", 4, "`timeout`", "time_s"),
    (HEAD + "tests:\n  - {stdout: a, visible: false}\n", 4, "`visible`", "hidden: true"),
    (HEAD + "tests:\n  - {stdout: a, expected: b}\n", 4, "`expected`", "`stdout`"),
    (HEAD + "tests:\n  - {stdout: a, points: many}\n", 4, "number, not 'many'", ""),
    (HEAD + "tests:\n  - {stdout: a, points: -1}\n", 4, "from 0", ""),
    (HEAD + "tests:\n  - {stdout: a, points: 0}\n", 3, "worth 0 points", ""),
    (HEAD + "tests:\n  - {stdout: a, hidden: yes}\n", 4, "true or false", ""),
    (HEAD + "tests:\n  - {stdout: a, id: a b}\n", 4, "'a b'", ""),
    (HEAD + "tests:\n  - {stdout: a, id: a}\n  - {stdout: a, id: a}\n", 5, "line 4", "its own"),
    (HEAD + "tests:\n  - {stdout: a, stdout_file: b}\n", 4, "same thing", ""),
    (HEAD + "tests:\n  - {stdout_file: a.txt}\n", 4, "no file 'a.txt'", ""),
    (HEAD + "tests:\n  - {stdout_file: ../a}\n", 4, "must not leave", ""),
    (HEAD + "tests:\n  - {stdout_file: /etc/passwd}\n", 4, "relative", ""),
    (HEAD + "tests:\n  - {stdout_file: 'a\\b'}\n", 4, "`/`", ""),
    (HEAD + "tests:\n  - {stdout: [a]}\n", 4, "must be text", "quotes"),
    (HEAD + "tests:\n  - stdout:\n", 4, "no value", '""'),
    (HEAD + "tests:\n  - {stdout_regex: '('}\n", 4, "not a regular expression", ""),
    (HEAD + "tests:\n  - {stdout: a, ignore: [cases]}\n", 4, "'cases'", "line-order"),
    (HEAD + "tests:\n  - {stdout: a, exact: true, ignore: [case]}\n", 4, "`exact: true`", ""),
    (HEAD + "tests:\n  - {stdout: a, exit: 300}\n", 4, "from 0 to 255", ""),
    (HEAD + "tests:\n  - {call: f, returns: 1, stdin: a}\n", 4, "`stdin` does not fit", ""),
    (HEAD + "tests:\n  - {stdout: a, kwargs: {a: 1}}\n", 4, "`kwargs` does not fit", ""),
    (HEAD + "tests:\n  - {call: a b, returns: 1}\n", 4, "name of a function", ""),
    (HEAD + "tests:\n  - {call: f, returns: 1, raises: E}\n", 4, "either", ""),
    (HEAD + "tests:\n  - {call: f, returns: !python f(1)}\n", 4, "as Python writes it", ""),
    (HEAD + "tests:\n  - {call: f, returns: !set 1}\n", 4, "`!set`", ""),
    (HEAD + "tests:\n  - {stdout: 5, tolerance: 1}\n", 4, "less than 1", "{absolute: 1}"),
    (HEAD + "tests:\n  - {stdout: 5, tolerance: -1}\n", 4, "at least 0", ""),
    (HEAD + "tests:\n  - {stdout: 5, tolerance: {relative: 1}}\n", 4, "`relative`", ""),
    (HEAD + "tests:\n  - {stdout: 5, tolerance: {abs: 1}}\n", 4, "`abs`", "absolute"),
    (HEAD + "tests:\n  - {stdout: 5, tolerance: {}}\n", 4, "neither", ""),
    (HEAD + "tests:\n  - {call: f, returns: 5, tolerance: 2}\n", 4, "less than 1", "absolute: 2"),
    (
        "name: x\nlanguage: java\nrun: java -Xmx99m Main\ntests:\n  - {stdout: a}\n",
        3,
        "without the classes",
        "-cp program.jar:.",
    ),
    (HEAD + "tests:\n  - {stdout: a, checker: c.txt}\n", 4, "no file", ""),
    (HEAD + "tests:\n  - {stdout: a, limits: {total_s: 3}}\n", 4, "`total_s`", "top"),
    (HEAD + "tests:\n  - {stdout: a, limits: {time_s: 99}}\n", 4, "whole grading 30 s", "total_s"),
    (HEAD + "limits: {time: 3}\ntests:\n  - {stdout: a}\n", 3, "`time`", "`time_s`"),
    (HEAD + "limits: {time_s: 0}\ntests:\n  - {stdout: a}\n", 3, "more than 0", ""),
    (HEAD + "limits: {time_s: .nan}\ntests:\n  - {stdout: a}\n", 3, "number", ""),
    (HEAD + "run: a | b\ntests:\n  - {stdout: a}\n", 3, "`|` means nothing", "sh -c"),
    (HEAD + "run: a 'b\ntests:\n  - {stdout: a}\n", 3, "No closing quotation", ""),
    (HEAD + "uploads: [a/b]\ntests:\n  - {stdout: a}\n", 3, "'a/b'", "without folders"),
    (HEAD + "files: {../x: grader.yaml}\ntests:\n  - {stdout: a}\n", 3, "'../x'", "folders"),
    (HEAD + "defaults: {id: a}\ntests:\n  - {stdout: a}\n", 3, "`id`", ""),
    (HEAD + "isolation: none\ntests:\n  - {stdout: a}\n", 3, "'none'", "split-uid"),
    (HEAD + "runtime: runsc\ntests:\n  - {stdout: a}\n", 3, "split-container", ""),
    (HEAD + "gradelib: grader.yaml\n", 3, "no answer.py", ""),
    (SQUARE + "samples:\n  - {file: grader.yaml}\n", 6, "no `score`", "fraction"),
    (SQUARE + "samples:\n  - {file: grader.yaml, score: 2}\n", 6, "from 0 to 1", ""),
    (SQUARE + "samples:\n  - {file: grader.yaml, score: 3/2}\n", 6, "from 0 to 1", ""),
    (SQUARE + "samples:\n  - {file: grader.yaml, score: 1, fails: [x]}\n", 6, "'x'", "three"),
    (
        SQUARE + "samples:\n  - {file: grader.yaml, score: 1, status: {three: ok}}\n",
        6,
        "'ok'",
        "passed",
    ),
    ("name: x\nlanguage: c\ntests:\n  - {call: f, returns: 1}\n", 4, "python` only", "stdin"),
]


@pytest.mark.parametrize(("text", "line", "problem", "hint"), MISTAKES)
def test_a_mistake_says_where_what_and_what_to_do(grader_at, text, line, problem, hint):
    mistakes = mistakes_of(grader_at({"grader.yaml": text.lstrip("\n").encode()}))
    fitting = [mistake for mistake in mistakes if problem in mistake.problem]
    assert fitting, mistakes
    assert fitting[0].where == f"grader.yaml:{line}"
    assert hint in fitting[0].hint


def test_all_mistakes_are_said_at_once_in_the_order_of_the_file(grader_at):
    mistakes = mistakes_of(
        grader_at("name: X\nlanguage: pyton\ntests:\n  - {stdin: a}\nlms_points: 0\n")
    )
    lines = [int(mistake.where.rpartition(":")[2]) for mistake in mistakes]
    assert lines == [1, 2, 4, 5]


def test_a_misspelt_path_is_recognised(grader_at):
    directory = grader_at(
        {"grader.yaml": HEAD + "tests:\n  - {stdout_file: tests/one.txt}\n", "tests/one.out": "1"}
    )
    (mistake,) = mistakes_of(directory)
    assert mistake.hint == "Did you mean `tests/one.out`?"


def test_a_link_out_of_the_directory_is_no_file_of_the_grader(grader_at, tmp_path):
    directory = grader_at(HEAD + "tests:\n  - {stdout_file: out}\n")
    (tmp_path / "secret").write_text("x")
    (directory / "out").symlink_to(tmp_path / "secret")
    (mistake,) = mistakes_of(directory)
    assert "leads out" in mistake.problem


@pytest.mark.parametrize("content", [b"name: \xff\xfe", b"\xff\xfen\x00"])
def test_a_file_that_is_not_utf_8_says_the_line(grader_at, content):
    (mistake,) = mistakes_of(grader_at({"grader.yaml": content}))
    assert mistake.where == "grader.yaml:1"
    assert "UTF-8" in mistake.problem


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1e-9", 1e-9),
        ("0", 0),
        ("{absolute: 5}", {"absolute": 5}),
        ("{relative: 0.01, absolute: 5}", {"relative": 0.01, "absolute": 5}),
    ],
)
def test_a_tolerance_is_a_number_or_says_which(grader_at, written, read):
    text = HEAD + f"tests:\n  - {{stdout: 5, tolerance: {written}}}\n"
    (test,) = read_grader_file(grader_at(text)).tests
    assert test.work["tolerance"] == read


@pytest.mark.parametrize(
    "more", ["run: java -cp program.jar:. Start\n", "compile: javac Main.java\nrun: java Main\n"]
)
def test_java_may_be_started_otherwise(grader_at, more):
    text = f"name: x\nlanguage: java\nsubmission: Main.java\n{more}tests:\n  - {{stdout: a}}\n"
    assert read_grader_file(grader_at(text)).run[0] == "java"


def test_a_missing_file_says_how_to_begin_one(tmp_path):
    with pytest.raises(ManifestInvalid) as caught:
        read_grader_file(tmp_path)
    assert "graders new" in caught.value.hint


def test_a_deep_document_is_a_mistake_and_not_a_crash(grader_at):
    (mistake,) = mistakes_of(grader_at("name: " + "[" * 5000))
    assert "deep" in mistake.problem or "YAML" in mistake.problem


@pytest.mark.parametrize("key", ["stdout", "call"])
def test_a_program_decides_alone(tmp_path, key):
    directory = write_files(
        tmp_path, {"grader.yaml": HEAD + f"tests:\n  - {{id: a, {key}: x}}\n", "grade.py": ""}
    )
    (mistake,) = mistakes_of(directory)
    assert f"`{key}` has no meaning here, because grade.py decides" in mistake.problem
