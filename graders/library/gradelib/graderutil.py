"""`graderutil`: the little of it that graders import. Sent beside the learner's program."""

from __future__ import annotations

import sys
import traceback

from gradelib import capture_stdout as captured_stdout  # type: ignore[import-not-found]

__all__ = ["LANGUAGE", "captured_stdout", "format_exception"]

LANGUAGE = "en"


def format_exception(
    exc_info: object = None,  # noqa: ARG001 - the old signature
    main_file: str | None = None,  # noqa: ARG001
    hide_file: bool = False,
) -> str:
    """The exception being handled: its type and message, and the traceback of staff code."""
    if hide_file:
        kind, error, _ = sys.exc_info()
        return f"{getattr(kind, '__name__', 'Error')}: {error}\n"
    return traceback.format_exc()
