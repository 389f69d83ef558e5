"""A learner's id as an LMS tells it to providers: the only tie between a provider-side attempt and
the learner of a submission.

edx-proctoring 6.1.4 (`obscured_user_id`): HMAC-SHA1 in hex, keyed with the LMS's
PROCTORING_USER_OBFUSCATION_KEY, over the decimal user id followed by the backend's name.
"""

from __future__ import annotations

import hashlib
import hmac


def obscured_id(key: str, user_id: str, backend: str) -> str:
    """40 hex digits."""
    return hmac.new(key.encode(), f"{user_id}{backend}".encode(), hashlib.sha1).hexdigest()
