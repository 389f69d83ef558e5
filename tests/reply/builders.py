"""Results to reply to, and the LMS's own way of taking a reply."""

from __future__ import annotations

import json
import random
import struct
import warnings
import zlib

import html5lib
from lxml import etree

from graders.reply import build_reply
from sandbox.run import DeclaredTest, ExitReason, RunResult, TestReport


def report(score: float = 1, max_score: float = 1, **changes: object) -> TestReport:
    values = {"test_id": "t", "title": "adds up", "score": score, "max_score": max_score}
    return TestReport(**(values | changes))


def declared(title: str = "not reached", max_score: float = 1, **changes: object) -> DeclaredTest:
    values = {"test_id": "later", "title": title, "max_score": max_score}
    return DeclaredTest(**(values | changes))


def result(*reports: TestReport, **changes: object) -> RunResult:
    points = sum(r.max_score for r in reports) + sum(
        t.max_score for t in changes.get("not_run", ())
    )
    values = {
        "reason": ExitReason.COMPLETED,
        "reports": reports,
        "declared_max": float(points or 1),
    }
    return RunResult(**(values | changes))


def stopped(*reports: TestReport, **changes: object) -> RunResult:
    return result(*reports, **({"reason": ExitReason.LEARNER_LIMIT} | changes))


def message(outcome: RunResult) -> str:
    return json.loads(build_reply(outcome))["msg"]


def root(outcome: RunResult) -> etree._Element:
    return etree.fromstring(message(outcome))


def text(outcome: RunResult) -> str:
    return "".join(root(outcome).itertext())


# As the LMS takes it (edx-platform: capa responsetypes `_parse_score_msg`, inputtypes `get_html`,
# capa_problem `get_html`): parsed, put into its page, the page parsed and written out as XML.


def as_xml(msg: str) -> etree._Element:
    return etree.fromstring(msg)


def as_html(msg: str) -> list[etree._Element]:
    """What html5lib makes of it; releases of the LMS fall back to that."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # names that XML can not hold are warned of
        return html5lib.parseFragment(msg, treebuilder="lxml", namespaceHTMLElements=False)


def lms_page(msg: str, variables: dict[str, str] | None = None) -> str:
    """The part of the LMS's page that the learner's browser gets."""
    page = etree.XML(
        f'<div class="capa_inputtype"><div class="external-grader-message">{msg}</div></div>'
    )
    html = etree.tostring(page).decode()
    for name, value in (variables or {}).items():
        html = html.replace(f"${name}", value)
    return html


def as_browser(html: str) -> etree._Element:
    """The tree that a browser builds of the LMS's page."""
    return html5lib.parse(html, treebuilder="lxml", namespaceHTMLElements=False).getroot()


# Pictures


def png(width: int = 2, height: int = 2, *, rest: bytes = b"", noise: bool = False) -> bytes:
    """A real grey one, unless it claims a size that nobody would draw; noise can not be packed."""
    small = width * height < 1e6
    grey = random.Random(1).randbytes if noise else b"\x80".__mul__
    rows = b"".join(b"\0" + grey(width) for _ in range(height)) if small else b""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks) + rest


def jpeg(width: int = 2, height: int = 2, *, rest: bytes = b"") -> bytes:
    """Header, frame and an empty scan: what is read of one."""
    frame = struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\1\x11\0"
    scan = struct.pack(">HB", 8, 1) + b"\1\0\0\x3f\0"
    start = b"\xff\xd8\xff\xe0" + struct.pack(">H", 4) + b"JF"
    return start + b"\xff\xc0" + frame + b"\xff\xda" + scan + b"\0" + b"\xff\xd9" + rest


def _chunk(name: bytes, content: bytes) -> bytes:
    body = name + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))
