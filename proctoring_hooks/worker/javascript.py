"""Reading JavaScript as far as needed to say why a script is no worker; nothing is run.

The tokens are those of the language, except that whether a slash divides or begins a regular
expression is guessed from the token before it, as editors do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    NAME = "name"
    STRING = "string"
    """Its text is without the quotes."""
    MARK = "mark"
    OTHER = "other"
    """Numbers and regular expressions."""


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str


class NotJavaScript(ValueError):
    """The text says where it goes wrong."""


_SPACE = re.compile(r"(?:\s|\ufeff|//[^\n]*|/\*.*?\*/)+", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_$#\u0080-\U0010ffff][\w$\u0080-\U0010ffff]*")
_NUMBER = re.compile(r"\.?\d[\w.]*")
_STRING = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'", re.DOTALL)
_REGEX = re.compile(r"/(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/\w*")
_MARK = re.compile(r"=>|\+\+|--|[-+*/%=<>!&|^~?:;,.(){}\[\]@]")
_TEMPLATE_TEXT = re.compile(r"(?:[^`\\$]|\\.|\$(?!\{))*", re.DOTALL)
_BEFORE_REGEX = frozenset(
    {"return", "typeof", "case", "in", "of", "do", "else", "void", "delete", "throw", "new"}
    | {"instanceof", "yield", "await"}
)
_FORMS = (
    (_NAME, Kind.NAME),
    (_NUMBER, Kind.OTHER),
    (_STRING, Kind.STRING),
    (_REGEX, Kind.OTHER),
    (_MARK, Kind.MARK),
)
_PAIRS = {")": "(", "]": "[", "}": "{"}


def looks_like_html(content: bytes) -> bool:
    return content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def tokens(text: str) -> list[Token]:
    """Raises: NotJavaScript."""
    reader = _Reader(text)
    while reader.at < len(text):
        reader.step()
    if reader.open:
        raise NotJavaScript(f"it ends within {reader.open[-1].mark!r}: the file is cut off")
    return reader.found


@dataclass(frozen=True, slots=True)
class _Open:
    mark: str
    """A bracket, or the backtick of the template that an expression is in."""
    is_condition: bool = False


class _Reader:
    """Each step reads one thing, and either goes on or raises: never twice over the same text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: list[Token] = []
        self.open: list[_Open] = []
        self._may_be_regex = True

    def step(self) -> None:
        if space := _SPACE.match(self.text, self.at):
            self.at = space.end()
        elif self.text.startswith("/*", self.at):
            raise NotJavaScript("it ends within a comment: the file is cut off")
        elif self.text[self.at] == "`":
            self._template_text()
        elif self.text[self.at] == "}" and self.open and self.open[-1].mark == "`":
            self.open.pop()
            self._template_text()
        else:
            self._token()

    def _token(self) -> None:
        for pattern, kind in _FORMS:
            if pattern is _REGEX and not self._may_be_regex:
                continue
            if found := pattern.match(self.text, self.at):
                inner = found.group()[1:-1] if kind is Kind.STRING else found.group()
                self._take(Token(kind, inner), found.end())
                return
            if pattern is _REGEX and self.text[self.at] == "/":
                break
        line = self.text.count("\n", 0, self.at) + 1
        rest = self.text[self.at : self.at + 20]
        raise NotJavaScript(f"line {line} can not be read from {rest!r} on")

    def _take(self, token: Token, end: int) -> None:
        may_be_regex = token.kind is Kind.NAME and token.text in _BEFORE_REGEX
        if token.kind is Kind.MARK:
            may_be_regex = token.text not in ("]", "}", "++", "--")
            if token.text in _PAIRS.values():
                self.open.append(_Open(token.text, self._follows_condition()))
            elif token.text in _PAIRS:
                closed = self._close(token.text)
                may_be_regex = token.text == ")" and closed.is_condition
        self._may_be_regex = may_be_regex
        self.found.append(token)
        self.at = end

    def _follows_condition(self) -> bool:
        return bool(self.found) and self.found[-1].text in ("if", "while", "for", "with")

    def _close(self, mark: str) -> _Open:
        if not self.open or self.open[-1].mark != _PAIRS[mark]:
            raise NotJavaScript(f"there is a {mark!r} too many")
        return self.open.pop()

    def _template_text(self) -> None:
        """One stretch of a template's own text: to its end, or to the next expression in it."""
        stretch = _TEMPLATE_TEXT.match(self.text, self.at + 1)
        assert stretch is not None, "it matches nothing, too"
        self._take(Token(Kind.STRING, stretch.group()), stretch.end())
        if self.text.startswith("${", self.at):
            self.open.append(_Open("`"))
            self._take(Token(Kind.MARK, "+"), self.at + 2)  # as if it were added
        elif self.at >= len(self.text):
            raise NotJavaScript("it ends within '`': the file is cut off")
        else:
            self.at += 1


def strings(read: Sequence[Token]) -> set[str]:
    return {token.text for token in read if token.kind is Kind.STRING}


def names(read: Sequence[Token]) -> set[str]:
    return {token.text for token in read if token.kind is Kind.NAME}


def evaluated(read: Sequence[Token]) -> list[Token]:
    """Of scripts that are in strings, as webpack's development builds have them."""
    found: list[Token] = []
    for token in read:
        if token.kind is Kind.STRING and "(" in token.text:
            try:
                found += tokens(json.loads(f'"{token.text}"'))
            except ValueError:
                continue  # a string like another
    return found


def is_module(read: Sequence[Token]) -> bool:
    """Has `import` or `export` as statements, which no classic script may."""
    depth = 0
    for index, token in enumerate(read):
        if token.kind is Kind.MARK:
            depth += (token.text in "({[") - (token.text in ")}]")
        elif token.kind is Kind.NAME and depth == 0 and token.text in ("import", "export"):
            before = read[index - 1].text if index else ";"
            after = read[index + 1].text if index + 1 < len(read) else ""
            if before != "." and after not in ("(", ".", ":"):
                return True
    return False


def unguarded_uses(read: Sequence[Token], name: str) -> bool:
    """Whether a global of pages is used where no `typeof` asks for it before.

    A script that asks for it anywhere knows of workers: then only what it does while it is loaded
    counts, not what is in functions. One that has a variable of that name is left alone.
    """
    if _declares(read, name):
        return False
    asks = any(True for _ in _typeofs(read, name))
    return any(
        not (guarded or (asks and in_function)) for guarded, in_function in _uses(read, name)
    )


def _declares(read: Sequence[Token], name: str) -> bool:
    is_name = [t.kind is Kind.NAME and t.text == name for t in read]
    for index in range(1, len(read)):
        if is_name[index] and read[index - 1].text in ("var", "let", "const", "function"):
            return True
    return any(name in parameters for parameters in _parameters(read))


def _parameters(read: Sequence[Token]) -> Iterator[set[str]]:
    """Of each `function (...)` and `(...) =>`."""
    for end, start in _openings(read).items():
        heads = [token.text for token in read[max(0, start - 2) : start]]
        after = read[end + 1].text if end + 1 < len(read) else ""
        if "function" in heads or after == "=>":
            yield names(read[start:end])


def _typeofs(read: Sequence[Token], name: str) -> Iterator[int]:
    for index in range(1, len(read)):
        before, token = read[index - 1], read[index]
        if before.text == "typeof" and token.text == name and token.kind is Kind.NAME:
            yield index


@dataclass(slots=True)
class _Block:
    is_guarded: bool
    is_function: bool


def _uses(read: Sequence[Token], name: str) -> Iterator[tuple[bool, bool]]:
    """For each use: is it guarded; is it in a function that does not run at once."""
    asked_at = set(_typeofs(read, name))
    openings = _openings(read)
    blocks = [_Block(is_guarded=False, is_function=False)]
    is_guarded = False
    for index, token in enumerate(read):
        if index in asked_at:
            is_guarded = True
        elif token.kind is Kind.NAME and token.text == name and _is_reference(read, index):
            yield is_guarded or blocks[-1].is_guarded, blocks[-1].is_function
        elif token.kind is Kind.MARK and token.text == "{":
            blocks.append(
                _Block(
                    is_guarded=is_guarded or blocks[-1].is_guarded,
                    is_function=blocks[-1].is_function
                    or _opens_later_function(read, index, openings),
                )
            )
            is_guarded = False
        elif token.kind is Kind.MARK and token.text == "}":
            blocks.pop()
            is_guarded = False
        elif token.kind is Kind.MARK and token.text == ";":
            is_guarded = False


def _is_reference(read: Sequence[Token], index: int) -> bool:
    before = read[index - 1].text if index else ""
    after = read[index + 1].text if index + 1 < len(read) else ""
    is_key = after == ":" and before in ("{", ",")
    return before != "." and not is_key


def _opens_later_function(read: Sequence[Token], index: int, openings: dict[int, int]) -> bool:
    """The brace begins a function's body, and the function is not called where it stands."""
    is_arrow = index > 0 and read[index - 1].text == "=>"
    start = index - 2 if is_arrow else index - 1
    start = openings.get(start, start)
    heads = [token.text for token in read[max(0, start - 3) : start]]
    if not is_arrow and "function" not in heads[-2:]:
        return False
    lead = heads[: heads.index("function")] if "function" in heads else heads
    return not lead or lead[-1] not in ("(", "!", "+", "-", "~", "void")


def _openings(read: Sequence[Token]) -> dict[int, int]:
    """Of each closing parenthesis."""
    opened: list[int] = []
    found: dict[int, int] = {}
    for index, token in enumerate(read):
        if token.kind is Kind.MARK and token.text == "(":
            opened.append(index)
        elif token.kind is Kind.MARK and token.text == ")":
            found[index] = opened.pop()
    return found
