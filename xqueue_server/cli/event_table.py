"""Events as a table."""

from __future__ import annotations

from collections.abc import Sequence

from xqueue_server.cli.output import show_table
from xqueue_server.storage.events import Event


def show_events(events: Sequence[Event]) -> None:
    show_table(
        ["AT", "SUBJECT", "CHANGE", "WHY", "BY", "DETAIL"],
        [(e.at, e.subject, _change(e), e.why, e.actor, e.detail) for e in events],
    )


def _change(event: Event) -> str | None:
    if event.to_state is None:
        return None
    return f"{event.from_state or 'new'} > {event.to_state}"
