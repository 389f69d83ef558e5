"""Proctors whose pages are open all day: what each was told, and when."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.bench.exam_day.hall import Hall
from tests.proctoring.streams import Stream, a_ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    at: float
    """Seconds since 1970."""
    attempt_id: int
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    by_stream: Sequence[list[Heard]] = field(default_factory=list)


@contextmanager
def watching(hall: Hall, streams: int) -> Iterator[Watching]:
    """Whoever leaves the block has stopped `events`, which ends the streams."""
    opened = [
        Stream(
            hall.events_port,
            a_ticket(lasts_s=3600, holder=f"proctor {n}"),
            secret_key=hall.secret_key,
        )
        for n in range(streams)
    ]
    found = Watching(by_stream=[[] for _ in opened])
    threads = [
        threading.Thread(target=_listen, args=(stream, heard))
        for stream, heard in zip(opened, found.by_stream, strict=True)
    ]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        hall.programs["events"].stop()
        for thread in threads:
            thread.join()
        for stream in opened:
            stream.close()


def _listen(stream: Stream, heard: list[Heard]) -> None:
    assert stream.status == http.client.OK, stream.body()
    with suppress(OSError, http.client.HTTPException):  # `events` is stopped in the end
        for event in stream:
            if event.name == "news":
                told = event.data
                heard.append(Heard(at=time.time(), attempt_id=told["attempt"], kind=told["kind"]))
