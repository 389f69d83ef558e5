"""One visible test as markup: its verdict, what it means, texts, difference and pictures.

Callers bound the whole: a block makes its parts only when asked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from graders.reply import phrases
from graders.reply.diff import difference
from graders.reply.markup import author_markup
from graders.reply.pictures import PictureBudget
from graders.reply.text import TEXT_CHARS, escaped, tame_text, xml_text
from graders.reply.verdict import status_of
from sandbox.run import DeclaredTest, RunResult, TestReport, TestStatus

TITLE_CHARS = 300
DIFFERENCES = 10
"""In one reply. After that many a learner has enough to do, and each costs time to make."""
HTML_CHARS_IN_ALL = 60_000
"""Authors' HTML in one reply; cleaning it takes time that grows faster than its length."""
SHORT_CHARS = 60
"""Two single lines no longer than this are compared by eye."""


@dataclass(slots=True, kw_only=True)
class Allowance:
    """What all blocks of a reply share."""

    pictures: PictureBudget
    differences_left: int = DIFFERENCES
    html_chars_left: int = HTML_CHARS_IN_ALL


class Block(ABC):
    """One test, run or not."""

    @abstractmethod
    def details(self) -> str:
        """Everything but pictures, whose room is counted apart; for `whole`."""

    @abstractmethod
    def whole(self, details: str) -> str:
        """The element, with the details and pictures in it."""

    @abstractmethod
    def verdict_alone(self) -> str:
        """The element with its heading only."""


def test_blocks(result: RunResult) -> Iterator[Block]:
    """Of the visible tests, those that were not run last."""
    allowance = Allowance(pictures=PictureBudget())
    for report in result.reports:
        if report.visible:
            yield RunBlock(report, allowance)
    for test in result.not_run:
        if test.visible:
            yield NotRunBlock(test)


class RunBlock(Block):
    def __init__(self, report: TestReport, allowance: Allowance) -> None:
        self._report = report
        self._allowance = allowance
        self._status = status_of(report)

    def details(self) -> str:
        return self._heading() + "".join(self._parts())

    def whole(self, details: str) -> str:
        pictures = self._allowance.pictures.markup(self._report.pictures)
        return _output_block(self._css(), details + "".join(pictures))

    def verdict_alone(self) -> str:
        return _output_block(self._css(), self._heading())

    def _css(self) -> str:
        return phrases.CSS_CLASSES.get(self._status, "result-incorrect")

    def _heading(self) -> str:
        report = self._report
        said = [phrases.VERDICTS[self._status]]
        if report.max_score != 1 or report.score not in (0, 1):
            of = phrases.counted(report.max_score, "point")
            said.append(f"{phrases.points(report.score)} of {of}")
        if report.duration_ms is not None:
            said.append(phrases.duration(report.duration_ms))
        return _heading(report.title, ", ".join(said))

    def _parts(self) -> Iterator[str]:
        meaning = phrases.MEANINGS.get(self._status)
        if meaning:
            yield f"<p>{meaning}</p>"
        entries = "".join(self._entries())
        if entries:
            yield f"<dl>{entries}</dl>"
        markup = self._author_markup()
        if markup:
            yield f'<div class="result-comment">{markup}</div>'

    def _author_markup(self) -> str:
        html = self._report.html or ""
        if len(html) > self._allowance.html_chars_left:
            return "<p>(not shown: too much output)</p>"
        self._allowance.html_chars_left -= len(html)
        return author_markup(html)

    def _entries(self) -> Iterator[str]:
        """A passed test needs no comparison: what it printed is what it should have printed."""
        report = self._report
        if report.actual is None:
            if report.output:
                yield _entry("Output:", report.output, "result-actual-output")
        else:
            yield _entry("Your output:", report.actual, "result-actual-output")
        if report.expected is not None and self._status is not TestStatus.PASSED:
            yield _entry("Expected output:", report.expected, "result-expected-output")
            yield from self._difference(report.expected, report.actual)
        if report.actual is not None and report.output:
            yield _entry("Messages:", report.output, "result-messages")

    def _difference(self, expected: str, actual: str | None) -> Iterator[str]:
        if actual is None or not self._allowance.differences_left:
            return
        carriage_returns = ("\r" in expected) != ("\r" in actual)
        before, after = (
            tame_text(text, limit_chars=4 * TEXT_CHARS, line_ends=carriage_returns)
            for text in (expected, actual)
        )
        shown = "" if _are_plainly_different(before, after) else difference(before, after)
        if shown:
            self._allowance.differences_left -= 1
            term = "Difference (- expected, + your output):"
            yield f'<dt>{term}</dt><dd class="result-difference">{_pre(escaped(shown))}</dd>'


def _are_plainly_different(before: str, after: str) -> bool:
    """Two short lines, and it is not only white space that differs."""
    lines = [before.strip("\n"), after.strip("\n")]
    is_short = all(len(line) <= SHORT_CHARS and "\n" not in line for line in lines)
    return is_short and before.split() != after.split()


class NotRunBlock(Block):
    def __init__(self, test: DeclaredTest) -> None:
        self._test = test

    def details(self) -> str:
        return _heading(self._test.title, phrases.NOT_RUN)

    def whole(self, details: str) -> str:
        return _output_block("result-incorrect", details)

    def verdict_alone(self) -> str:
        return self.whole(self.details())


def _output_block(css_class: str, content: str) -> str:
    return f'<div class="result-output {css_class}">{content}</div>'


def _heading(title: str, said: str) -> str:
    shown = xml_text(" ".join(title.split()) or "(no title)", limit_chars=TITLE_CHARS)
    return f"<h4>{shown}<span> – {said}</span></h4>"


def _entry(term: str, text: str, css_class: str) -> str:
    return f'<dt>{term}</dt><dd class="{css_class}">{_pre(xml_text(text) or phrases.NOTHING)}</dd>'


def _pre(markup: str) -> str:
    """A browser drops a line end that comes first."""
    return f"<pre>{chr(10) if markup.startswith(chr(10)) else ''}{markup}</pre>"
