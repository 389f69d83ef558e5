"""How long work in many small steps learns that its process is to end."""

from __future__ import annotations

from collections.abc import Callable

IsEnding = Callable[[], bool]
"""Asked between batches: whether to stop there, and leave the rest to others or to later."""


def never() -> bool:
    return False
