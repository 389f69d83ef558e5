"""One item of `tests` in `grader.yaml`: what it runs or calls, what must come of it.

`GraderTest.work` is what `graders.library.declared` reads inside the sandbox; None for tests that
a program decides (tiers 1 and 2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from graders.library.values import as_tagged, show
from graders.yaml_section import Section, path_problem
from graders.yaml_source import Mapping, Node, Unreadable, is_none, value_of
from sandbox.run import KIB, MIB
from sandbox.transcript import MAX_POINTS, MAX_TITLE, TEST_ID

COMMON_KEYS = (
    "id",
    "title",
    "points",
    "hidden",
    "show_expected",
    "feedback",
    "limits",
    "allow_empty",
)
PROGRAM_KEYS = (
    "stdin",
    "stdin_file",
    "args",
    "files",
    "stdout",
    "stdout_file",
    "stdout_regex",
    "stderr_regex",
    "exit",
    "creates",
    "checker",
    "tolerance",
    "ignore",
    "exact",
)
CALL_KEYS = ("call", "args", "kwargs", "returns", "raises", "checker", "tolerance")
EXPECTATIONS = (
    "stdout",
    "stdout_file",
    "stdout_regex",
    "stderr_regex",
    "exit",
    "creates",
    "checker",
)
CALL_EXPECTATIONS = ("returns", "raises", "checker")
IGNORABLE = ("case", "spaces", "blank-lines", "line-order")
LIMIT_KEYS = ("time_s", "cpu_s", "memory_mb", "output_kb")
ALL_KEYS = tuple(dict.fromkeys((*COMMON_KEYS, *CALL_KEYS, *PROGRAM_KEYS)))
NOT_DEFAULTS = ("id", "title")
FILE_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
FUNCTION_NAME = re.compile(r"[^\W\d]\w{0,99}")
MAX_FEEDBACK = 2000
MAX_CREATED = 20
OTHER_WORDS = {
    "input": "The key for what the program reads is `stdin`.",
    "output": "The key for what the program must print is `stdout`.",
    "expected": "The key is `stdout` (a program's output) or `returns` (a function's value).",
    "expect": "The key is `stdout` (a program's output) or `returns` (a function's value).",
    "visible": "Write `hidden: true` for a hidden test.",
    "visibility": "Write `hidden: true` for a hidden test.",
    "name": "The keys are `id` (for counting) and `title` (for people).",
    "description": "The text learners read is `title`.",
    "score": "The key is `points`.",
    "weight": "The key is `points`.",
    "max": "The key is `points`.",
    "timeout": "Write `limits: {time_s: 2}`.",
    "time_s": "Write `limits: {time_s: 2}`.",
    "function": "The key is `call`.",
    "arguments": "The key is `args`.",
    "argv": "The key is `args`.",
    "regex": "The keys are `stdout_regex` and `stderr_regex`.",
    "stderr": "The key is `stderr_regex`.",
    "exit_code": "The key is `exit`.",
    "message": "The key is `feedback`.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBounds:
    """Of one execution of the learner's program."""

    time_s: float
    cpu_s: float
    output_bytes: int
    memory_bytes: int | None = None
    """None where only the whole sandbox is bounded."""

    def as_json(self) -> dict[str, Any]:
        memory = {} if self.memory_bytes is None else {"memory_bytes": self.memory_bytes}
        return {
            "wall_s": self.time_s,
            "cpu_s": self.cpu_s,
            "output_bytes": self.output_bytes,
            **memory,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class GraderTest:
    test_id: str
    title: str
    points: float
    hidden: bool
    allow_empty: bool
    show_expected: bool
    feedback: str
    bounds: RunBounds
    line: int
    work: dict[str, Any] | None

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.test_id,
            "title": self.title,
            "points": self.points,
            "hidden": self.hidden,
            "show_expected": self.show_expected,
            "feedback": self.feedback,
            "limits": self.bounds.as_json(),
            **(self.work or {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a test must know of the rest of the file."""

    python: bool
    by_program: str
    """Why tests may not say what they run (a `grade.py` does); empty when they must."""
    bounds: RunBounds
    defaults: dict[str, Node]


def read_test(section: Section, number: int, around: Surroundings) -> GraderTest:
    section.refuse_unknown(ALL_KEYS, OTHER_WORDS)
    own = set(section.entries)
    _apply_defaults(section, around)
    hidden = section.flag("hidden", False)
    work = None
    if around.by_program:
        _refuse_work(section, own, around)
    elif section.has("call"):
        work = _call(section, own, around)
    else:
        work = _program(section, own)
    return GraderTest(
        test_id=_test_id(section, number),
        title=section.text("title", most=MAX_TITLE) or _title(work, number, hidden),
        points=_or(section.number("points", most=MAX_POINTS), 1.0),
        hidden=hidden,
        allow_empty=section.flag("allow_empty", False),
        show_expected=section.flag("show_expected", True),
        feedback=section.text("feedback", most=MAX_FEEDBACK) or "",
        bounds=_bounds(section, around.bounds),
        line=section.line,
        work=work,
    )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _apply_defaults(section: Section, around: Surroundings) -> None:
    """What the kind of the test does not know, the defaults do not give it."""
    defaults = around.defaults
    calls = "call" in section.entries or "call" in defaults
    known = (*COMMON_KEYS, *(CALL_KEYS if calls else PROGRAM_KEYS))
    for key, node in defaults.items():
        if key not in known and not around.by_program:
            continue
        own = section.entries.get(key)
        if own is None:
            section.entries[key] = node
        elif key in ("limits", "files") and isinstance(own, Mapping) and isinstance(node, Mapping):
            section.entries[key] = Mapping(
                line=own.line, entries=node.entries | own.entries, keys=node.keys | own.keys
            )


def _test_id(section: Section, number: int) -> str:
    test_id = section.text("id")
    if test_id is None:
        return f"t{number}"
    if not TEST_ID.fullmatch(test_id):
        section.note("id", f"`id` {test_id!r:.80} is not 1 to 64 of A-Z a-z 0-9 . _ -")
    return test_id


def _title(work: dict[str, Any] | None, number: int, hidden: bool) -> str:
    if hidden:
        return f"Hidden test {number}"
    if work is None or "call" not in work:
        return f"Test {number}"
    return call_text(work["call"], work["args"], work["kwargs"])[:MAX_TITLE]


def call_text(function: str, args: list[Any], kwargs: dict[str, Any]) -> str:
    """As a learner would write the call."""
    words = [show(value) for value in args]
    words += [f"{name}={show(value)}" for name, value in kwargs.items()]
    return f"{function}({', '.join(words)})"


def _bounds(section: Section, top: RunBounds) -> RunBounds:
    if not section.has("limits"):
        return top
    limits = Section(section.entries["limits"], section.source, "the limits of a test")
    only_top = "This limit can only be set at the top of the file."
    others = dict.fromkeys(("compile_s", "total_s", "processes", "disk_mb"), only_top)
    limits.refuse_unknown(LIMIT_KEYS, others)
    time_s = limits.number("time_s", above=0)
    memory_mb = limits.number("memory_mb", above=0)
    output_kb = limits.number("output_kb", above=0)
    return RunBounds(
        time_s=time_s or top.time_s,
        cpu_s=limits.number("cpu_s", above=0) or time_s or top.cpu_s,
        output_bytes=int(output_kb * KIB) if output_kb else top.output_bytes,
        memory_bytes=int(memory_mb * MIB) if memory_mb else top.memory_bytes,
    )


def _refuse_work(section: Section, own: set[str], around: Surroundings) -> None:
    for key in sorted(own.intersection({*PROGRAM_KEYS, *CALL_KEYS})):
        section.note(
            key,
            f"`{key}` has no meaning here, because {around.by_program}",
            f"A test has only {', '.join(COMMON_KEYS)} then.",
        )


def _refuse_other_kind(section: Section, own: set[str], known: tuple[str, ...], what: str) -> None:
    for key in sorted(own - {*COMMON_KEYS, *known}):
        if key in ALL_KEYS:
            section.note(key, f"`{key}` does not fit a test that {what}")


def _call(section: Section, own: set[str], around: Surroundings) -> dict[str, Any]:
    _refuse_other_kind(section, own, CALL_KEYS, "calls a function (`call`)")
    if not around.python:
        section.note("call", "`call` is for `language: python` only", "Use `stdin` and `stdout`.")
    function = section.text("call") or "f"
    if not FUNCTION_NAME.fullmatch(function):
        section.note("call", f"`call` must be the name of a function, not {function!r:.60}")
    _require_expectation(section, CALL_EXPECTATIONS)
    if section.has("returns") and section.has("raises"):
        section.note("raises", "a function either returns or raises: leave one of them out")
    work: dict[str, Any] = {
        "call": function,
        "args": [_value(section, node) for node in section.nodes("args", "values")],
        "kwargs": {
            name: _value(section, node)
            for name, node in section.pairs("kwargs", "name to value").items()
        },
    }
    if section.has("returns"):
        work["returns"] = as_tagged(section.value("returns"))
    if section.has("raises"):
        work["raises"] = section.text("raises", most=100)
    return work | _checker(section) | _tolerance(section)


def _value(section: Section, node: Node) -> Any:
    try:
        return as_tagged(value_of(node))
    except Unreadable as error:
        section.source.note(node.line, str(error))
    except (TypeError, RecursionError):
        section.source.note(node.line, "this can not be read as a value")
    return None


def _program(section: Section, own: set[str]) -> dict[str, Any]:
    _refuse_other_kind(section, own, PROGRAM_KEYS, "runs the program")
    _require_expectation(section, EXPECTATIONS)
    work: dict[str, Any] = {
        "stdin": _text_or_file(section, "stdin") or {"text": ""},
        "args": list(section.texts("args")),
        "files": read_files(section, "files"),
        "exit": _exit(section),
        "ignore": _ignored(section),
        "exact": section.flag("exact", False),
        "creates": _created(section),
    }
    stdout = _text_or_file(section, "stdout")
    if stdout is not None:
        work["stdout"] = stdout
    for key in ("stdout_regex", "stderr_regex"):
        if section.has(key):
            work[key] = _regex(section, key)
    if work["exact"] and (work["ignore"] or section.has("tolerance")):
        section.note("exact", "`exact: true` can not be together with `ignore` or `tolerance`")
    return work | _checker(section) | _tolerance(section)


def _require_expectation(section: Section, keys: tuple[str, ...]) -> None:
    if not any(section.has(key) for key in keys):
        section.source.note(
            section.line,
            "the test does not say what must come of it",
            f"Give it one of: {', '.join(keys)}.",
        )


def _text_or_file(section: Section, key: str) -> dict[str, str] | None:
    file_key = f"{key}_file"
    if section.has(key) and section.has(file_key):
        section.note(file_key, f"`{key}` and `{file_key}` are the same thing: leave one out")
    if section.has(file_key):
        path = section.path(file_key)
        return {"file": path} if path else {"text": ""}
    text = section.text(key, empty=True)
    return None if text is None else {"text": text}


def read_files(section: Section, key: str) -> dict[str, str]:
    """Name beside the learner's program -> path in the directory, from a list or a mapping."""
    node = section.entries.get(key)
    if node is None or is_none(node):
        return {}
    if isinstance(node, Mapping):
        named = [(name, item) for name, item in node.entries.items()]
    else:
        named = [("", item) for item in section.nodes(key, "paths")]
    files: dict[str, str] = {}
    for name, item in named:
        text = section.text_of(item, f"an item of `{key}`")
        path = None if text is None else section.path_of(text, item.line, f"`{key}`")
        if path is None:
            continue
        name = name or path.rsplit("/", 1)[-1]
        require_plain_name(section, name, item.line, key)
        if name in files:
            section.source.note(item.line, f"`{key}` has two files called {name!r}")
        files[name] = path
    return files


def require_plain_name(section: Section, name: str, line: int, key: str) -> None:
    if not FILE_NAME.fullmatch(name) or name in (".", "..") or path_problem(name):
        section.source.note(
            line,
            f"`{key}`: {name!r:.80} can not be the name of a file beside the program",
            "It must be 1 to 64 of A-Z a-z 0-9 . _ - without folders.",
        )


def _exit(section: Section) -> int | None:
    """None for any."""
    if section.has("exit") and section.text("exit") == "any":
        return None
    status = section.whole("exit", least=0, most=255)
    return status or 0


def _ignored(section: Section) -> list[str]:
    words = section.texts("ignore", "words")
    for word in words:
        if word not in IGNORABLE:
            section.note(
                "ignore", f"`ignore` does not know {word!r}", f"There are: {', '.join(IGNORABLE)}."
            )
    return sorted(set(words))


def _created(section: Section) -> dict[str, dict[str, str]]:
    created: dict[str, dict[str, str]] = {}
    for name, node in section.pairs("creates", "file name to text").items():
        require_plain_name(section, name, node.line, "creates")
        if isinstance(node, Mapping):
            inner = Section(node, section.source, "a file in `creates`")
            inner.refuse_unknown(("file",))
            path = inner.path("file") if inner.require("file") else None
            created[name] = {"file": path or ""}
        else:
            created[name] = {"text": section.text_of(node, f"{name!r} in `creates`") or ""}
    if len(created) > MAX_CREATED:
        section.note("creates", f"`creates` has more than {MAX_CREATED} files")
    return created


def _regex(section: Section, key: str) -> str:
    pattern = section.text(key) or ""
    try:
        re.compile(pattern, re.MULTILINE)
    except (re.error, RecursionError, OverflowError) as error:
        section.note(key, f"`{key}` is not a regular expression: {error}")
    return pattern


def _checker(section: Section) -> dict[str, str]:
    if not section.has("checker"):
        return {}
    path = section.path("checker")
    if path and not path.endswith(".py"):
        section.note("checker", "`checker` must be a Python file with a function `check`")
    return {"checker": path or ""}


def _tolerance(section: Section) -> dict[str, float]:
    tolerance = section.number("tolerance")
    return {} if tolerance is None else {"tolerance": tolerance}
