"""Text of learners and authors -> text that XML, the LMS and a reader's eyes can bear.

Two steps, in this order: `tame` makes visible or removes what would harm or deceive a reader,
`escaped` makes it safe between two tags. `xml_text` does both and bounds the length.
"""

from __future__ import annotations

import re
import unicodedata

TEXT_CHARS = 5_000
TAIL_SHARE = 5
"""A fifth of the room goes to the end of a text: that is where a traceback says what happened."""
MARKS_IN_A_ROW = 4
"""Scripts that stack marks on a letter need no more; a flood of them covers the lines around."""

# What XML 1.0 does not allow (production 2, Char), and what Unicode calls no character.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Controls; those that reorder, join or hide what stands around them: bidi embeddings, overrides
# and isolates, zero width, byte order mark, tags, interlinear annotation, line separators.
_DECEIVING = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_BEYOND_ASCII = re.compile("[^\x00-\x7f]")
_JOINERS = "\u200c\u200d"
_CONTROL_PICTURES = 0x2400
_DELETE_PICTURE = "\u2421"
_REPLACEMENT = "\ufffd"
# capa replaces `$name` in the whole page by its variable of that name, `$script_code` among them,
# after the message has become part of it (capa_problem.py get_html, util.py contextualize_text).
_CAPA_VARIABLE = re.compile(r"\$(?=\w)")


def xml_text(text: str, *, limit_chars: int = TEXT_CHARS) -> str:
    """Fit to stand inside an element; a remark replaces the middle of a long text."""
    return escaped(tame_text(text, limit_chars=limit_chars))


def tame_text(text: str, *, limit_chars: int = TEXT_CHARS, line_ends: bool = False) -> str:
    """Tame, and of bounded length: a control may become as many as nine characters."""
    tamed = tame(shortened(text, limit_chars=limit_chars), line_ends=line_ends)
    return shortened(tamed, limit_chars=2 * limit_chars)


def tame(text: str, *, line_ends: bool = False) -> str:
    """Controls become visible signs, what cannot be shown U+FFFD, floods of marks end.

    `line_ends` keeps carriage returns visible where they are the point, as in a difference.
    """
    if not line_ends:
        text = text.replace("\r\n", "\n")
    text = text.replace("\r", "\u240d")
    text = _DECEIVING.sub(lambda match: _sign(match[0]), text)
    text = _NOT_XML.sub(_REPLACEMENT, text)
    return _without_floods(text) if _BEYOND_ASCII.search(text) else text


def shortened(text: str, *, limit_chars: int) -> str:
    """Beginning and end, about `limit_chars` together, with a remark between them."""
    left_out = len(text) - limit_chars
    if left_out <= 0:
        return text
    tail = limit_chars // TAIL_SHARE
    remark = f"\n… {left_out} characters left out …\n"
    return text[: limit_chars - tail] + remark + text[len(text) - tail :]


def escaped(text: str) -> str:
    """Markup of a tame text. No capa variable is left in it."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _CAPA_VARIABLE.sub("<span>$</span>", text)


def attribute(text: str) -> str:
    """A tame text between double quotes. A dollar sign, which no tag can guard there, is replaced
    by its full-width form."""
    one_line = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return _CAPA_VARIABLE.sub("\uff04", one_line.replace('"', "&quot;"))


def _sign(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(_CONTROL_PICTURES + code)
    return _DELETE_PICTURE if code == 0x7F else f"[U+{code:04X}]"


def _without_floods(text: str) -> str:
    kept: list[str] = []
    in_a_row = 0
    for character in text:
        is_mark = unicodedata.category(character)[0] == "M" or character in _JOINERS
        in_a_row = in_a_row + 1 if is_mark else 0
        if in_a_row <= MARKS_IN_A_ROW:
            kept.append(character)
        elif in_a_row == MARKS_IN_A_ROW + 1:
            kept.append(_REPLACEMENT)
    return "".join(kept)
