"""Reads YAML into a tree that remembers lines and the text as it was written.

Stricter and simpler than YAML 1.1: only `true` and `false` are truth values, nothing becomes a
date or base 60, `1e-9` is a number, a key may not be said twice, and an alias may not be used (it
hides where a mistake is). What a scalar means is decided by whoever asks for it: `yes` is the text
`yes` where a text is wanted.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Any

import yaml

from graders.errors import ManifestInvalid, Mistake

PYTHON_TAG = "!python"
NULL = frozenset({"", "~", "null", "Null", "NULL", "none", "None"})
TRUTH = {"true": True, "True": True, "false": False, "False": False}
WHOLE = re.compile(r"[-+]?[0-9]+")
DECIMAL = re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)?")
NOT_FINITE = {".nan": "nan", ".NaN": "nan", ".inf": "inf", "+.inf": "inf", "-.inf": "-inf"}
DEEPEST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """`text` as it was written; `plain` when without quotes, and so perhaps a number."""

    line: int
    text: str
    plain: bool = True
    tag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    line: int
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    line: int
    entries: dict[str, Node]
    keys: dict[str, Scalar]
    """Each key as it was written: where a value is a dict, `1` is a number and `"1"` is not."""


Node = Scalar | Sequence | Mapping


class Unreadable(Exception):
    """A scalar that is not a value; the text says why."""


def read_yaml(text: str, file_name: str) -> Node:
    """The document's tree. Raises ManifestInvalid with the line."""
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problem = " ".join(filter(None, [error.problem, error.context]))
        raise _invalid(file_name, line, f"this is not YAML: {problem}", _YAML_HINT) from error
    except yaml.YAMLError as error:
        raise _invalid(file_name, 1, f"this is not YAML: {error}", _YAML_HINT) from error
    except RecursionError:
        raise _invalid(file_name, 1, "this is nested too deeply") from None
    if root is None:
        raise _invalid(file_name, 1, "the file is empty", "Begin with `name:` and `language:`.")
    return _tree(root, file_name, DEEPEST)


_YAML_HINT = "Often a text with `: `, `#` or `{` in it needs quotes, or a line is not indented."


class _Loader(yaml.SafeLoader):
    """Composes nodes only; nothing is constructed."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(
                None, None, "aliases (`*name`) are not used here", event.start_mark
            )
        return super().compose_node(parent, index)


def _tree(node: yaml.Node, file_name: str, depth: int) -> Node:
    line = node.start_mark.line + 1
    if depth == 0:
        raise _invalid(file_name, line, "this is nested too deeply")
    if isinstance(node, yaml.ScalarNode):
        own_tag = node.tag if node.tag.startswith("!") else ""
        return Scalar(line=line, text=node.value, plain=node.style is None, tag=own_tag)
    if isinstance(node, yaml.SequenceNode):
        items = tuple(_tree(item, file_name, depth - 1) for item in node.value)
        return Sequence(line=line, items=items)
    return _mapping(node, file_name, depth)


def _mapping(node: yaml.Node, file_name: str, depth: int) -> Mapping:
    entries: dict[str, Node] = {}
    keys: dict[str, Scalar] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise _invalid(file_name, line, "a key must be a word")
        if key.value in entries:
            raise _invalid(
                file_name,
                line,
                f"`{key.value}` is said twice, first in line {keys[key.value].line}",
            )
        entries[key.value] = _tree(value, file_name, depth - 1)
        keys[key.value] = Scalar(line=line, text=key.value, plain=key.style is None)
    return Mapping(line=node.start_mark.line + 1, entries=entries, keys=keys)


def is_none(node: Node) -> bool:
    return isinstance(node, Scalar) and node.plain and not node.tag and node.text in NULL


def number_of(scalar: Scalar) -> int | float | None:
    """The number it is written as, or None. NaN and infinities are numbers here."""
    if not scalar.plain or scalar.tag:
        return None
    if WHOLE.fullmatch(scalar.text):
        return int(scalar.text) if len(scalar.text) <= 4000 else None
    if DECIMAL.fullmatch(scalar.text):
        return float(scalar.text)
    name = NOT_FINITE.get(scalar.text)
    return None if name is None else float(name)


def value_of(node: Node) -> Any:
    """As Python: numbers, texts, truth values, None, lists, dicts, and what `!python` says.

    Raises:
        Unreadable: a tag nobody knows, or something after `!python` that is not a literal.
    """
    if isinstance(node, Sequence):
        return [value_of(item) for item in node.items]
    if isinstance(node, Mapping):
        return {value_of(node.keys[key]): value_of(item) for key, item in node.entries.items()}
    if node.tag == PYTHON_TAG:
        return _literal(node.text)
    if node.tag:
        raise Unreadable(f"`{node.tag}` is not known; there is only `{PYTHON_TAG}`")
    if not node.plain:
        return node.text
    if node.text in NULL:
        return None
    if node.text in TRUTH:
        return TRUTH[node.text]
    number = number_of(node)
    return node.text if number is None else number


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError) as error:
        raise Unreadable(
            f"{text!r:.60} is not a value as Python writes it: lists, tuples, sets, dicts, texts "
            "and numbers"
        ) from error


def _invalid(file_name: str, line: int, problem: str, hint: str = "") -> ManifestInvalid:
    return ManifestInvalid(Mistake(where=f"{file_name}:{line}", problem=problem, hint=hint))
