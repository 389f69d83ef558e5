"""Input checks of `gradelib`: each makes a function from the learner's text to a complaint or None.

They read the text and never run it. Keywords and operators are counted among Python's tokens, so
those in comments and strings do not count.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache

Check = Callable[[str], "str | None"]
NOT_CODE = (tokenize.COMMENT, tokenize.STRING, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER)


def required_substring(string: str, error_msg: str | None = None) -> Check:
    complaint = error_msg or f"Your code should contain '{string}'."
    return lambda code: None if string in code else complaint


def prohibited_substring(string: str, error_msg: str | None = None) -> Check:
    complaint = error_msg or f"Your code should not contain '{string}'."
    return lambda code: complaint if string in code else None


def required_keyword(string: str, error_msg: str | None = None) -> Check:
    complaint = error_msg or f'Your code must make use of the "{string}" keyword.'
    return lambda code: None if _occurrences(code, string) else complaint


def prohibited_keyword(string: str, error_msg: str | None = None) -> Check:
    complaint = error_msg or f'Your code cannot make use of the "{string}" keyword.'
    return lambda code: complaint if _occurrences(code, string) else None


required_operator = required_keyword
prohibited_operator = prohibited_keyword


def one_of_required_keywords(strings: Iterable[str], error_msg: str | None = None) -> Check:
    words = list(strings)
    complaint = error_msg or f"Your code must make use of at least one of: {', '.join(words)}."
    return lambda code: None if any(_occurrences(code, word) for word in words) else complaint


def input_check_or(error_msg: str, *args: Check) -> Check:
    return lambda code: None if any(check(code) is None for check in args) else error_msg


def substring_occurs(
    string: str,
    at_least: int | None = None,
    at_most: int | None = None,
    exactly: int | None = None,
    error_msg: str | None = None,
    ignore_spacing: bool = False,
) -> Check:
    def check(code: str) -> str | None:
        text = code.replace(" ", "") if ignore_spacing else code
        return _count_complaint(string, text.count(string), at_least, at_most, exactly, error_msg)

    return check


def substring_occurs_if_condstring(
    string: str,
    condstring: str,
    at_least: int | None = None,
    at_most: int | None = None,
    exactly: int | None = None,
    error_msg: str | None = None,
) -> Check:
    counted = substring_occurs(string, at_least, at_most, exactly, error_msg)
    return lambda code: counted(code) if condstring in code else None


def token_occurs(
    string: str,
    at_least: int | None = None,
    at_most: int | None = None,
    exactly: int | None = None,
    error_msg: str | None = None,
) -> Check:
    def check(code: str) -> str | None:
        found = _occurrences(code, string)
        return _count_complaint(string, found, at_least, at_most, exactly, error_msg)

    return check


def count_non_comment_lines(
    at_least: int | None = None,
    at_most: int | None = None,
    exactly: int | None = None,
    error_msg: str | None = None,
) -> Check:
    def check(code: str) -> str | None:
        return _count_complaint(
            "lines", _counted(code).lines, at_least, at_most, exactly, error_msg
        )

    return check


def must_define_function(fn_name: str, error_msg: str | None = None) -> Check:
    complaint = error_msg or f"Your code must define a function named '{fn_name}'."
    return lambda code: None if _defines_function(code, fn_name) else complaint


def prohibited_function_definition(fn_name: str, error_msg: str | None = None) -> Check:
    complaint = error_msg or f"Your code should NOT define a function named '{fn_name}'."
    return lambda code: complaint if _defines_function(code, fn_name) else None


def must_define_class(class_name: str, error_msg: str | None = None) -> Check:
    complaint = error_msg or f"Your code must define a class named '{class_name}'."
    form = re.compile(rf"^\s*class\s+{re.escape(class_name)}\b", re.MULTILINE)
    return lambda code: None if form.search(code) else complaint


def required_class_method(class_name: str, method_name: str, error_msg: str | None = None) -> Check:
    complaint = error_msg or (
        f"The class named '{class_name}' should define a method named {method_name}."
    )
    return lambda code: None if method_name in _methods(code, class_name) else complaint


def prohibited_class_method(
    class_name: str, method_name: str, error_msg: str | None = None
) -> Check:
    complaint = error_msg or (
        f"The class named '{class_name}' should not define a method named {method_name}."
    )
    return lambda code: complaint if method_name in _methods(code, class_name) else None


class _Counted:
    """The tokens of a text, up to the first that can not be one: a text that is not Python fails
    later, with its line."""

    def __init__(self, code: str) -> None:
        self.occurrences: Counter[str] = Counter()
        self.lines = 0
        last_line = 0
        try:
            for token in tokenize.generate_tokens(io.StringIO(code.rstrip() + "\n").readline):
                if token.type in NOT_CODE:
                    continue
                self.occurrences[token.string] += 1
                if token.string.strip() and token.start[0] != last_line:
                    last_line = token.start[0]
                    self.lines += 1
        except (tokenize.TokenError, SyntaxError, ValueError, RecursionError):
            pass


@lru_cache(maxsize=2)
def _counted(code: str) -> _Counted:
    """Many checks ask about one text."""
    return _Counted(code)


def _occurrences(code: str, string: str) -> int:
    return _counted(code).occurrences[string]


def _defines_function(code: str, name: str) -> bool:
    return re.search(rf"\bdef\s+{re.escape(name)}\b", code) is not None


def _methods(code: str, class_name: str) -> set[str]:
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    return {
        item.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name == class_name
        for item in node.body
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def _count_complaint(
    what: str,
    count: int,
    at_least: int | None,
    at_most: int | None,
    exactly: int | None,
    error_msg: str | None,
) -> str | None:
    begin = f"Your code has {what!r} {count} times, "
    if exactly is not None and count != exactly:
        return error_msg or f"{begin}must be exactly {exactly}."
    if at_least is not None and count < at_least:
        return error_msg or f"{begin}must be at least {at_least}."
    if at_most is not None and count > at_most:
        return error_msg or f"{begin}can't be more than {at_most}."
    return None
