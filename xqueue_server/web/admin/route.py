"""One address of the admin pages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flask import Response

from xqueue_server.models.account import Role

View = Callable[..., Response]
"""(call, the parts of the path) -> the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    method: str
    path: str
    """Below /admin."""
    view: View
    roles: frozenset[Role]
    """Who may ask at all: one of these, on some queue or course. What of it is theirs, and for
    what, the view decides."""
