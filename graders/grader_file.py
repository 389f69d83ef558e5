"""`grader.yaml`, read and checked. The format is documented in docs/graders/reference.md.

yaml_source        the text as a tree with line numbers
yaml_section       typed reading of one mapping of it, collecting mistakes
grader_commands    `compile` and `run`
grader_isolation   `isolation`, `runtime` and `private`
grader_limits      `limits` at the top
grader_test_list   `tests` and `defaults`; grader_test one item, grader_work what it runs or calls
grader_sample      one item of `samples`
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graders.errors import ManifestInvalid, Mistake
from graders.grader_commands import read_compile, read_run
from graders.grader_isolation import read_isolation, read_private
from graders.grader_limits import read_limits, sandbox_limits, top_bounds
from graders.grader_names import read_files, require_plain_name
from graders.grader_sample import Sample, read_samples
from graders.grader_test import GraderTest, RunBounds
from graders.grader_test_list import check_times, read_tests
from graders.languages import LANGUAGES, Language
from graders.manifest import GRADER_FILE, MAX_UPLOADS, NAME, Manifest
from graders.yaml_section import Section, Source
from graders.yaml_source import read_yaml
from sandbox.run import MIB, DeclaredTest, Isolation, Limits
from sandbox.transcript import MAX_POINTS, MAX_TITLE

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
PROGRAM = "grade.py"
DOCKERFILE = "Dockerfile"
OLD_ANSWER = "answer.py"
MAX_FILE_BYTES = 1 * MIB
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


def load_manifest(directory: Path) -> Manifest:
    """Raises: ManifestInvalid, with every mistake of the file."""
    return read_grader_file(directory).manifest()


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
    compile_argv = read_compile(section, language, (submission, *files, *uploads))
    tests = read_tests(section, language, by_program, bounds, may_be_empty=tier == 1)
    compile_s = limits.number("compile_s", above=0) or language.limits.learner_wall_s
    check_times(section, tests, language, limits)
    return GraderFile(
        directory=directory,
        name=_name(section),
        title=section.text("title", most=MAX_TITLE) or section.text("name") or "?",
        language=language,
        tier=tier,
        submission=submission,
        compile=compile_argv,
        compile_s=compile_s,
        run=read_run(section, language, submission),
        files=files,
        uploads=uploads,
        bounds=bounds,
        limits=sandbox_limits(limits, language, tests, bounds, compile_s if compile_argv else 0.0),
        tests=tests,
        samples=read_samples(section, tests),
        lms_points=section.number("lms_points", above=0, most=MAX_POINTS),
        gradelib=section.path("gradelib"),
        private=read_private(section, tier),
        **read_isolation(section),
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
