"""Typed reading of one mapping of `grader.yaml`: every getter notes a mistake instead of raising,
so that the author learns all of them at once."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

from graders.errors import ManifestInvalid, Mistake
from graders.yaml_source import (
    TRUTH,
    Mapping,
    Node,
    Scalar,
    Sequence,
    Unreadable,
    is_none,
    number_of,
    value_of,
)

EXAMPLE_NAMES = 8


@dataclass(slots=True, kw_only=True)
class Source:
    """The file being read, the directory it lies in, and the mistakes found so far."""

    file_name: str
    directory: Path
    mistakes: list[Mistake] = field(default_factory=list)

    def note(self, line: int, problem: str, hint: str = "") -> None:
        where = f"{self.file_name}:{line}"
        mistake = Mistake(where=where, problem=problem, hint=hint)
        if mistake not in self.mistakes:  # what is read twice is wrong once
            self.mistakes.append(mistake)

    def raise_if_any(self) -> None:
        if self.mistakes:
            raise ManifestInvalid(*self.mistakes)

    def note_missing_file(self, line: int, what: str, path: str) -> None:
        """With the name of a file that is there and looks like it."""
        hint = did_you_mean(path, self._files())
        self.note(line, f"{what}: there is no file {path!r} beside {self.file_name}", hint)

    def _files(self) -> list[str]:
        found = (path for path in self.directory.rglob("*") if path.is_file())
        return [path.relative_to(self.directory).as_posix() for path, _ in zip(found, range(2000))]  # noqa: B905


def did_you_mean(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"Did you mean `{close[0]}`?" if close else ""


class Section:
    """`what` names the mapping in sentences: "the test", "a sample"."""

    def __init__(self, node: Node, source: Source, what: str) -> None:
        self.source = source
        self.what = what
        self.line = node.line
        self.node = node
        self.entries: dict[str, Node] = {}
        if isinstance(node, Mapping):
            self.entries = dict(node.entries)
        else:
            source.note(node.line, f"{what} must be a mapping: lines of `key: value`")

    def has(self, key: str) -> bool:
        return key in self.entries

    def line_of(self, key: str) -> int:
        """Where the key stands; where its mapping begins when it is not there."""
        if isinstance(self.node, Mapping) and key in self.node.keys:
            return self.node.keys[key].line
        return self.entries[key].line if key in self.entries else self.line

    def note(self, key: str, problem: str, hint: str = "") -> None:
        self.source.note(self.line_of(key), problem, hint)

    def refuse_unknown(self, known: Iterable[str], hints: dict[str, str] | None = None) -> None:
        """`hints` are sentences for keys that other tools use."""
        known = tuple(known)
        for key in self.entries:
            if key not in known:
                hint = (hints or {}).get(key) or did_you_mean(key, known)
                hint = hint or f"There are: {', '.join(known)}."
                self.note(key, f"`{key}` is not a key of {self.what}", hint)

    def require(self, key: str, hint: str = "") -> bool:
        if key not in self.entries:
            self.source.note(self.line, f"{self.what} has no `{key}`", hint)
        return key in self.entries

    def text(self, key: str, *, most: int | None = None, empty: bool = False) -> str | None:
        """As it is written: `3`, `yes` and `1:30` are texts where one is wanted."""
        node = self.entries.get(key)
        if node is None:
            return None
        text = self.text_of(node, f"`{key}`")
        if text is None:
            return None
        if not text and not empty:
            self.note(key, f"`{key}` is empty")
            return None
        if most is not None and len(text) > most:
            self.note(key, f"`{key}` has {len(text)} characters, at most {most} are allowed")
            return None
        return text

    def text_of(self, node: Node, what: str) -> str | None:
        if not isinstance(node, Scalar) or node.tag:
            self.source.note(node.line, f"{what} must be text", "Put it in quotes.")
            return None
        if node.plain and not node.text:
            self.source.note(node.line, f"{what} has no value", 'Write "" for an empty text.')
            return None
        return node.text

    def word(self, key: str, words: Iterable[str]) -> str | None:
        """One of a few."""
        words = tuple(words)
        text = self.text(key)
        if text is None or text in words:
            return text
        hint = did_you_mean(text, words) or f"There are: {', '.join(words)}."
        self.note(key, f"`{key}` can not be {text!r}", hint)
        return None

    def flag(self, key: str, default: bool) -> bool:
        node = self.entries.get(key)
        if node is None:
            return default
        if isinstance(node, Scalar) and node.plain and node.text in TRUTH:
            return TRUTH[node.text]
        self.note(key, f"`{key}` must be true or false")
        return default

    def number(
        self, key: str, *, least: float = 0.0, most: float = math.inf, above: float | None = None
    ) -> float | None:
        node = self.entries.get(key)
        if node is None:
            return None
        number = number_of(node) if isinstance(node, Scalar) else None
        if number is None or not math.isfinite(number):
            shown = f", not {node.text!r:.40}" if isinstance(node, Scalar) else ""
            self.note(key, f"`{key}` must be a number{shown}")
            return None
        if above is not None and number <= above:
            self.note(key, f"`{key}` must be more than {above:g}")
            return None
        if not least <= number <= most:
            bounds = f"from {least:g} to {most:g}" if most < math.inf else f"at least {least:g}"
            self.note(key, f"`{key}` must be {bounds}, not {number:g}")
            return None
        return number

    def whole(self, key: str, *, least: int, most: int) -> int | None:
        number = self.number(key, least=least, most=most)
        if number is not None and number != int(number):
            self.note(key, f"`{key}` must be a whole number")
            return None
        return None if number is None else int(number)

    def fraction(self, key: str) -> float | None:
        """From 0 to 1; `1/3` is one."""
        node = self.entries.get(key)
        if isinstance(node, Scalar) and "/" in node.text:
            try:
                value = float(Fraction(node.text.replace(" ", "")))
            except (ValueError, ZeroDivisionError):
                value = -1.0
            if 0 <= value <= 1:
                return value
            self.note(key, f"`{key}` must be a fraction from 0 to 1, such as 0.5 or 1/3")
            return None
        return self.number(key, least=0.0, most=1.0)

    def nodes(self, key: str, of_what: str) -> tuple[Node, ...]:
        """The items of a list; none when it is missing."""
        node = self.entries.get(key)
        if node is None or is_none(node):
            return ()
        if isinstance(node, Sequence):
            return node.items
        self.note(key, f"`{key}` must be a list of {of_what}", "Write it as `[one, two]`.")
        return ()

    def texts(self, key: str, of_what: str = "texts") -> tuple[str, ...]:
        found = (self.text_of(item, f"an item of `{key}`") for item in self.nodes(key, of_what))
        return tuple(text for text in found if text is not None)

    def pairs(self, key: str, of_what: str) -> dict[str, Node]:
        node = self.entries.get(key)
        if node is None or is_none(node):
            return {}
        if isinstance(node, Mapping):
            return node.entries
        self.note(key, f"`{key}` must be a mapping of {of_what}", "Write it as `{name: value}`.")
        return {}

    def value(self, key: str) -> Any:
        """Any Python value; None when it is missing or can not be read."""
        try:
            return value_of(self.entries[key])
        except Unreadable as error:
            self.note(key, f"`{key}`: {error}")
        except (TypeError, RecursionError):
            self.note(key, f"`{key}` can not be read as a value")
        return None

    def path(self, key: str) -> str | None:
        """Of a file in the directory, with `/`."""
        text = self.text(key)
        return None if text is None else self.path_of(text, self.line_of(key), f"`{key}`")

    def path_of(self, text: str, line: int, what: str) -> str | None:
        problem = path_problem(text)
        if problem:
            self.source.note(line, f"{what}: {text!r:.80} {problem}")
            return None
        target = self.source.directory / text
        if not target.is_file():
            self.source.note_missing_file(line, what, text)
            return None
        if not target.resolve().is_relative_to(self.source.directory.resolve()):
            self.source.note(line, f"{what}: {text!r:.80} leads out of the directory")
            return None
        return PurePosixPath(text).as_posix()


def path_problem(text: str) -> str:
    """Why a text is not a path inside a directory, on any system; empty when it is one."""
    if "\\" in text:
        return "must be written with `/`, on Windows as well"
    if not text or text.startswith("/") or ":" in text or "\0" in text:
        return "must be a path relative to the directory"
    if ".." in text.split("/"):
        return "must not leave the directory"
    return ""
