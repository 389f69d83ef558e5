"""Names of files in `grader.yaml`: what lies beside the learner's program, and from where."""

from __future__ import annotations

import re

from graders.yaml_section import Section, path_problem
from graders.yaml_source import Mapping, is_none

FILE_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


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
