"""The author's own HTML -> well-formed XHTML of an allow-list, whatever learners put into it.

An author may have pasted a learner's output between her tags, so this text is as hostile as any.
nh3 repairs and cleans it as a browser would read it; its output is then written anew, element by
element, because the LMS parses a message as XML (`<br>` and `&nbsp;` are errors there) and writes
it out as XML, which turns an empty element into one that a browser never closes.
"""

from __future__ import annotations

from html.parser import HTMLParser

import nh3

from graders.reply.text import attribute, escaped, tame

HTML_CHARS = 20_000
"""Of one test, before cleaning."""
MAX_DEPTH = 40
"""Elements within elements; the LMS's XML parser takes 256, its page around included."""
VOID = frozenset({"br", "hr"})
CELLS = frozenset({"td", "th", "li", "dd", "dt", "caption"})
NO_BREAK_SPACE = "\u00a0"

# fmt: off
PLAIN = (
    "p", "br", "hr", "div", "span", "blockquote", "h4", "h5", "h6",
    "b", "strong", "i", "em", "u", "s", "small", "sub", "sup", "mark", "del", "ins", "q",
    "code", "pre", "kbd", "samp", "var", "ul", "li", "dl", "dt", "dd",
    "table", "caption", "thead", "tbody", "tfoot", "tr",
)
# fmt: on
ALLOWED: dict[str, set[str]] = {
    **{tag: set() for tag in PLAIN},
    "a": {"href", "title"},
    "abbr": {"title"},
    "ol": {"start", "type"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
}
"""Element -> attributes. No class, style or id: they could dress a message as the LMS's own. No
img: pictures are reported as such; one from elsewhere would tell that server who looks."""
SCHEMES = ("http", "https", "mailto")


def author_markup(html: str) -> str:
    """Several elements and text, fit to stand inside an element; empty if nothing is left."""
    readable = html[:HTML_CHARS].encode(errors="replace").decode()
    clean = nh3.clean(
        readable,
        tags=set(ALLOWED),
        attributes=ALLOWED,
        clean_content_tags={"script", "style"},
        url_schemes=set(SCHEMES),
        link_rel=None,
    )
    writer = _XhtmlWriter()
    writer.feed(clean)
    writer.close()
    text = writer.text()
    if len(html) > HTML_CHARS and text:
        text += "<p>… the rest is left out: too long …</p>"
    return text


class _XhtmlWriter(HTMLParser):
    """Reads canonical HTML and trusts it in nothing: tags and attributes are checked again."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[_Element] = [_Element("", "")]

    def text(self) -> str:
        while len(self._open) > 1:
            self._close_last()
        return "".join(self._open[0].content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ALLOWED:
            return
        if tag in VOID:
            self._open[-1].content.append(f"<{tag}/>")
        elif len(self._open) <= MAX_DEPTH:
            self._open.append(_Element(tag, _attributes(tag, attrs)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        """The elements left out for their depth have no open one: their ends find none either,
        or one of the same name, which then ends a little early and stays well-formed."""
        if any(element.tag == tag for element in self._open[1:]):
            while self._close_last() != tag:
                pass

    def handle_data(self, data: str) -> None:
        self._open[-1].content.append(escaped(tame(data)))

    def _close_last(self) -> str:
        element = self._open.pop()
        markup = element.markup()
        if markup:
            self._open[-1].content.append(markup)
        return element.tag


class _Element:
    __slots__ = ("attributes", "content", "tag")

    def __init__(self, tag: str, attributes: str) -> None:
        self.tag = tag
        self.attributes = attributes
        self.content: list[str] = []

    def markup(self) -> str:
        """Nothing for an element without content, unless it holds a place in a table or list."""
        content = "".join(self.content) or (NO_BREAK_SPACE if self.tag in CELLS else "")
        return f"<{self.tag}{self.attributes}>{content}</{self.tag}>" if content else ""


def _attributes(tag: str, attrs: list[tuple[str, str | None]]) -> str:
    wanted = {name: value or "" for name, value in attrs if name in ALLOWED[tag]}
    if tag == "a":
        if not wanted.get("href", "").lower().startswith(("http://", "https://", "mailto:")):
            wanted.pop("href", None)
        if "href" in wanted:
            wanted["href"] = wanted["href"].replace("$", "%24")  # capa's variables, see text.py
        wanted |= {"rel": "noopener noreferrer nofollow", "target": "_blank"}
    return "".join(f' {name}="{attribute(tame(value))}"' for name, value in wanted.items())
