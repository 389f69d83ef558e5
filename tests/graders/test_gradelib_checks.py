"""Input checks of old graders, in this process: they only read text."""

import importlib
import sys
from pathlib import Path

import pytest

import graders

FOLDER = Path(graders.__file__).parent / "library" / "gradelib"


@pytest.fixture(scope="module")
def lib():
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module("gradelib")
    sys.path.remove(str(FOLDER))
    for name in ("gradelib", "gradelib_checks"):
        sys.modules.pop(name, None)


CODE = """
# while in a comment
def f(x):
    '''while in a docstring'''
    for i in x:
        print("for", i)

class Dog(object):
    def bark(self):
        pass
"""
CASES = [
    # check, arguments, whether CODE passes it
    ("required_substring", ("print",), True),
    ("required_substring", ("input",), False),
    ("prohibited_substring", ("input",), True),
    ("prohibited_substring", ("print",), False),
    ("required_keyword", ("for",), True),
    ("required_keyword", ("while",), False),
    ("prohibited_keyword", ("while",), True),
    ("prohibited_keyword", ("for",), False),
    ("required_operator", ("+",), False),
    ("prohibited_operator", ("+",), True),
    ("one_of_required_keywords", (["while", "for"],), True),
    ("one_of_required_keywords", (["while", "with"],), False),
    ("substring_occurs", ("for", 2), True),
    ("substring_occurs", ("for", None, 1), False),
    ("substring_occurs", ("forix", None, None, None, None, True), True),
    ("substring_occurs_if_condstring", ("while", "Dog", 5), False),
    ("substring_occurs_if_condstring", ("while", "Cat", 5), True),
    ("token_occurs", ("for", None, None, 1), True),
    ("token_occurs", ("for", 2), False),
    ("count_non_comment_lines", (None, None, 6), True),
    ("count_non_comment_lines", (7,), False),
    ("must_define_function", ("f",), True),
    ("must_define_function", ("g",), False),
    ("prohibited_function_definition", ("f",), False),
    ("prohibited_function_definition", ("g",), True),
    ("must_define_class", ("Dog",), True),
    ("must_define_class", ("Do",), False),
    ("required_class_method", ("Dog", "bark"), True),
    ("required_class_method", ("Dog", "f"), False),
    ("prohibited_class_method", ("Dog", "bark"), False),
    ("prohibited_class_method", ("Cat", "bark"), True),
]


@pytest.mark.parametrize(("name", "arguments", "passes"), CASES)
def test_a_check_complains_or_says_nothing(lib, name, arguments, passes):
    complaint = getattr(lib, name)(*arguments)(CODE)
    assert (complaint is None) is passes
    assert passes or complaint


def test_one_of_several_checks_is_enough(lib):
    either = lib.input_check_or(
        "neither", lib.required_keyword("while"), lib.required_keyword("for")
    )
    assert either(CODE) is None
    assert either("x = 1") == "neither"


@pytest.mark.parametrize("code", ["", "'", "\t\n x", "def (", "\0", "(" * 10_000])
def test_no_text_breaks_a_check(lib, code):
    for name, arguments, _ in CASES:
        getattr(lib, name)(*arguments)(code)


def test_messages_of_the_author_are_used(lib):
    assert lib.required_substring("zebra", "Use a zebra.")(CODE) == "Use a zebra."
    assert lib.token_occurs("for", at_least=9, error_msg="More!")(CODE) == "More!"


def test_numbers_are_rounded_for_printing(lib):
    assert lib.round_float_writer(2)(3.14159) == "3.14"


def test_a_text_is_taken_apart_once_for_all_checks(lib, monkeypatch):
    checks = importlib.import_module("gradelib_checks")
    taken_apart = []
    generate = checks.tokenize.generate_tokens

    def counted(readline):
        taken_apart.append(1)
        return generate(readline)

    monkeypatch.setattr(checks.tokenize, "generate_tokens", counted)
    code = CODE + "# read by nobody before\n"
    for word in ("for", "while", "class", "print"):
        lib.required_keyword(word)(code)
        lib.token_occurs(word, at_least=1)(code)
    lib.count_non_comment_lines(at_least=3)(code)
    assert len(taken_apart) == 1
