"""`grader.yaml`, read and checked. The format is documented in docs/graders/reference.md.

yaml_source    the text as a tree with line numbers
yaml_section   typed reading of one mapping of it, collecting mistakes
grader_test    one item of `tests`
"""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graders.errors import ManifestInvalid, Mistake
from graders.grader_limits import read_limits, sandbox_limits, top_bounds
from graders.grader_sample import Sample, read_samples
from graders.grader_test import (
    ALL_KEYS,
    NOT_DEFAULTS,
    OTHER_WORDS,
    GraderTest,
    RunBounds,
    Surroundings,
    read_files,
    read_test,
    require_plain_name,
)
from graders.languages import LANGUAGES, SOURCE_FILES, Language
from graders.manifest import GRADER_FILE, MAX_UPLOADS, NAME, RUNTIMES, Manifest
from graders.yaml_section import Section, Source
from graders.yaml_source import Node, Scalar, is_none, read_yaml
from sandbox.run import MIB, DeclaredTest, Isolation, Limits
from sandbox.transcript import MAX_POINTS, MAX_TESTS, MAX_TITLE

TOP_KEYS = (
    "name",
    "title",
    "language",
    "submission",
    "compile",
    "run",
    "files",
    "uploads",
    "limits",
    "defaults",
    "tests",
    "samples",
    "lms_points",
    "gradelib",
    "isolation",
    "runtime",
    "private",
)
ISOLATIONS = tuple(isolation.value for isolation in Isolation if isolation is not Isolation.NONE)
PROGRAM = "grade.py"
DOCKERFILE = "Dockerfile"
OLD_ANSWER = "answer.py"
MAX_FILE_BYTES = 1 * MIB
MAX_PRIVATE = 20
LEARNERS_FOLDERS = ("/box", "/tmp", "/xq")  # noqa: S108 - inside an image
OTHER_TOP_WORDS = {
    "lang": "The key is `language`.",
    "setup_files": "The key is `files`.",
    "uses_files": "The key is `uploads`.",
    "points": "Each test has `points`; what the LMS is sent is `lms_points`.",
    "test": "The key is `tests`.",
    "timeout": "Write `limits: {time_s: 2}`.",
    "image": "A grader that is an image has a Dockerfile beside grader.yaml.",
    "command": "The keys are `compile` and `run`.",
    "build": "The key is `compile`.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GraderFile:
    """Everything `grader.yaml` says."""

    directory: Path
    name: str
    title: str
    language: Language
    tier: int
    submission: str
    compile: tuple[str, ...] | None
    compile_s: float
    run: tuple[str, ...]
    files: dict[str, str]
    uploads: tuple[str, ...]
    bounds: RunBounds
    limits: Limits
    tests: tuple[GraderTest, ...]
    samples: tuple[Sample, ...]
    lms_points: float | None
    gradelib: str | None
    isolation: Isolation | None
    runtime: str | None
    private: tuple[str, ...]
    """Tier 2: paths in the image, beside `/grade`, that learners must not reach."""

    def manifest(self) -> Manifest:
        return Manifest(
            name=self.name,
            title=self.title,
            base=self.language.name,
            tier=self.tier,
            tests=tuple(
                DeclaredTest(
                    test_id=test.test_id,
                    title=test.title,
                    max_score=test.points,
                    visible=not test.hidden,
                )
                for test in self.tests
            ),
            limits=self.limits,
            isolation=self.isolation,
            runtime=self.runtime,
            lms_points=self.lms_points,
            needs_files=self.uploads,
        )

    def as_json(self) -> dict[str, Any]:
        """What the grader's program reads inside the sandbox (`graders.library.plan`)."""
        return {
            "submission": self.submission,
            "compile": None if self.compile is None else list(self.compile),
            "compile_s": self.compile_s,
            "run": list(self.run),
            "files": self.files,
            "uploads": list(self.uploads),
            "limits": self.bounds.as_json(),
            "gradelib": self.gradelib,
            "tests": [test.as_json() for test in self.tests],
        }


def read_grader_file(directory: Path) -> GraderFile:
    """Raises ManifestInvalid with every mistake of the file, in its order."""
    path = directory / GRADER_FILE
    source = Source(file_name=GRADER_FILE, directory=directory)
    root = read_yaml(_file_text(path), GRADER_FILE)
    section = Section(root, source, "grader.yaml")
    section.refuse_unknown(TOP_KEYS, OTHER_TOP_WORDS)
    grader = _read(section, directory)
    source.mistakes.sort(key=lambda mistake: int(mistake.where.rpartition(":")[2]))
    source.raise_if_any()
    return grader


def _file_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        hint = f"Begin one with `graders new {path.parent.name or 'NAME'}`."
        problem = f"cannot be read: {error.strerror or error}"
        raise ManifestInvalid(Mistake(where=str(path), problem=problem, hint=hint)) from error
    if len(content) > MAX_FILE_BYTES:
        hint = "Put long texts into files (`stdin_file`, `stdout_file`)."
        raise ManifestInvalid(Mistake(where=GRADER_FILE, problem="is over 1 MB", hint=hint))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        hint = "Save it as UTF-8."
        where = f"{GRADER_FILE}:{line}"
        raise ManifestInvalid(Mistake(where=where, problem="is not UTF-8", hint=hint)) from error


def _read(section: Section, directory: Path) -> GraderFile:
    language = _language(section)
    submission = _submission(section, language)
    files = read_files(section, "files")
    uploads = _uploads(section)
    tier, by_program = _tier(section, directory)
    limits = read_limits(section)
    bounds = top_bounds(limits, language)
    sources = _source_files(language, (submission, *files, *uploads))
    compile_argv = _compile(section, language, submission, sources)
    tests = _tests(section, language, by_program, bounds, may_be_empty=tier == 1)
    compile_s = limits.number("compile_s", above=0) or language.limits.learner_wall_s
    _check_times(section, tests, language, limits)
    return GraderFile(
        directory=directory,
        name=_name(section),
        title=section.text("title", most=MAX_TITLE) or section.text("name") or "?",
        language=language,
        tier=tier,
        submission=submission,
        compile=compile_argv,
        compile_s=compile_s,
        run=_command(section, "run") or _renamed(language.run, language.submission, submission),
        files=files,
        uploads=uploads,
        bounds=bounds,
        limits=sandbox_limits(limits, language, tests, bounds, compile_s if compile_argv else 0.0),
        tests=tests,
        samples=read_samples(section, tests),
        lms_points=section.number("lms_points", above=0, most=MAX_POINTS),
        gradelib=section.path("gradelib"),
        private=_private(section, tier),
        **_isolation(section),
    )


def _name(section: Section) -> str:
    section.require("name", "A short name such as `name: squares`; grader_payload will say it.")
    name = section.text("name") or "x"
    if not NAME.fullmatch(name):
        section.note(
            "name",
            f"`name` can not be {name!r:.80}",
            "It must be 1 to 63 of a-z, 0-9 and -, and begin with a letter or digit.",
        )
    return name


def _language(section: Section) -> Language:
    section.require("language", f"One of {', '.join(LANGUAGES)}.")
    return LANGUAGES[section.word("language", LANGUAGES) or "python"]


def _submission(section: Section, language: Language) -> str:
    name = section.text("submission") or language.submission
    require_plain_name(section, name, section.line_of("submission"), "submission")
    return name


def _uploads(section: Section) -> tuple[str, ...]:
    names = section.texts("uploads", "file names")
    for name in names:
        require_plain_name(section, name, section.line_of("uploads"), "uploads")
    if len(names) > MAX_UPLOADS:
        section.note("uploads", f"`uploads` has more than {MAX_UPLOADS} names")
    return names


def _tier(section: Section, directory: Path) -> tuple[int, str]:
    """The tier, and why tests do not say what they run."""
    has_program = (directory / PROGRAM).is_file()
    if section.has("gradelib"):
        if has_program:
            section.note("gradelib", f"there is a {PROGRAM} as well: remove one of the two")
        if section.word("language", LANGUAGES) not in (None, "python"):
            section.note("gradelib", "old graders are for `language: python` only")
        path = section.path("gradelib")
        if path and not (directory / path).with_name(OLD_ANSWER).is_file():
            section.note("gradelib", f"there is no {OLD_ANSWER} beside {path}")
        return 1, "the old grader (`gradelib`) decides"
    if (directory / DOCKERFILE).is_file():
        return 2, f"the image of the {DOCKERFILE} decides"
    return (1, f"{PROGRAM} decides") if has_program else (0, "")


def _command(section: Section, key: str) -> tuple[str, ...]:
    """The words of a command; none when it is not given."""
    node = section.entries.get(key)
    if node is None or is_none(node):
        return ()
    if not isinstance(node, Scalar):
        return section.texts(key, "words")
    text = section.text(key) or ""
    try:
        words = tuple(shlex.split(text))
        bare = shlex.shlex(text, posix=True, punctuation_chars="|&;<>")
        bare.whitespace_split = True
        signs = {word for word in bare if word and set(word) <= set("|&;<>")}
    except ValueError as error:
        section.note(key, f"`{key}`: {error}")
        return ()
    if signs:
        section.note(
            key,
            f"`{key}` is not given to a shell, so `{min(signs)}` means nothing in it",
            f"Write `{key}: sh -c '…'`.",
        )
    return words


def _renamed(words: tuple[str, ...], old: str, new: str) -> tuple[str, ...]:
    return tuple(word.replace(old, new) for word in words)


def _source_files(language: Language, names: tuple[str, ...]) -> tuple[str, ...]:
    """Those that a compiler is given by name: all with the submission's ending."""
    ending = Path(language.submission).suffix
    found = [name for name in names if Path(name).suffix in (ending, Path(names[0]).suffix)]
    return tuple(dict.fromkeys(found))


def _compile(
    section: Section, language: Language, submission: str, sources: tuple[str, ...]
) -> tuple[str, ...] | None:
    if not section.has("compile"):
        words = language.compile
        words = None if words is None else _renamed(words, language.submission, submission)
    else:
        words = _command(section, "compile") or None
    if words is None:
        return None
    filled: list[str] = []
    for word in words:
        filled += sources if word == SOURCE_FILES else [word]
    return tuple(filled)


def _check_times(
    section: Section, tests: tuple[GraderTest, ...], language: Language, limits: Section
) -> None:
    total_s = limits.number("total_s", above=0, most=3600) or language.limits.wall_s
    for test in tests:
        if test.bounds.time_s > total_s:
            section.source.note(
                test.line,
                f"the test may take {test.bounds.time_s:g} s, and the whole grading {total_s:g} s",
                "Raise `total_s` in the limits at the top.",
            )


def _tests(
    section: Section, language: Language, by_program: str, bounds: RunBounds, *, may_be_empty: bool
) -> tuple[GraderTest, ...]:
    around = Surroundings(
        python=language.name == "python",
        by_program=by_program,
        bounds=bounds,
        defaults=_defaults(section),
    )
    nodes = section.nodes("tests", "tests")
    if not nodes and not (may_be_empty and not section.has("tests")):
        section.note("tests", "grader.yaml has no tests", "Give it a list of at least one.")
    if len(nodes) > MAX_TESTS:
        section.note("tests", f"there are {len(nodes)} tests, at most {MAX_TESTS} are allowed")
    tests = tuple(
        read_test(Section(node, section.source, "a test"), number, around)
        for number, node in enumerate(nodes[:MAX_TESTS], start=1)
    )
    _check_together(section, tests)
    return tests


def _check_together(section: Section, tests: tuple[GraderTest, ...]) -> None:
    first_line: dict[str, int] = {}
    for test in tests:
        if test.test_id in first_line:
            section.source.note(
                test.line,
                f"another test is called {test.test_id!r}, in line {first_line[test.test_id]}",
                "Results are counted by `id`: give each test its own.",
            )
        first_line.setdefault(test.test_id, test.line)
    if tests and math.fsum(test.points for test in tests) <= 0:
        section.note("tests", "all tests together are worth 0 points")


def _defaults(section: Section) -> dict[str, Node]:
    if not section.has("defaults"):
        return {}
    defaults = Section(section.entries["defaults"], section.source, "the defaults")
    known = [key for key in ALL_KEYS if key not in NOT_DEFAULTS]
    defaults.refuse_unknown(known, OTHER_WORDS)
    return {key: node for key, node in defaults.entries.items() if key in known}


def _isolation(section: Section) -> dict[str, Any]:
    isolation = section.word("isolation", ISOLATIONS)
    runtime = section.word("runtime", RUNTIMES)
    if runtime == "runsc" and isolation != Isolation.SPLIT_CONTAINER:
        section.note("runtime", "`runtime: runsc` needs `isolation: split-container`")
    return {"isolation": Isolation(isolation) if isolation else None, "runtime": runtime}


def _private(section: Section, tier: int) -> tuple[str, ...]:
    paths = section.texts("private", "paths")
    if paths and tier != 2:
        section.note("private", "`private` is for graders with a Dockerfile", "Remove it.")
    if len(paths) > MAX_PRIVATE:
        section.note("private", f"`private` has more than {MAX_PRIVATE} paths")
    for path in paths:
        problem = _private_problem(path)
        if problem:
            section.note("private", f"`private`: {path!r:.80} {problem}")
    return paths


def _private_problem(path: str) -> str:
    parts = path.split("/")
    if not path.startswith("/") or not all(parts[1:]) or {".", ".."} & set(parts):
        return "must be an absolute path in the image, without `.`, `..` and `/` at its end"
    if any(path == folder or path.startswith(f"{folder}/") for folder in LEARNERS_FOLDERS):
        return "is a place that learners use"
    return ""
