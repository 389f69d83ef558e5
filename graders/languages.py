"""The languages a course can be taught in here: how each one's programs are built and run.

One table, read by the reader of `grader.yaml` (defaults), by `graders new` and by the tests that
build the images. What its figures rest on is in `docs/graders/languages.md`.

The commands run as the learner, in `/box`, with an empty environment. `{files}` in a compile
command stands for the source files: the submission, then what the author adds (`main.cpp`,
`Main.java`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sandbox.run import MIB, Limits

SOURCE_FILES = "{files}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """The defaults of one language; all of them can be set otherwise in `grader.yaml`."""

    name: str
    """As in `graders new --lang NAME`, and the base of the image `xqueue/grader-NAME:local`."""
    title: str
    """As in prose."""
    submission: str
    """The name under which the learner's text is stored in `/box`."""
    suffixes: tuple[str, ...]
    """Of files that are named to the compiler; the first is the submission's and the samples'."""
    compile: tuple[str, ...] | None
    """Run once before the tests, its files stay for them; None where nothing is compiled."""
    run: tuple[str, ...]
    """Run for each test; what a test has as arguments is appended."""
    limits: Limits
    """Of one submission. `learner_wall_s` and `learner_cpu_s` are for compiling, which takes longer
    than a test."""
    test_wall_s: float
    """One test, unless it says otherwise: starting the language's machine is part of it."""
    version: tuple[str, ...]
    """Prints the version of the compiler or interpreter in the image."""


GCC = ("-B/usr/bin", "-pipe", "-O1", "-Wall", "-Wextra", "-o", "program")
"""`-B`: the linker is otherwise looked for on PATH, which is not set. `-pipe`: the assembler's
text would be written to /tmp, and what the standard library makes of a few lines of C++ does not
fit there."""
JAVA_MACHINE = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
JAVA_MEMORY = ("-Xms16m", "-Xmx192m", "-Xss4m", "-XX:MaxMetaspaceSize=96m")
JAVA_TEXT = ("-Dfile.encoding=UTF-8",)
JAVA = (*JAVA_MACHINE, *JAVA_MEMORY, *JAVA_TEXT)
"""The quick compiler alone, one collector thread and no file in /tmp make a quick start. Bounded
below the limit of the container, so that too large an array is an OutOfMemoryError with a line
number and not a killed program. Without a locale, Java would print `?` for what is not ASCII."""
JAVA_TOOLS = " ".join(f"-J{flag}" for flag in JAVA)
JAVA_TO_JAR = (
    f'mkdir /tmp/classes && javac {JAVA_TOOLS} -proc:none -encoding UTF-8 -d /tmp/classes "$@" '
    f"&& exec jar {JAVA_TOOLS} --create --no-compress --file program.jar -C /tmp/classes ."
)
"""One file, whatever classes there are: nested ones, those of packages, hundreds of them."""
JAVA_CLASSES = "program.jar:."
NODE = ("--max-old-space-size=192", "--v8-pool-size=2")

_TABLE = (
    Language(
        name="python",
        title="Python",
        submission="submission.py",
        suffixes=(".py",),
        compile=None,
        run=("python3", "-I", "submission.py"),
        limits=Limits(),
        test_wall_s=2.0,
        version=("python3", "--version"),
    ),
    Language(
        name="c",
        title="C",
        submission="submission.c",
        suffixes=(".c",),
        compile=("gcc", "-std=c17", *GCC, SOURCE_FILES, "-lm"),
        run=("./program",),
        limits=Limits(learner_wall_s=10.0, learner_cpu_s=8.0),
        test_wall_s=2.0,
        version=("gcc", "--version"),
    ),
    Language(
        name="cpp",
        title="C++",
        submission="submission.cpp",
        suffixes=(".cpp", ".cc", ".cxx"),
        compile=("g++", "-std=c++20", *GCC, "-D_GLIBCXX_ASSERTIONS", SOURCE_FILES),
        run=("./program",),
        limits=Limits(
            wall_s=60.0,
            learner_wall_s=20.0,
            learner_cpu_s=16.0,
            memory_bytes=512 * MIB,
            scratch_bytes=32 * MIB,
        ),
        test_wall_s=2.0,
        version=("g++", "--version"),
    ),
    Language(
        name="java",
        title="Java",
        submission="Submission.java",
        suffixes=(".java",),
        compile=("sh", "-c", JAVA_TO_JAR, "javac", SOURCE_FILES),
        run=("java", *JAVA, "-cp", JAVA_CLASSES, "Main"),
        limits=Limits(
            wall_s=60.0,
            learner_wall_s=20.0,
            learner_cpu_s=16.0,
            memory_bytes=512 * MIB,
            pids=128,
            scratch_bytes=32 * MIB,
        ),
        test_wall_s=4.0,
        version=("java", "--version"),
    ),
    Language(
        name="javascript",
        title="JavaScript",
        submission="submission.js",
        suffixes=(".js",),
        compile=None,
        run=("node", *NODE, "submission.js"),
        limits=Limits(memory_bytes=384 * MIB),
        test_wall_s=3.0,
        version=("node", "--version"),
    ),
    Language(
        name="sql",
        title="SQL (SQLite)",
        submission="submission.sql",
        suffixes=(".sql",),
        compile=None,
        run=(
            "sqlite3",
            *("-batch", "-bail", "-init", "/dev/null", "-nullvalue", "NULL"),
            *(":memory:", ".read database.sql", ".read submission.sql"),
        ),
        limits=Limits(),
        test_wall_s=2.0,
        version=("sqlite3", "-init", "/dev/null", "-version"),
    ),
    Language(
        name="bash",
        title="Bash",
        submission="submission.sh",
        suffixes=(".sh",),
        compile=None,
        run=("bash", "submission.sh"),
        limits=Limits(),
        test_wall_s=2.0,
        version=("bash", "--version"),
    ),
)

LANGUAGES: Mapping[str, Language] = MappingProxyType(
    {language.name: language for language in _TABLE}
)
"""By name, in the order in which they are shown."""


def image_of(name: str) -> str:
    """The base image of a language, as `deploy/docker/build.sh` tags it."""
    return f"xqueue/grader-{name}:local"
