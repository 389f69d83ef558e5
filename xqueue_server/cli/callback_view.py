"""Callbacks and their tries, as the commands about callbacks and about submissions show them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from xqueue_server.cli.output import show_table
from xqueue_server.models.callback import Callback
from xqueue_server.storage import Transaction, callbacks
from xqueue_server.storage.callbacks import Attempt


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CallbackView:
    """A callback with every try to send it, oldest first."""

    callback: Callback
    attempts: Sequence[Attempt]

    def as_object(self) -> dict[str, object]:
        return dataclasses.asdict(self.callback) | {"attempts": self.attempts}


def view(tx: Transaction, callback: Callback) -> CallbackView:
    return CallbackView(callback=callback, attempts=callbacks.attempts_of(tx, callback.id))


def show_callbacks(found: Sequence[Callback]) -> None:
    show_table(
        [
            "ID",
            "SUBMISSION",
            "ATTEMPT",
            "KIND",
            "RECIPIENT",
            "PURPOSE",
            "STATE",
            "ORIGIN",
            "TRIES",
            "NEXT",
            "STATUS",
            "ERROR",
        ],
        [
            (
                c.id,
                c.submission_id,
                c.attempt_id,
                c.kind,
                c.recipient,
                c.purpose,
                c.state,
                c.origin,
                c.attempt,
                c.next_at,
                c.last_status,
                c.last_error,
            )
            for c in found
        ],
    )


def show_attempts(attempts: Sequence[Attempt]) -> None:
    show_table(
        ["STARTED", "TOOK", "STATUS", "ERROR", "RESPONSE"],
        [
            (a.started_at, f"{a.duration_ms} ms", a.status, a.error, _start_of(a.response))
            for a in attempts
        ],
    )


def _start_of(text: str | None) -> str | None:
    """Enough to recognise it; the JSON form has all that is kept."""
    return text if text is None or len(text) <= 80 else f"{text[:79]}…"
