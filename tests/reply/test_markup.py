"""Authors' HTML: what they may use stays, the rest goes, and the LMS can read it."""

from __future__ import annotations

import pytest
from lxml import etree

from graders.reply.markup import HTML_CHARS, MAX_DEPTH, author_markup


def parsed(html):
    return etree.fromstring(f"<x>{author_markup(html)}</x>")


@pytest.mark.parametrize(
    ("html", "markup"),
    [
        ("<p>one<br>two", "<p>one<br/>two</p>"),
        ("a &amp; b &lt;", "a &amp; b &lt;"),
        ("&nbsp;&eacute;", "\u00a0é"),
        ("<b><i>x</b></i>", "<b><i>x</i></b>"),
        ("<ul><li>one<li>two</ul>", "<ul><li>one</li><li>two</li></ul>"),
        ("<h4>t</h4><hr>", "<h4>t</h4><hr/>"),
        ('<ol start="3"><li>x</ol>', '<ol start="3"><li>x</li></ol>'),
        ("<p></p><b></b>text", "text"),
        ("<!-- c -->x", "x"),
        ("<script>alert(1)</script>x", "x"),
        ("<style>p{}</style>x", "x"),
        ("<p onclick='x' style='x' class='longform' id='i'>t</p>", "<p>t</p>"),
        ("<img src='https://x/y.png'>t", "t"),
        ("<h1>t</h1>", "t"),
        ("a\x00b\x1b\u202e", "ab␛[U+202E]"),
        ("", ""),
    ],
)
def test_html_becomes_well_formed_and_harmless(html, markup):
    assert author_markup(html) == markup


def test_a_table_keeps_its_empty_cells():
    (row,) = parsed("<table><tr><td></td><td colspan=2>x</table>").iter("tr")
    assert [(cell.text, cell.get("colspan")) for cell in row] == [("\u00a0", None), ("x", "2")]


@pytest.mark.parametrize("address", ["https://x.org/a?b=1&c=2", "http://x", "mailto:a@b.c"])
def test_a_link_elsewhere_stays_and_opens_beside_the_course(address):
    (link,) = parsed(f'<a href="{address}" title="t">x</a>')
    assert dict(link.attrib) == {
        "href": address,
        "title": "t",
        "rel": "noopener noreferrer nofollow",
        "target": "_blank",
    }


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "JaVa\tScript:alert(1)",
        " javascript:x",
        "data:text/html,x",
        "/logout",
        "//x",
        "x",
        "",
    ],
)
def test_any_other_link_leads_nowhere(address):
    (link,) = parsed(f'<a href="{address}">x</a>')
    assert "href" not in link.attrib
    assert link.text == "x"


def test_depth_is_bounded_and_the_text_stays():
    tree = parsed("<div>" * 500 + "deep" + "</div>" * 500 + "after")
    assert max(len(list(element.iterancestors())) for element in tree.iter()) <= MAX_DEPTH
    assert "".join(tree.itertext()) == "deepafter"


def test_too_much_is_cut_with_a_remark():
    text = "".join(parsed("<p>" + "x" * (HTML_CHARS + 10)).itertext())
    assert "the rest is left out" in text
