"""The command `graders`, as an author types it."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from graders import local_sandbox
from graders.cli import options
from graders.cli.main import VERBS, main
from graders.templating import languages
from tests.kit.written import SQUARE

SAMPLED = (
    SQUARE
    + "  - {id: zero, call: square, args: [0], returns: 0, hidden: true}\n"
    + "samples:\n  - {file: s/right.py, score: 1}\n"
    + "  - {file: s/wrong.py, score: 0, fails: [three, zero], status: {three: failed}}\n"
)
RIGHT = "def square(x):\n    return x * x\n"
WRONG = "def square(x):\n    return 5\n"
HERE = ["--backend", "bubblewrap"]


def run(*words, status=0):
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == status, (result.output, result.exception)
    return result


@pytest.fixture
def square(grader_at):
    return grader_at({"grader.yaml": SAMPLED, "s/right.py": RIGHT, "s/wrong.py": WRONG})


def test_a_new_grader_works_as_it_is(bubblewrap_backend, tmp_path):
    made = run("new", tmp_path / "my-first")
    assert "graders check" in made.output
    text = (tmp_path / "my-first" / "grader.yaml").read_text()
    assert "name: my-first" in text
    assert "@" not in text
    assert "0 errors, 0 warnings" in run("check", tmp_path / "my-first", *HERE).output


@pytest.mark.parametrize(
    ("name", "said"), [("My First", "can not be the name"), (".", "can not be the name")]
)
def test_a_name_that_cannot_be_one_is_refused(tmp_path, name, said):
    assert said in run("new", tmp_path / name if name != "." else ".", status=1).output


def test_a_directory_that_is_there_is_left_alone(tmp_path):
    assert "exists already" in run("new", run_twice(tmp_path), status=1).output


def run_twice(tmp_path):
    run("new", tmp_path / "twice")
    return tmp_path / "twice"


def test_every_language_has_a_template():
    assert "python" in languages()
    for language in languages():
        assert run("new", "--help").output.count(language) >= 1


def test_an_answer_is_graded_as_learners_are(bubblewrap_backend, square):
    said = run("try", square, square / "s" / "wrong.py", *HERE).output
    assert "in bubblewrap" in said
    assert "failed      0/1  three: square(3)" in said
    assert "zero: Hidden test 2 (hidden)" in said
    assert "0 of 2 points. The LMS is sent score 0, incorrect." in said


def test_everything_can_be_had_as_json(bubblewrap_backend, square):
    result = run("try", square, square / "s" / "right.py", "--json", *HERE)
    said = json.loads(result.stdout)
    assert said["reply"]["correct"] is True
    assert said["reply"]["score"] == 1
    assert [test["status"] for test in said["record"]["tests"]] == ["passed", "passed"]


def test_the_learners_page_shows_the_reply_and_runs_no_script(bubblewrap_backend, square, tmp_path):
    page = tmp_path / "page.html"
    answer = tmp_path / "answer.py"
    answer.write_text("def square(x): return '<script>alert(1)</script>'")
    run("try", square, answer, "--html", page, *HERE)
    text = page.read_text()
    assert "&lt;script&gt;alert(1)" in text
    assert "<script" not in text
    assert "default-src 'none'" in text
    assert "score 0, incorrect" in text


def test_the_page_can_be_opened(bubblewrap_backend, square, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    run("try", square, square / "s" / "right.py", "--open", *HERE)
    (address,) = opened
    page = Path(address.removeprefix("file://"))
    assert "Test results" in page.read_text()
    page.unlink()


def test_seed_payload_and_files_reach_the_grader(bubblewrap_backend, grader_at, tmp_path):
    directory = grader_at(
        {
            "grader.yaml": "name: x\nlanguage: python\n",
            "grade.py": "from graders.library import grader\n"
            '@grader.test("a")\ndef a(t): t.say((t.seed, t.payload, t.files))\ngrader.main()\n',
        }
    )
    (tmp_path / "d.txt").write_text("data")
    words = ["--seed", 5, "--payload", "pay", "--file", f"d={tmp_path / 'd.txt'}"]
    said = run("try", directory, tmp_path / "d.txt", *words, *HERE).output
    assert "(5, 'pay', {'d': b'data'})" in said
    standard = run("try", directory, tmp_path / "d.txt", *HERE).output
    assert """(1, '{"grader": "x"}', {})""" in standard


def test_a_grader_that_fails_is_told_with_its_traceback(bubblewrap_backend, grader_at, tmp_path):
    directory = grader_at(
        {
            "grader.yaml": SQUARE.replace("returns: 9", "checker: c.py"),
            "c.py": "def check(answer):\n    return 1 / 0\n",
        }
    )
    (tmp_path / "a.py").write_text(RIGHT)
    said = run("try", directory, tmp_path / "a.py", *HERE, status=1).output
    assert "There is no grade" in said
    assert "ZeroDivisionError" in said
    assert "c.py" in said


def test_control_characters_of_learners_do_not_reach_the_terminal(
    bubblewrap_backend, square, tmp_path
):
    (tmp_path / "a.py").write_text("def square(x): return '\\x1b]0;title\\x07'")
    said = run("try", square, tmp_path / "a.py", *HERE).output
    assert "\x1b" not in said
    assert "\x07" not in said


def test_mistakes_of_grader_yaml_are_sentences(grader_at, tmp_path):
    directory = grader_at(SQUARE + "tsts: 1\n")
    (tmp_path / "a.py").write_text("")
    result = run("try", directory, tmp_path / "a.py", *HERE, status=1)
    assert "grader.yaml:5: `tsts` is not a key" in result.output
    assert "Did you mean `tests`?" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "words",
    [
        ["--file", "nothing"],
        ["--file", "a=/no/such/file"],
        ["--server", "https://x"],
        ["--server", "https://x", "--backend", "docker"],
        ["--backend", "magic"],
    ],
)
def test_wrong_use_is_told_as_such(square, words):
    run("try", square, square / "s" / "right.py", *words, status=2)


def test_a_check_agrees_with_samples_that_are_declared_rightly(bubblewrap_backend, square):
    said = run("check", square, *HERE).output
    assert "ok      s/right.py: 1 of the points" in said
    assert "ok      an empty answer: passes no test" in said
    assert "0 errors, 0 warnings" in said


CHECKS = [
    # what grader.yaml says otherwise, exit status, what is said
    (("score: 1}", "score: 0.5}"), 1, "gets 1 of the points, 0.5 is declared"),
    (("fails: [three, zero]", "fails: [three]"), 1, "fails three, zero; declared: three"),
    (("{three: failed}", "{three: time}"), 1, "test three: failed, time is declared"),
    (("fails: [three, zero]", "fails: [three, zero]"), 0, "0 errors"),
]


@pytest.mark.parametrize(("change", "status", "said"), CHECKS)
def test_a_check_tells_what_is_graded_otherwise(bubblewrap_backend, square, change, status, said):
    file = square / "grader.yaml"
    file.write_text(file.read_text().replace(*change))
    assert said in run("check", square, *HERE, status=status).output


def test_a_test_that_an_empty_answer_passes_is_found(bubblewrap_backend, grader_at):
    text = "name: x\nlanguage: python\ntests:\n  - {id: free, exit: 0}\n"
    samples = "samples:\n  - {file: a.py, score: 1}\n"
    directory = grader_at({"grader.yaml": text + samples, "a.py": "print(1)"})
    said = run("check", directory, *HERE, status=1).output
    assert "free: an empty answer gets 1 of its 1 points" in said
    allowed = text.replace("exit: 0", "exit: 0, allow_empty: true")
    (directory / "grader.yaml").write_text(allowed + samples)
    assert "0 errors" in run("check", directory, *HERE).output


def test_a_test_that_no_wrong_answer_fails_is_warned_of(bubblewrap_backend, grader_at):
    directory = grader_at(
        {
            "grader.yaml": SAMPLED.replace("fails: [three, zero], ", "").replace(
                "score: 0,", "score: 1/2,"
            ),
            "s/right.py": RIGHT,
            "s/wrong.py": "def square(x): return 0",
        }
    )
    said = run("check", directory, *HERE).output
    assert "warning zero: no incorrect sample fails it" in said
    run("check", directory, "--strict", *HERE, status=1)


def test_a_grader_without_samples_shows_nothing(bubblewrap_backend, grader_at):
    said = run("check", grader_at(SQUARE), *HERE, status=1).output
    assert "no sample is correct" in said
    assert "no sample is incorrect" in said


def test_two_runs_that_do_not_agree_are_found(bubblewrap_backend, grader_at):
    directory = grader_at(
        {
            "grader.yaml": "name: x\nlanguage: python\n"
            "tests:\n  - {id: a, stdin: b, checker: c.py}\n"
            "samples:\n  - {file: a.py, score: 1}\n",
            "a.py": "print(1)",
            # A clock in nanoseconds is never twice the same.
            "c.py": "import time\ndef check(answer): return time.time_ns() % 10**15 / 10**15\n",
        }
    )
    assert "two runs do not agree" in run("check", directory, *HERE, status=1).output


def test_a_grader_that_fails_on_a_sample_is_an_error(bubblewrap_backend, grader_at):
    directory = grader_at(
        {
            "grader.yaml": "name: x\nlanguage: python\n"
            "tests:\n  - {id: a, stdin: b, checker: c.py}\nsamples:\n  - {file: a.py, score: 1}\n",
            "a.py": "print('x')",
            "c.py": "def check(answer): return int(answer.stdout) == 1\n",
        }
    )
    said = run("check", directory, *HERE, status=1).output
    assert "the grader fails on it" in said
    assert "ValueError" in said


def test_a_shell_opens_where_the_answer_would_run(bubblewrap_backend, square):
    words = [sys.executable, "-c", "from graders.cli import main; main()"]
    words += ["try", str(square), str(square / "s" / "right.py"), "--shell", *HERE]
    script = "pwd; ls; cat submission.py; ls /grade; exit 3\n"
    done = subprocess.run(words, input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert done.stdout.startswith("/box\nsubmission.py\ndef square")
    assert "grader.yaml" not in done.stdout
    assert "python3 -I submission.py" in done.stderr


def test_a_shell_opens_in_docker(engine, square):
    words = [sys.executable, "-c", "from graders.cli import main; main()", "try", str(square)]
    words += [str(square / "s" / "right.py"), "--shell", "--backend", "docker"]
    script = "pwd; ls; id -u; touch /x; cat /sys/class/net/*/address | wc -l\n"
    done = subprocess.run(words, input=script, capture_output=True, text=True, check=False)
    assert done.stdout == "/box\nsubmission.py\n20001\n1\n", (done.stdout, done.stderr)
    assert "Read-only file system" in done.stderr


def test_docker_comes_first_then_bubblewrap_then_a_sentence(monkeypatch):
    monkeypatch.setattr(local_sandbox, "docker_answers", lambda: True)
    assert local_sandbox.open_local_sandbox().name == "docker"
    monkeypatch.setattr(local_sandbox, "docker_answers", lambda: False)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(local_sandbox, "_open", lambda name: name)
    found = local_sandbox.open_local_sandbox()
    assert (found.name, "Docker does not answer" in found.why) == ("bubblewrap", True)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(local_sandbox.NoSandbox, match="--server URL --queue QUEUE"):
        local_sandbox.open_local_sandbox()
    with pytest.raises(local_sandbox.NoSandbox, match="needs Linux"):
        local_sandbox.open_local_sandbox("bubblewrap")
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(local_sandbox.NoSandbox, match="--server URL --queue QUEUE"):
        local_sandbox.open_local_sandbox()


def test_a_docker_without_the_languages_image_is_passed_over_or_explained(monkeypatch):
    monkeypatch.setattr(local_sandbox, "docker_answers", lambda: True)
    monkeypatch.setattr(local_sandbox, "missing_image", lambda base: f"some/{base}:local")
    monkeypatch.setattr(local_sandbox, "_open", lambda name: name)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    found = local_sandbox.open_local_sandbox(base="java")
    assert found.name == "bubblewrap"
    assert found.why.endswith("Docker does not have some/java:local")
    with pytest.raises(local_sandbox.NoSandbox, match=r"docker load.*build\.sh.*--queue QUEUE"):
        local_sandbox.open_local_sandbox("docker", base="java")
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(local_sandbox.NoSandbox, match="some/java:local"):
        local_sandbox.open_local_sandbox(base="java")


def test_an_engine_is_asked_for_the_image_of_a_language(engine, monkeypatch):
    monkeypatch.setattr(local_sandbox, "PING_S", 60)  # who is late is taken for absent
    assert local_sandbox.missing_image("python") is None
    assert local_sandbox.missing_image("nolanguage") == "xqueue/grader-nolanguage:local"
    assert local_sandbox.missing_image(None) is None


def test_a_grader_with_an_image_of_its_own_needs_none_of_ours(grader_at):
    assert local_sandbox.base_of(grader_at(SQUARE)) == "python"
    files = {"grader.yaml": "name: x\nlanguage: c\ntests:\n  - {id: a}\n", "Dockerfile": "FROM x\n"}
    assert local_sandbox.base_of(grader_at(files)) is None


@pytest.fixture
def storing_server(monkeypatch):
    """Takes bundles and keeps versions back."""

    def request(method, path, *, json):
        return {"version": 7, "active": json["activate"], "default": True}

    client = SimpleNamespace(request=request, store_bundle=lambda bundle: None)
    monkeypatch.setattr(options, "open_server", lambda *_: client)


def test_a_version_that_is_kept_back_is_put_to_use_by_the_command_that_is_printed(
    storing_server, square, tmp_path, monkeypatch
):
    monkeypatch.delenv("GRADERS_SERVER", raising=False)
    words = ["publish", square, "--queue", "my queue", "--keep-back"]
    said = run(*words).stderr
    assert "`graders rollback square 7 --queue 'my queue'` puts it to use" in said
    token = tmp_path / "token"
    token.write_text("secret")
    said = run(*words, "--server", "https://x.example", "--token-file", token).stderr
    assert f"--queue 'my queue' --server https://x.example --token-file {token}`" in said
    monkeypatch.setenv("GRADERS_SERVER", "https://x.example")
    assert "--server" not in run(*words).stderr


def test_a_docker_that_is_not_there_does_not_answer(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert local_sandbox.docker_answers() is False


def test_every_verb_has_a_sentence():
    listed = run("--help").output
    for verb in VERBS:
        assert f"  {verb}" in listed
        assert len(run(verb, "--help").output.splitlines()) > 3
