"""The pages that people read, taken apart: links, headings, and what is set as code."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unicodedata import category

TOP = Path(__file__).parents[2]
FENCE = re.compile(r"^ *(```+|~~~+)")
SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$")
IN_A_SLUG = ("L", "M", "Nd", "Pc")
"""Categories of characters; `¹` is of none of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    path: Path
    text: str

    def __str__(self) -> str:
        return self.path.relative_to(TOP).as_posix()

    @property
    def prose(self) -> str:
        """Without what is set as a block of code; spans of code stay."""
        return "\n".join(line for line, in_block in _lines(self.text) if not in_block)

    @property
    def links(self) -> list[str]:
        return LINK.findall(SPAN.sub("", self.prose))

    @property
    def anchors(self) -> set[str]:
        """As GitHub names them: a second heading of the same words gets `-1`."""
        seen: Counter[str] = Counter()
        names = set()
        for line in self.prose.splitlines():
            if heading := HEADING.match(line):
                slug = slug_of(heading[1])
                names.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
                seen[slug] += 1
        return names

    @property
    def blocks(self) -> Iterator[str]:
        """Lines of blocks of code, those that end with a backslash joined with the next."""
        text = "\n".join(line.strip() for line, in_block in _lines(self.text) if in_block)
        yield from re.sub(r"\\\n", " ", text).splitlines()

    @property
    def spans(self) -> Iterator[str]:
        for _, code in SPAN.findall(self.prose):
            yield " ".join(code.split()).replace("\\|", "|")


def pages() -> list[Page]:
    """What is linked from the README, and the README; a plan that is deleted later is none."""
    found = [*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md"), *(TOP / "graders").rglob("*.md")]
    return [Page(path=path, text=path.read_text(encoding="utf-8")) for path in sorted(found)]


def slug_of(heading: str) -> str:
    text = LINK.sub(lambda link: link[0].partition("](")[0].lstrip("!["), heading)
    kept = (char for char in text.lower() if char in "- " or category(char).startswith(IN_A_SLUG))
    return "".join(kept).replace(" ", "-")


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it is code: between fences, or indented after an empty line."""
    fence, indented, before = "", False, ""
    for line in text.splitlines():
        mark = FENCE.match(line)
        if mark and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
            continue
        is_deep = line.startswith("    ")
        indented = is_deep and (indented or not before.strip())
        yield line, bool(fence) or indented
        before = line
