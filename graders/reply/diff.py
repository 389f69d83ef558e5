"""What a program answered beside what it should have: a difference that reads well in plain text.

Lines of the expected text begin with `-`, the program's with `+`, and under a changed line `^`
marks where. Nothing depends on colours or styles. The cost is bounded: common beginnings and ends
are cut off first (linear), and only a short rest is compared the quadratic way.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterator, Sequence

DIFF_LINES = 60
"""Lines that differ, on each side; with more, only the first difference is shown."""
CONTEXT_LINES = 2
LINE_CHARS = 160
SPACE_SIGN, TAB_SIGN = "\u00b7", "\u2192"
WHITE_SPACE_NOTE = f"(white space differs: {SPACE_SIGN} is a space, {TAB_SIGN} a tab)"


def difference(expected: str, actual: str) -> str:
    """Of two tame texts; empty when they are equal."""
    if expected == actual:
        return ""
    if expected.rstrip("\n") == actual.rstrip("\n"):
        return _ends_differ(expected, actual)
    before, after = _lines(expected), _lines(actual)
    same = _common(before, after)
    same_end = _common(before[same:][::-1], after[same:][::-1])
    old = before[same : len(before) - same_end]
    new = after[same : len(after) - same_end]
    if max(len(old), len(new)) > DIFF_LINES:
        return _first_difference(old, new, same)
    lines = [
        *_context(before[:same], from_end=True),
        *_changes(old, new),
        *_context(before[len(before) - same_end :], from_end=False),
    ]
    return "\n".join(lines)


def _lines(text: str) -> list[str]:
    text = text.rstrip("\n")
    return text.split("\n") if text else []


def _ends_differ(expected: str, actual: str) -> str:
    ends = [len(text) - len(text.rstrip("\n")) for text in (expected, actual)]
    return f"(only the line ends at the very end differ: {ends[0]} expected, {ends[1]} there)"


def _first_difference(old: Sequence[str], new: Sequence[str], same: int) -> str:
    return "\n".join([f"The first difference is in line {same + 1}:", *_changes(old[:1], new[:1])])


def _context(lines: Sequence[str], *, from_end: bool) -> Iterator[str]:
    """The lines next to the change, and how many more are the same."""
    kept = lines[-CONTEXT_LINES:] if from_end else lines[:CONTEXT_LINES]
    more = len(lines) - len(kept)
    remark = [f"  … {more} equal line{'s' if more > 1 else ''} …"] if more else []
    shown = [f"  {_cut(line)}" for line in kept]
    yield from [*remark, *shown] if from_end else [*shown, *remark]


def _changes(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal":
            yield from (f"  {_cut(line)}" for line in old[a:b])
        elif tag == "replace" and b - a == d - c:
            for before, after in zip(old[a:b], new[c:d], strict=True):
                yield from _changed_pair(before, after)
        else:
            yield from (f"- {_cut(line)}" for line in old[a:b])
            yield from (f"+ {_cut(line)}" for line in new[c:d])


def _changed_pair(before: str, after: str) -> Iterator[str]:
    """One line of each, cut to the same window, and marks below where they differ."""
    if before.split() == after.split():
        before, after = _visible_space(before), _visible_space(after)
        yield WHITE_SPACE_NOTE
    start = _common(before, after)
    end = _common(before[start:][::-1], after[start:][::-1])
    length = len(after) - start - end
    left = max(0, start - LINE_CHARS // 2)
    before, after = _window(before, left), _window(after, left)
    yield f"- {before}"
    yield f"+ {after}"
    first = start - left + bool(left)
    if length > 0 and first < LINE_CHARS and (first or end) and _is_plain(after):
        yield "  " + " " * first + "^" * min(length, LINE_CHARS - first)


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the common beginning."""
    for at, (mine, yours) in enumerate(zip(one, other, strict=False)):
        if mine != yours:
            return at
    return min(len(one), len(other))


def _visible_space(line: str) -> str:
    return line.replace(" ", SPACE_SIGN).replace("\t", TAB_SIGN)


def _window(line: str, left: int) -> str:
    return ("…" if left else "") + _cut(line[left:])


def _cut(line: str) -> str:
    return line if len(line) <= LINE_CHARS else line[:LINE_CHARS] + "…"


def _is_plain(line: str) -> bool:
    """Whether every character is one column wide, so that marks below it hit their place."""
    return line.isascii() or all(
        unicodedata.east_asian_width(character) not in "WF"
        and unicodedata.category(character) not in ("Mn", "Me", "Cf")
        for character in line
    )
