"""What compiling leaves is kept for the tests, all of it or none."""

import pytest

from graders.library.program import MAX_KEPT_FILES, NotRunnable, Program
from graders.library.session import Job, Ran

PLAN = {
    "files": {},
    "uploads": [],
    "submission": "Main.java",
    "compile": ["javac", "Main.java"],
    "compile_s": 5.0,
    "run": ["java", "Main"],
    "limits": {},
}


class Compiling:
    """A session in which compiling leaves the files given; those not in `fit` are not collected."""

    def __init__(self, made, fit=None, scratch_bytes=16 << 20):
        self.job = Job({"response": "class Main {}", "payload": ""})
        self.limits = {"scratch_bytes": scratch_bytes}
        self._made = made
        self._fit = made if fit is None else fit
        self.ran_with = None

    def run(self, argv, *, files=None, collect=None, **_):
        if argv[0] == "java":
            self.ran_with = files
        listed = "".join(f"{name}\n" for name in ["Main.java", *self._made])
        collected = None
        if collect:
            collected = {name: b"x" for name in collect if name in self._fit}
        out = listed.encode() if argv[0] == "/bin/ls" else b""
        return Ran(reason="exited", code=0, stdout=out, stderr=b"", wall_ms=1.0, files=collected)


def prepared(session):
    program = Program(session, PLAN, {})
    program.prepare()
    return program


def test_nested_classes_are_kept():
    made = ["Main.class", "Main$Inner.class", "Main$1.class"]
    session = Compiling(made)
    prepared(session).run()
    assert set(session.ran_with) == {"Main.java", *made}


@pytest.mark.parametrize(
    ("made", "fit", "words"),
    [
        ([f"K{number}.class" for number in range(MAX_KEPT_FILES + 1)], None, "made 81 files"),
        (["program", "Main.class"], ["Main.class"], "program did not fit"),
        (["Über.class"], None, "'Über.class', which can not be kept"),
    ],
    ids=["many", "large", "name"],
)
def test_what_can_not_be_kept_is_told_to_the_learner(made, fit, words):
    with pytest.raises(NotRunnable, match=words):
        prepared(Compiling(made, fit))


def test_folders_are_left_out_and_the_course_team_can_read_it(capsys):
    session = Compiling(["obj/", "program"])
    prepared(session).run()
    assert set(session.ran_with) == {"Main.java", "program"}
    assert "obj/" in capsys.readouterr().err


def test_files_take_whole_pages_of_the_disk():
    program = prepared(Compiling([], scratch_bytes=1 << 20))
    most = (1 << 20) * 3 // 4
    assert program.run(files={"data": b"x" * (most - 4096)}).code == 0
    with pytest.raises(NotRunnable, match=f"room for {most} bytes"):
        program.run(files={"data": b"x" * (most - 4095)})
