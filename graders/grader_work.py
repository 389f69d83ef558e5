"""What a test of `grader.yaml` runs or calls, and what must come of it.

As `graders.library.declared` reads it inside the sandbox.
"""

from __future__ import annotations

import re
from typing import Any

from graders.grader_keys import (
    ALL_KEYS,
    CALL_EXPECTATIONS,
    CALL_KEYS,
    COMMON_KEYS,
    EXPECTATIONS,
    IGNORABLE,
    PROGRAM_KEYS,
)
from graders.grader_names import read_files, require_plain_name
from graders.library.tolerance import ABSOLUTE, RELATIVE
from graders.library.values import as_tagged
from graders.yaml_section import Section
from graders.yaml_source import Mapping, Node, Unreadable, value_of

FUNCTION_NAME = re.compile(r"[^\W\d]\w{0,99}")
MAX_CREATED = 20


def read_call(section: Section, own: set[str], *, python: bool) -> dict[str, Any]:
    _refuse_other_kind(section, own, CALL_KEYS, "calls a function (`call`)")
    if not python:
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


def read_program(section: Section, own: set[str]) -> dict[str, Any]:
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


def _refuse_other_kind(section: Section, own: set[str], known: tuple[str, ...], what: str) -> None:
    for key in sorted(own - {*COMMON_KEYS, *known}):
        if key in ALL_KEYS:
            section.note(key, f"`{key}` does not fit a test that {what}")


def _value(section: Section, node: Node) -> Any:
    try:
        return as_tagged(value_of(node))
    except Unreadable as error:
        section.source.note(node.line, str(error))
    except (TypeError, RecursionError):
        section.source.note(node.line, "this can not be read as a value")
    return None


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


def _tolerance(section: Section) -> dict[str, Any]:
    """A number, or `{relative: …, absolute: …}`, as `graders.library.tolerance` reads it."""
    node = section.entries.get("tolerance")
    if isinstance(node, Mapping):
        return _two_tolerances(section, node)
    tolerance = section.number("tolerance")
    if tolerance is not None and tolerance >= 1:
        section.note(
            "tolerance",
            f"`tolerance` must be less than 1, not {tolerance:g}: it is relative as well, and with "
            "1 nearly every number would do",
            f"Write `tolerance: {{absolute: {tolerance:g}}}` for a difference of so much.",
        )
    return {} if tolerance is None else {"tolerance": tolerance}


def _two_tolerances(section: Section, node: Mapping) -> dict[str, Any]:
    inner = Section(node, section.source, "`tolerance`")
    inner.refuse_unknown((RELATIVE, ABSOLUTE))
    if not inner.entries:
        section.note("tolerance", f"`tolerance` says neither `{RELATIVE}` nor `{ABSOLUTE}`")
    relative, absolute = inner.number(RELATIVE), inner.number(ABSOLUTE)
    if relative is not None and relative >= 1:
        inner.note(RELATIVE, f"`{RELATIVE}` must be less than 1, or nearly all would do")
    said = {RELATIVE: relative, ABSOLUTE: absolute}
    return {"tolerance": {name: value for name, value in said.items() if value is not None}}
