"""Builders for rows of the outbox, and a deliverer whose every step a test takes itself."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from xqueue_server.callbacks.delivery import Deliverer
from xqueue_server.callbacks.in_flight import Concurrency
from xqueue_server.models.callback import (
    Callback,
    CallbackKind,
    DueCallback,
    NewCallback,
    order_key,
)
from xqueue_server.storage import Storage, callbacks
from xqueue_server.transport import Outcome, Transport
from xqueue_server.transport.http import HttpTransport, Patience

HEADER = '{"lms_callback_url": "…", "lms_key": "k", "queue_name": "q"}'
_numbers = itertools.count(1)


def new_callback(
    origin: str, message: str = "{}", *, key: str | None = None, submission_id: int | None = None
) -> NewCallback:
    number = next(_numbers)
    block = "block-v1:o+c+r+type@problem+block@b"
    url = f"{origin}/courses/course-v1:o+c+r/xqueue/7/{block}/score_update"
    return NewCallback(
        submission_id=number if submission_id is None else submission_id,
        result_id=number,
        kind=CallbackKind.RESULT,
        url=url,
        origin=origin,
        order_key=order_key(url, key or f"key {number}"),
        header=HEADER,
        body=message,
    )


def put(storage: Storage, *new: NewCallback) -> list[int]:
    with storage.write() as tx:
        return [callbacks.insert(tx, each) for each in new]


def put_messages(storage: Storage, origin: str, *messages: str) -> list[int]:
    return put(storage, *[new_callback(origin, message) for message in messages])


def row(storage: Storage, callback_id: int) -> Callback:
    with storage.read() as tx:
        return callbacks.get(tx, callback_id)


def states(storage: Storage, ids: list[int]) -> list[str]:
    return [row(storage, each).state.value for each in ids]


class FakeTransport:
    """Answers by script without a network; `sent` are the messages in the order they were sent."""

    def __init__(self, answer: Callable[[DueCallback], Outcome | int] = lambda _: 200) -> None:
        self.answer = answer
        self.sent: list[str] = []

    def send(self, due: DueCallback) -> Outcome:
        self.sent.append(due.body)
        answer = self.answer(due)
        return Outcome(status=answer) if isinstance(answer, int) else answer

    def close(self) -> None:
        """Nothing is open."""


NO_ANSWER = Outcome(status=None, error="no connection")


def http_transport(**overrides: object) -> HttpTransport:
    defaults: dict[str, object] = {
        "access": {},
        "is_guarded": lambda _: False,
        "patience": Patience(connect_s=30, read_s=30, total_s=60),
    }
    return HttpTransport(**(defaults | overrides))  # type: ignore[arg-type]


def longest(_low: float, high: float) -> float:
    """Instead of chance: every random delay is as long as it may be."""
    return high


def new_deliverer(
    storage: Storage,
    transport: Transport,
    *,
    allows_origin: Callable[[str], bool] = lambda _: True,
    total: int = 8,
    per_origin: int = 8,
) -> Deliverer:
    return Deliverer(
        storage,
        transport,
        allows_origin=allows_origin,
        concurrency=Concurrency(total=total, per_origin=per_origin),
        uniform=longest,
        monotonic=lambda: 0.0,
    )


def deliver_now(deliverer: Deliverer) -> int:
    """Everything that can be sent at this instant, one round after the other; how many were."""
    total = 0
    while begun := deliverer.begin_due():
        total += begun
        deliverer.settle()
    return total
