"""Rules and staff of an exam's terms, read from what people have entered; and what of the terms is
probably not meant so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from proctoring_hooks.exam import Terms, Unmatched

MOST_RULES = 100
LONGEST_KEY = 100
LONGEST_RULE = 10_000
MOST_STAFF = 500
REFUSES_STAFF = (
    "unmatched is refuse, and nobody is listed as staff: who tries the exam without an attempt is "
    "refused like a learner. List the LMS's user ids of those who do"
)
_KEY = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_USER_ID = re.compile(r"[1-9][0-9]{0,18}")


class BadTerms(ValueError):
    """The text says what is wrong and what it may be."""


def read_rules(given: Mapping[object, object]) -> dict[str, str]:
    """Key -> sentence. Raises: BadTerms."""
    if len(given) > MOST_RULES:
        raise BadTerms(f"may have at most {MOST_RULES} rules")
    rules = {}
    for key, sentence in given.items():
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise BadTerms(
                f"{str(key)[:LONGEST_KEY]!r} is no key of a rule: it has 1 to {LONGEST_KEY} "
                "letters, digits and . _ -"
            )
        if not isinstance(sentence, str) or not sentence.strip() or len(sentence) > LONGEST_RULE:
            raise BadTerms(f"{key} must be a sentence of 1 to {LONGEST_RULE} characters")
        if not sentence.isprintable():
            raise BadTerms(f"{key} must be one line without control characters")
        rules[key] = sentence.strip()
    return rules


def read_staff(given: Iterable[object]) -> tuple[str, ...]:
    """The LMS's numeric user ids, each once, in their order. Raises: BadTerms."""
    found = dict.fromkeys(_user_id(each) for each in given)
    if len(found) > MOST_STAFF:
        raise BadTerms(f"may have at most {MOST_STAFF} users")
    return tuple(sorted(found, key=int))


def _user_id(given: object) -> str:
    text = str(given) if isinstance(given, int) and not isinstance(given, bool) else given
    if not isinstance(text, str) or not _USER_ID.fullmatch(text):
        raise BadTerms(
            f"{str(given)[:50]!r} is no user id: give the number of a user of the LMS, no username"
        )
    return text


def warnings_of(terms: Terms) -> list[str]:
    """Sentences for whoever has set them; empty, as a rule."""
    if terms.unmatched is Unmatched.REFUSE and not terms.staff:
        return [REFUSES_STAFF]
    return []
