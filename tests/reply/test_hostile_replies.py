"""Whatever learners print and graders report: the LMS takes the reply, and it stays text."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from lxml import etree

from graders.reply import build_reply, result_record
from graders.reply.blocks import TITLE_CHARS
from graders.reply.markup import ALLOWED
from graders.reply.message import MSG_CHARS
from graders.reply.pictures import PICTURES_BYTES
from sandbox.run import Picture
from sandbox.run import TestStatus as Status
from tests.reply.builders import (
    as_browser,
    as_html,
    as_xml,
    declared,
    jpeg,
    lms_page,
    message,
    png,
    report,
    stopped,
)
from tests.reply.hostile_texts import HOSTILE_TEXTS
from xqueue_server.models.lms_interface import why_refused

URL = "https://lms.example.org/courses/c/xqueue/7/b/score_update"
OUR_TAGS = {"div", "header", "section", "p", "h4", "dl", "dt", "dd", "pre", "span", "ul", "li"}
HIDDEN = "only-in-a-hidden-test"
DJANGO_FORM_BYTES = 2_621_440
NOISE = png(300, 300, noise=True)


def hostile_result(text: str, *, html: str | None = None, picture: bytes = b""):
    """The text in every place that a grader, a learner or an author can fill."""
    html = text if html is None else html
    pictures = (Picture(label=text, data=picture), Picture(label=text, data=png()))
    texts = {"title": text, "output": text, "html": html, "pictures": pictures}
    return stopped(
        report(0, expected=text, actual=text + "x", duration_ms=1.5, **texts),
        report(0.5, status=Status.ERROR, expected="x" + text, actual=text, **texts),
        report(1, actual=text, **texts),
        report(
            0, visible=False, expected=HIDDEN, actual=HIDDEN + text, **(texts | {"title": HIDDEN})
        ),
        not_run=(declared(text), declared(HIDDEN, visible=False)),
        notice=text,
        detail=HIDDEN,
        grader_log=HIDDEN,
    )


def assert_the_lms_takes(outcome) -> None:
    reply = build_reply(outcome)
    assert why_refused(URL, reply) is None
    msg = json.loads(reply)["msg"]
    tree = as_xml(msg)
    assert (tree.tag, tree.get("class")) == ("div", "test")
    assert len(as_html(msg)) == 1, "html5lib sees something beside the one element"
    assert_only_allowed(tree)
    assert HIDDEN not in reply
    assert_a_browser_agrees(msg)


def assert_only_allowed(tree) -> None:
    for element in tree.iter():
        assert isinstance(element.tag, str), "a comment or an instruction"
        assert element.tag in OUR_TAGS | ALLOWED.keys() | {"img"}
        assert len(element) or element.text or element.tag in ("br", "hr", "img"), element.tag
        known = {"class", "rel", "target", "src", "alt", "width"} | ALLOWED.get(element.tag, set())
        assert set(element.attrib) <= known
        if "src" in element.attrib:
            assert element.get("src").startswith(("data:image/png;base64,", "data:image/jpeg;"))
        if "href" in element.attrib:
            assert element.get("href").lower().startswith(("http:", "https:", "mailto:"))
        if "class" in element.attrib:
            assert element.tag in ("div", "dd")


def assert_a_browser_agrees(msg: str) -> None:
    """Written out as XML and read as HTML, it is the same frame and text, within its place."""
    page = as_browser(lms_page(msg))
    (place,) = page.findall(".//div[@class='external-grader-message']")
    assert len(place) == 1
    assert not (place[0].tail or "").strip()
    ours = as_xml(msg)
    assert frame_of(place[0]) == frame_of(ours)
    assert "".join("".join(place[0].itertext()).split()) == "".join(
        "".join(ours.itertext()).split()
    )


def frame_of(tree) -> list[tuple[str, str]]:
    """All that is ours: nothing of an author's or a learner's has a class."""
    return [(e.tag, e.get("class")) for e in tree.iter() if e.get("class")]


@pytest.mark.parametrize("name", HOSTILE_TEXTS)
def test_a_hostile_text_in_every_place_is_taken_and_stays_text(name):
    assert_the_lms_takes(hostile_result(HOSTILE_TEXTS[name]))


@pytest.mark.parametrize("name", HOSTILE_TEXTS)
def test_a_hostile_text_fits_into_a_record(name):
    json.dumps(result_record(hostile_result(HOSTILE_TEXTS[name])), allow_nan=False)


SCRAPS = st.sampled_from(
    [
        "<", ">", "</", "/>", "p", "b", "table", "tr", "td", "li", "svg", "math", "script", "style",
        "a", "href", "=", "javascript:", "'", '"', "&", "&amp;", "&nbsp;", "&#0;", "&#x110000;",
        "<!--", "-->", "--!>", "<![CDATA[", "]]>", "<!DOCTYPE", "<?xml", "?>", "xmlns:x=", "x:y",
        "\x00", "\x0b", "\ufffe", "\ud800", "\u202e", "\u0301", "é", "\U0001f511", " ", "\n", "\r",
        "title", "textarea", "template", "plaintext", "noscript", "form", "br", "hr", "pre", "$x",
        "<p>", "</p>", "<b>", "</b>", "<table>", "<td>", "</table>", "<a href='https://x'>", "</a>",
    ]
)  # fmt: skip


@given(text=st.lists(SCRAPS, max_size=25).map("".join), picture=st.binary(max_size=60))
@example(text="<svg><desc><template><b>", picture=b"")
@example(text="<table><b><tr><td>x</b></table>", picture=b"\x89PNG\r\n\x1a\n\0\0\0\xffIHDR")
@example(text="<pre>\n</pre>", picture=b"\xff\xd8\xff\xff\xff\xff\xff\xff\xff\xff\xff")
@example(text="<p title='</p><script>'>x", picture=b"\xff\xd8\xff\xe0\0\0\0\0\0\0\0\0")
@hypothesis_settings(max_examples=300, deadline=None)
def test_scraps_of_markup_in_every_place_are_taken(text, picture):
    assert_the_lms_takes(hostile_result(text, picture=picture))


@given(text=st.text(max_size=200), html=st.text(max_size=200))
@hypothesis_settings(max_examples=200, deadline=None)
def test_any_text_in_every_place_is_taken(text, html):
    assert_the_lms_takes(hostile_result(text, html=html))


@given(data=st.binary(max_size=300))
@hypothesis_settings(max_examples=80, deadline=None)
def test_any_bytes_that_a_program_prints_are_taken(data):
    assert_the_lms_takes(hostile_result(data.decode(errors="replace")))
    assert_the_lms_takes(hostile_result(data.decode(errors="surrogateescape")))
    assert_the_lms_takes(hostile_result("x", picture=png()[:8] + data))
    assert_the_lms_takes(hostile_result("x", picture=jpeg()[:4] + data))


@pytest.mark.parametrize("name", HOSTILE_TEXTS)
def test_no_reply_is_larger_than_the_lms_takes(name):
    """Django refuses forms above 2.5 MB, and every byte of `msg` may need three of them."""
    one = report(
        0,
        title=HOSTILE_TEXTS[name],
        output=HOSTILE_TEXTS[name],
        expected=HOSTILE_TEXTS[name],
        actual="x" + HOSTILE_TEXTS[name],
        html=HOSTILE_TEXTS[name][:20_000],
        pictures=(Picture(label=HOSTILE_TEXTS[name], data=NOISE),),
    )
    outcome = stopped(*[one] * 60, notice=HOSTILE_TEXTS[name])
    reply = build_reply(outcome)
    assert len(json.loads(reply)["msg"]) < MSG_CHARS + 2 * PICTURES_BYTES + 10 * 9 * TITLE_CHARS
    assert len(urlencode({"xqueue_body": reply, "xqueue_header": "x" * 1024})) < DJANGO_FORM_BYTES
    assert why_refused(URL, reply) is None


def test_no_variable_of_the_problem_is_filled_into_what_a_learner_printed():
    """capa would show the problem's own script to a learner who prints its variable's name."""
    secret = {"script_code": "SECRET", "seed": "SECRET", "_x": "SECRET", "é": "SECRET"}
    text = "$script_code $seed$seed $_x $é"
    outcome = hostile_result(text, html=f'<p>{text}</p><a href="http://x/$seed">$seed</a>')
    page = lms_page(message(outcome), secret)
    assert "SECRET" not in page
    shown = "".join(etree.fromstring(page).itertext())
    assert text in shown
