"""What the LMS takes as a grade, compared with capa's own code and the two libraries it uses."""

from __future__ import annotations

import json
import warnings
from typing import Any

import html5lib
import pytest
from html5lib.constants import DataLossWarning
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from lxml import etree

from tests.server.builders import callback_url, grade
from xqueue_server.models.lms_interface import dispatch_of, why_refused

URL = callback_url()


def capa_takes(body: str) -> bool:
    """capa's `_parse_score_msg` and what `update_score` does with it, as edx-platform has them.

    An exception there is an error page for the deliverer, and no grade.
    """
    try:
        reply = json.loads(body)
        if not isinstance(reply, dict):
            return False
        if not all(name in reply for name in ("correct", "score", "msg")):
            return False
        if not _capa_parses(reply["msg"]):
            return False
        reply["msg"].replace("&nbsp;", "&#160;")
        return bool(reply["score"] < 0) or True
    except Exception:  # noqa: BLE001 - whatever it is, the LMS answers 500
        return False


def _capa_parses(msg: Any) -> bool:
    try:
        etree.fromstring(msg)
    except etree.XMLSyntaxError:
        try:
            parsed = html5lib.parseFragment(msg, treebuilder="lxml", namespaceHTMLElements=False)
        except ValueError:
            parsed = False
        return bool(parsed)
    return True


MESSAGES = {
    "XML": "<p>Good</p>",
    "XML with a namespace": '<p xmlns:x="urn:x"><x:b/></p>',
    "XML with entities": "<p>&lt;&amp;&#233;</p>",
    "XML with CDATA": "<p><![CDATA[<b>]]></p>",
    "a comment in front": "<!-- x --><p/>",
    "a processing instruction": "<?x y?><p/>",
    "HTML entities": "<p>&nbsp;&eacute;</p>",
    "plain text": "Good",
    "text with a less-than": "a < b && c > d",
    "two elements": "<p>1</p><p>2</p>",
    "unclosed": "<p>one<br>two",
    "crossed": "<b><i>x</b></i>",
    "attribute without value": "<audio controls src='x'/>",
    "attribute twice": "<p a='1' a='2'>x</p>",
    "attribute with a colon": "<p a:b='1'>x</p>",
    "empty": "",
    "blank": " ",
    "line end": "\n",
    "comment alone": "<!-- x -->",
    "NUL": "\x00",
    "text with NUL": "a\x00b",
    "NUL in an element": "<p>\x00</p>",
    "control character": "<p>\x0b</p>",
    "escape sequence of a terminal": "\x1b[31mred\x1b[0m",
    "control character as entity": "<p>&#11;</p>",
    "not a character": "\ufffe",
    "half a surrogate": "\ud800",
    "half a surrogate in an element": "<p>\ud800</p>",
    "encoding declared": "<?xml version='1.0' encoding='utf-8'?><p/>",
    "no encoding declared": "<?xml version='1.0'?><p/>",
    "doctype": "<!DOCTYPE html><p>x</p>",
    "external entity": "<!DOCTYPE p [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><p>&x;</p>",
    "billion laughs": "<!DOCTYPE p [<!ENTITY a 'xx'>"
    + "".join(f"<!ENTITY a{i} '{'&a%s;' % (i - 1 if i > 1 else '') * 10}'>" for i in range(1, 12))
    + "]><p>&a11;</p>",
    "script": "<script>if (a < b) {}</script>",
    "table parts alone": "<tr><td>x</td></tr>",
    "html and body": "<html><body>x</body></html>",
    "closing tag alone": "</p>",
    "closing div alone": "</div>",
    "svg": "<svg><path d='M0'/></svg>x",
    "math": "<math><mi>x</mi></math>x",
    "strange element name": "<a\x01b>x",
    "element name with a colon": "<a:b>x</a:b>",
    "element name with a quote": "<a'b>x",
    "template": "<template><p>x</template>x",
    "frameset": "<frameset><frame></frameset>",
    "select in select": "<select><select><option>x",
    "deep": "<div>" * 300 + "x",
    "very deep": "<div>" * 2000 + "x",
    "deep XML": "<p>" * 300 + "</p>" * 300,
}


@pytest.mark.filterwarnings("ignore::html5lib.constants.DataLossWarning")
@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_taken_exactly_when_capa_takes_it(name: str) -> None:
    body = grade(msg=MESSAGES[name])
    assert (why_refused(URL, body) is None) == capa_takes(body)


SCRAPS = st.sampled_from(
    [
        "<", ">", "</", "/>", "p", "b", "table", "tr", "td", "svg", "math", "script", "a:b", "=",
        "'", '"', "&", "&amp;", "&nbsp;", "&#0;", "&#x110000;", "<!--", "-->", "<![CDATA[", "]]>",
        "<!DOCTYPE", "<?xml", "?>", "xmlns=", "xmlns:x=", "\x00", "\x0b", "\ufffe", "\ud800", "é",
        "\U0001f511", " ", "\n", "x", "html", "body", "head", "select", "template", "form",
        "frameset", "foreignObject", "annotation-xml", "desc", "title", "plaintext", "textarea",
    ]
)  # fmt: skip


@pytest.mark.filterwarnings("ignore::html5lib.constants.DataLossWarning")
@given(msg=st.lists(SCRAPS, max_size=14).map("".join))
@example(msg="<svg><desc><template>")
@example(msg="<math><annotation-xml><svg>")
@hypothesis_settings(max_examples=1500, deadline=None)
def test_scraps_of_markup_are_taken_exactly_when_capa_takes_them(msg: str) -> None:
    body = grade(msg=msg)
    assert (why_refused(URL, body) is None) == capa_takes(body)


@pytest.mark.parametrize(
    "msg", [None, 1, True, [], ["<p/>"], {"a": 1}], ids=lambda value: repr(value)
)
def test_a_message_that_is_no_text_is_refused_as_capa_fails_on_it(msg: Any) -> None:
    body = grade(msg=msg)
    assert why_refused(URL, body) == "'msg' is not a string"
    assert not capa_takes(body)


@pytest.mark.parametrize(
    ("score", "is_taken"),
    [
        ("0", True), ("1", True), ("0.5", True), ("-0.0", True), ("7", True), ("1e300", True),
        ("NaN", False), ("Infinity", False), ("-Infinity", False), ("1e999", False),
        ("-1", False), ("-0.1", False), ("true", True), ("false", True), ('"1"', False),
        ("null", False), ("[]", False), ("{}", False),
        ("1" + "0" * 400, False), ("-1" + "0" * 400, False), ("9" * 5000, False),
    ],
    ids=lambda value: str(value)[:12],
)  # fmt: skip
def test_a_score_is_a_finite_number_of_points(score: str, is_taken: bool) -> None:
    refusal = why_refused(URL, f'{{"correct": true, "score": {score}, "msg": "<p/>"}}')
    assert (refusal is None) == is_taken


@pytest.mark.parametrize("correct", [True, False, None, 1, 0, "true", "partially-correct", [], {}])
def test_correct_may_be_anything_because_the_lms_only_asks_whether_it_is_true(correct: Any) -> None:
    assert why_refused(URL, grade(correct=correct)) is None
    assert capa_takes(grade(correct=correct))


@pytest.mark.parametrize("missing", ["correct", "score", "msg"])
def test_a_grade_needs_all_three_parts(missing: str) -> None:
    reply = json.loads(grade())
    del reply[missing]
    assert why_refused(URL, json.dumps(reply)) == f"the result lacks '{missing}'"


def test_more_parts_do_no_harm() -> None:
    assert why_refused(URL, grade(grader_id="g1", extra=[1])) is None


@pytest.mark.parametrize(
    "body", ["", "x", "[]", "1", "null", '"x"', "[" * 100_000, "{", "\x00", '{"a": ' * 100_000]
)
def test_a_body_that_is_no_json_object_is_refused(body: str) -> None:
    assert why_refused(URL, body) is not None
    assert not capa_takes(body)


def test_every_nesting_around_the_recursion_limit_has_an_answer() -> None:
    for depth in range(900, 1010):
        body = grade(extra=json.loads("[]"))[:-1] + f', "x": {"[" * depth}{"]" * depth}}}'
        why_refused(URL, body)


@pytest.mark.parametrize(
    "dispatch", ["ungraded_response", "score_updates", "Score_update", "problem_get", "x"]
)
def test_another_dispatch_has_no_rules(dispatch: str) -> None:
    assert why_refused(callback_url(dispatch=dispatch), "not json") is None


@pytest.mark.parametrize("tail", ["", "/", "?x=1", "/?x=/ungraded_response"])
def test_the_dispatch_is_the_last_part_of_the_path(tail: str) -> None:
    assert dispatch_of(callback_url() + tail) == "score_update"
    assert why_refused(callback_url() + tail, "not json") is not None


def test_no_external_entity_is_read() -> None:
    """Else a grader could read the server's files, or reach hosts, through its message."""
    with pytest.raises(etree.XMLSyntaxError, match="Entity 'x' not defined"):
        etree.fromstring(MESSAGES["external entity"])


@pytest.mark.parametrize(
    "unit", ["<b>", "<div>", "<a>", "<table><tr>", "<svg><foreignObject>", "<form><p>", "&", "<"]
)
def test_a_hostile_message_has_an_answer(unit: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataLossWarning)
        why_refused(URL, grade(msg=unit * 1500))
