"""Grades `encrypt(text)` with the key that this learner's problem showed."""

from __future__ import annotations

import random
import string

from graders.library import GraderSession, call_function, grade_with

TEXTS = {
    "word": "gradebook",
    "sentence": "Meet me at 10, Ada!",
    "long": "The quick brown fox jumps over the lazy dog. " * 40,
}
HIDDEN = {"long"}
FACTORS = [3, 5, 7, 9, 11, 15, 17, 19, 21, 23, 25]
"""Without a divisor in common with 26; 1 would be a Caesar cipher."""


def grade(session: GraderSession) -> None:
    factor, shift = key_of(session.job.seed)
    for test_id, text in TEXTS.items():
        expected = encrypted(text, factor, shift)
        answer = call_function(session, session.job.response, "encrypt", [text])
        report(session, test_id, answer.problem, answer.value, answer.status, expected)


def report(
    session: GraderSession,
    test_id: str,
    problem: str | None,
    value: object,
    status: str | None,
    expected: str,
) -> None:
    points = {"word": 1, "sentence": 2, "long": 1}[test_id]
    score = points if problem is None and value == expected else 0
    if test_id in HIDDEN:
        session.report(test_id, score=score, status=status)
    elif problem is not None:
        session.report(test_id, score=0, status=status, output=problem)
    else:
        session.report(test_id, score=score, expected=expected, actual=str(value))


def key_of(seed: int) -> tuple[int, int]:
    """The same two draws in the same order as in the problem's script."""
    draw = random.Random(seed)
    return draw.choice(FACTORS), draw.randint(1, 25)


def encrypted(text: str, factor: int, shift: int) -> str:
    table = {}
    for letters in (string.ascii_lowercase, string.ascii_uppercase):
        for place, letter in enumerate(letters):
            table[ord(letter)] = letters[(place * factor + shift) % 26]
    return text.translate(table)


grade_with(grade)
