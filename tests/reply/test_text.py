"""Text that XML, the LMS and a reader's eyes can bear."""

from __future__ import annotations

import pytest
from lxml import etree

from graders.reply.text import MARKS_IN_A_ROW, attribute, escaped, tame, tame_text, xml_text


def test_every_character_can_stand_in_an_element():
    text = "".join(chr(code) for code in range(0x11000))
    etree.fromstring(f"<pre>{xml_text(text, limit_chars=len(text))}</pre>")


def test_letters_of_all_scripts_line_ends_and_tabs_stay():
    text = "é ß Ж 漢 ע ا ไทย् 😀 👩‍👩‍👧 ﬁ\n\tx"
    assert tame(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x00b", "a␀b"),
        ("\x1b[31m", "␛[31m"),
        ("\x7f", "␡"),
        ("\x85", "[U+0085]"),
        ("\u202eevil", "[U+202E]evil"),
        ("\u2066", "[U+2066]"),
        ("\u200f", "[U+200F]"),
        ("\ufeff", "[U+FEFF]"),
        ("\u200b", "[U+200B]"),
        ("\u2028", "[U+2028]"),
        ("\ud800", "\ufffd"),
        ("\ufffe", "\ufffd"),
        ("50%\r100%", "50%␍100%"),
        ("a\r\nb", "a\nb"),
    ],
)
def test_what_harms_or_deceives_becomes_visible(text, shown):
    assert tame(text) == shown


def test_carriage_returns_stay_visible_where_they_are_the_point():
    assert tame("a\r\nb", line_ends=True) == "a␍\nb"


def test_a_flood_of_marks_ends():
    assert tame("a" + "\u0301" * 100_000 + "b") == "a" + "\u0301" * MARKS_IN_A_ROW + "\ufffdb"


def test_marks_of_several_letters_are_no_flood():
    text = "e\u0301" * 50
    assert tame(text) == text


def test_markup_is_escaped():
    assert escaped("<b> & ]]>") == "&lt;b&gt; &amp; ]]&gt;"


def test_an_attribute_can_not_be_left():
    assert attribute('a" onload="x\n<&') == "a&quot; onload=&quot;x &lt;&amp;"


def test_a_long_text_keeps_its_beginning_and_its_end_around_a_remark():
    shown = xml_text("a" * 1000 + "b" * 1000, limit_chars=100)
    assert shown == "a" * 80 + "\n… 1900 characters left out …\n" + "b" * 20


def test_a_text_of_just_the_length_is_whole():
    assert xml_text("a" * 100, limit_chars=100) == "a" * 100


@pytest.mark.parametrize("character", ["\u202e", "\x00", "<", "a"])
def test_a_tame_text_is_bounded_however_it_grows(character):
    assert len(tame_text(character * 100_000, limit_chars=1000)) < 2 * 1000 + 50
