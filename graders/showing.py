"""A graded answer as text for its grader's author, hidden tests included, and as the page on which
the learner reads the reply."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from graders.reply.text import tame_text

TEXT_CHARS = 3000
INDENT = "      "

# The LMS shows the message inside its own style sheet; these rules stand in for it.
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }}
pre {{ background: #f6f6f6; padding: .5rem; overflow-x: auto; white-space: pre-wrap }}
.test {{ border: 1px solid #ccc; padding: 1rem }}
.result-output {{ border-left: .3rem solid #ccc; margin: 1rem 0; padding: .1rem 1rem }}
.result-correct {{ border-color: #008100 }}
.result-incorrect {{ border-color: #b20610 }}
.result-errors {{ color: #b20610 }}
img {{ max-width: 100% }}
footer {{ color: #666; margin-top: 2rem }}
</style></head><body><h1>{title}</h1>
{message}
<footer>The LMS is sent score {score}, {verdict}.</footer></body></html>
"""


def result_page(title: str, reply: dict[str, Any]) -> str:
    """`msg` is markup that `graders.reply` made safe; the page allows no script all the same."""
    verdict = "correct" if reply["correct"] else "incorrect"
    return PAGE.format(
        title=escape(title),
        message=reply["msg"],
        score=escape(f"{reply['score']:.4g}"),
        verdict=verdict,
    )


def result_text(record: dict[str, Any], reply: dict[str, Any] | None) -> str:
    """`record` as `graders.reply.result_record` makes it. Learners' text is made harmless for a
    terminal."""
    return "\n".join(_lines(record, reply))


def _lines(record: dict[str, Any], reply: dict[str, Any] | None) -> Iterator[str]:
    for test in record["tests"]:
        yield _head(test)
        yield from _details(test)
    if record["notice"]:
        yield _shown(record["notice"])
    if reply is None:
        yield "There is no grade: " + _shown(record["no_grade"] or record["detail"])
    else:
        grade = record["grade"]
        points = f"{grade['points']:g} of {grade['max']:g} points" if grade["max"] else "No points"
        verdict = "correct" if reply["correct"] else "incorrect"
        yield f"{points}. The LMS is sent score {reply['score']:.4g}, {verdict}."
    if record["detail"]:
        yield "The grader: " + _shown(record["detail"])
    if record["grader_log"].strip():
        yield "The grader's own output:"
        yield _indented(record["grader_log"])


def _head(test: dict[str, Any]) -> str:
    points = f"{test['points']:g}/{test['max']:g}"
    hidden = "" if test["visible"] else " (hidden)"
    time = "" if test["duration_ms"] is None else f"  {test['duration_ms']:.0f} ms"
    return f"{test['status']:>8}  {points:>7}  {test['id']}: {_shown(test['title'])}{hidden}{time}"


def _details(test: dict[str, Any]) -> Iterator[str]:
    if test["output"].strip():
        yield _indented(test["output"])
    if test["status"] != "passed":
        for word, key in (("expected:", "expected"), ("got:", "actual")):
            if test[key] is not None:
                yield f"{INDENT}{word}"
                yield _indented(test[key])
    for picture in test["pictures"]:
        why = picture.get("not_shown")
        shown = f"not shown: {why}" if why else f"{picture['width']} x {picture['height']}"
        yield f"{INDENT}picture {_shown(picture['label'])} ({shown})"


def _shown(text: str) -> str:
    return tame_text(text, limit_chars=TEXT_CHARS)


def _indented(text: str) -> str:
    return "\n".join(INDENT + line for line in _shown(text.rstrip("\n")).split("\n"))
