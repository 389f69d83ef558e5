"""Whether an LMS's attempts can be joined to the learners of its submissions, proved with one.

Its attempts name a learner by an obscured id alone, its submissions by his number. That the two are
the same person follows from the LMS's obfuscation key; with a wrong one nobody would notice, as
each submission would simply be of no attempt.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from proctoring_hooks.lms import Lms
from proctoring_hooks.obscuring import obscured_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    is_joined: bool
    words: str
    """What was found and, if they do not join, what to look at. Names no secret."""


def check(lms: Lms, *, user_id: str, obscured: str) -> Joining:
    """Of one learner: his numeric id in the LMS, and the obscured id by which the LMS named him to
    us (of an attempt of his, or `obscured_user_id` in the LMS's shell)."""
    if not lms.obfuscation_key:
        return _apart(
            f"No obfuscation key is stored for {lms.name}: enter its "
            "PROCTORING_USER_OBFUSCATION_KEY."
        )
    if not user_id.isdecimal():
        return _apart("The user id must be the number that callback URLs name, not a user name.")
    made = obscured_id(lms.obfuscation_key, user_id, lms.backend)
    if not hmac.compare_digest(made.encode(), obscured.strip().lower().encode()):
        return _apart(
            f"The stored key makes another id of user {user_id}. Either the key is not the "
            f"PROCTORING_USER_OBFUSCATION_KEY of {lms.name}, or its PROCTORING_BACKENDS does not "
            f"call us '{lms.backend}', or the two ids are of different people."
        )
    return Joining(
        is_joined=True,
        words=f"The stored key joins them: attempts of {lms.name} find their learners' work.",
    )


def _apart(words: str) -> Joining:
    return Joining(is_joined=False, words=words)
