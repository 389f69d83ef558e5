"""Long lists a page at a time: `?limit&cursor` -> {"…": [...], "next": cursor or null}."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from xqueue_server.web.api.call import HIGHEST_ID, ApiCall
from xqueue_server.web.api.problem import ApiError

USUAL, MOST = 50, 500

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    limit: int
    before: int | None
    """The id that the page before ended with; None: the first page."""

    @property
    def with_next(self) -> int:
        """Rows to ask for: one more than shown says whether there is a next page."""
        return self.limit + 1

    def of_all(self, everything: Iterable[Item], id_of: Callable[[Item], int]) -> list[Item]:
        """Of a list that is read as a whole: what `answer` needs, newest first."""
        newest_first = sorted(everything, key=id_of, reverse=True)
        older = (i for i in newest_first if self.before is None or id_of(i) < self.before)
        return list(islice(older, self.with_next))

    def answer(
        self,
        name: str,
        found: Sequence[Item],
        document: Callable[[Item], dict[str, Any]],
        id_of: Callable[[Item], int],
    ) -> dict[str, Any]:
        shown = found[: self.limit]
        has_next = len(found) > self.limit
        return {
            name: [document(item) for item in shown],
            "next": cursor_after(id_of(shown[-1])) if has_next else None,
        }


def page_of(call: ApiCall) -> Page:
    """Raises: ApiError 422."""
    text = call.request.args.get("cursor")
    return Page(
        limit=call.whole_number("limit", USUAL, most=MOST) or USUAL,
        before=None if text is None else _position(text),
    )


def cursor_after(position: int) -> str:
    """Opaque on purpose: what it is made of may change."""
    return base64.urlsafe_b64encode(f"id:{position}".encode()).decode().rstrip("=")


def _position(cursor: str) -> int:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        kind, _, number = base64.b64decode(padded, altchars=b"-_", validate=True).partition(b":")
        position = int(number) if kind == b"id" and number.isdigit() and len(number) < 20 else 0
    except ValueError:
        position = 0
    if not 0 < position <= HIGHEST_ID:
        raise ApiError(422, "invalid", "cursor is not one that this list gave as `next`")
    return position
