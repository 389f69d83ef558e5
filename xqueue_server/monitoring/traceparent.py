"""W3C trace context: the one header that ties an LMS's request to its grade's way back.

Only `traceparent` is kept. `tracestate` is a vendor's own text, and nobody here could check it.
"""

from __future__ import annotations

import re
import secrets

HEADER = "traceparent"
_FORM = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
)
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


def read(text: str | None) -> str | None:
    """The header's value if it is one that the standard allows; None else.

    Versions after 00 may have more behind a further dash: what follows is dropped, and the rest
    is read as version 00, as the standard asks.
    """
    given = (text or "").strip()
    found = _FORM.match(given)
    if not found or found["trace"] == _NO_TRACE or found["span"] == _NO_SPAN:
        return None
    rest = given[found.end() :]
    if found["version"] == "ff" or (found["version"] == "00" and rest):
        return None
    if rest and not rest.startswith("-"):
        return None
    return f"00-{found['trace']}-{found['span']}-{found['flags']}"


def new() -> str:
    """A trace that begins here. Nothing has been recorded of it, so it is not marked as sampled."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"


def trace_id(traceparent: str) -> str:
    """The part that all spans of a trace share, as logs and trace viewers write it."""
    return traceparent.split("-")[1]
