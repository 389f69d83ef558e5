"""The address that streams: `GET /proctoring/events`, as an ASGI application.

Query: `course`, `ticket`, and optionally `exam`, `attempt` and `after` (a place; the browser's
`Last-Event-ID` counts more). Each event has the id "writer-id", the name `news` and the data
{attempt, kind}; an event `anew` says that too much was missed to tell it one by one.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from xqueue_server.errors import StorageUnavailable
from xqueue_server.live import ticket as tickets
from xqueue_server.live.feed import Client, Feed, Gone
from xqueue_server.live.ticket import BadTicket, Ticket
from xqueue_server.monitoring import metrics
from xqueue_server.storage.proctoring.news import BEGINNING, Place, PlacedNews, read_place

log = logging.getLogger(__name__)

PATH = "/proctoring/events"
HEARTBEAT_S = 15.0
"""Of comments, so that proxies keep the stream and a dead client is noticed."""
RETRY_MS = 2000
FAREWELL_S = 1.0
"""For the last bytes of a stream that we end; who does not take them is cut off."""
FRESH_S = 15.0
MOST_OF_ONE_HOLDER = 20

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


class _Refusal(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    ticket: Ticket
    exam_id: int | None
    attempt_id: int | None
    after: Place | None


class LiveApp:
    """Serves streams from `feed` until `stop` is set. `now_s`: seconds since 1970."""

    def __init__(
        self,
        feed: Feed,
        stop: asyncio.Event,
        secret_key: bytes,
        *,
        most_clients: int,
        now_s: Callable[[], float],
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        self._feed = feed
        self._stop = stop
        self._secret_key = secret_key
        self._most_clients = most_clients
        self._now_s = now_s
        self._heartbeat_s = heartbeat_s
        self._held: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            await self._serve(scope, receive, send)
        except Exception as error:  # the outermost of this request
            metrics.ERRORS.labels("events").inc()
            log.error("unexpected error", exc_info=error, extra={"action": "unexpected_error"})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if scope["method"] not in ("GET", "HEAD"):
            await _answer(send, 405, "Only GET is possible here")
        elif path == "/healthz":
            await _answer(send, 200, "OK")
        elif path == "/readyz":
            await self._ready(send)
        elif path == PATH and scope["method"] == "GET":
            await self._stream(scope, receive, send)
        else:
            await _answer(send, 404, "There is nothing at this address")

    async def _ready(self, send: Send) -> None:
        if self._stop.is_set():
            await _answer(send, 503, "stopping")
        elif self._feed.is_fresh(FRESH_S):
            await _answer(send, 200, "OK")
        else:
            await _answer(send, 503, "the database can not be reached")

    # -- a stream --------------------------------------------------------------------------------

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            asked = self._asked(scope)
            self._check_limits(asked.ticket.holder)
        except _Refusal as refusal:
            metrics.EVENT_STREAMS_REFUSED.labels(refusal.status).inc()
            await _answer(send, refusal.status, f"{refusal}")
            return
        client = Client(ticket=asked.ticket, exam_id=asked.exam_id, attempt_id=asked.attempt_id)
        holder = asked.ticket.holder
        self._held[holder] += 1
        try:
            await self._joined(client, asked.after, receive, send)
        finally:
            self._feed.leave(client)
            self._held[holder] -= 1
            if not self._held[holder]:
                del self._held[holder]

    async def _joined(
        self, client: Client, after: Place | None, receive: Receive, send: Send
    ) -> None:
        opening = [f"retry: {RETRY_MS}\n\n"]
        try:
            opening += [_event(told) for told in await self._feed.join(client, after)]
        except Gone:
            self._feed.leave(client)
            client.known = BEGINNING
            await self._feed.join(client, None)
            opening.append(f"id: {client.known}\nevent: anew\ndata: {{}}\n\n")
        except StorageUnavailable:
            await _answer(send, 503, "the database can not be reached")
            return
        await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
        metrics.EVENT_STREAMS_OPENED.inc()
        end = await self._follow(client, "".join(opening), receive, send)
        metrics.EVENT_STREAMS_ENDED.labels(end).inc()
        if end != "left":
            with suppress(TimeoutError):
                await asyncio.wait_for(send({"type": "http.response.body"}), FAREWELL_S)

    async def _follow(self, client: Client, opening: str, receive: Receive, send: Send) -> str:
        """Until one of these happens; says which."""
        ends = {
            asyncio.ensure_future(self._write(client, opening, send)): "left",
            asyncio.ensure_future(_left(receive)): "left",
            asyncio.ensure_future(client.is_cut_off.wait()): "cut off",
            asyncio.ensure_future(self._stop.wait()): "stopped",
        }
        left_s = client.ticket.until_s - self._now_s()
        try:
            done, _ = await asyncio.wait(
                ends, timeout=max(0.0, left_s), return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in ends:
                task.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
        for task in done:
            task.result()  # what went wrong in it
        return min((ends[task] for task in done), default="expired")

    async def _write(self, client: Client, opening: str, send: Send) -> None:
        await _body(send, opening)
        while True:
            try:
                told = await asyncio.wait_for(client.queue.get(), self._heartbeat_s)
            except TimeoutError:
                await _body(send, ": alive\n\n")
                continue
            texts = [_event(told)]
            while not client.queue.empty():
                texts.append(_event(client.queue.get_nowait()))
            await _body(send, "".join(texts))

    # -- what is asked for -----------------------------------------------------------------------

    def _asked(self, scope: Scope) -> _Asked:
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), max_num_fields=20))
        try:
            ticket = tickets.read(query.get("ticket", ""), self._secret_key, self._now_s())
        except BadTicket as error:
            raise _Refusal(403, f"{error}") from None
        exam_id, attempt_id = _number(query, "exam"), _number(query, "attempt")
        if not ticket.covers(query.get("course", ""), exam_id, attempt_id):
            raise _Refusal(403, "this ticket is for something else")
        headers = dict(scope["headers"])
        last = headers.get(b"last-event-id", b"").decode("latin-1") or query.get("after", "")
        after = read_place(last)
        if last and after is None:
            raise _Refusal(400, "Last-Event-ID, or `after`, must be the id of an event of ours")
        return _Asked(ticket=ticket, exam_id=exam_id, attempt_id=attempt_id, after=after)

    def _check_limits(self, holder: str) -> None:
        if self._stop.is_set():
            raise _Refusal(503, "stopping")
        if self._held.total() >= self._most_clients:
            raise _Refusal(503, "too many streams are open here")
        if self._held[holder] >= MOST_OF_ONE_HOLDER:
            raise _Refusal(429, "too many streams are open for this session: close some pages")


def _number(query: dict[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise _Refusal(400, f"{name} must be a number")
    return int(text)


def _event(told: PlacedNews) -> str:
    data = json.dumps({"attempt": told.attempt_id, "kind": told.kind})
    return f"id: {told.place}\nevent: news\ndata: {data}\n\n"


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _body(send: Send, text: str) -> None:
    """Waits until the client has taken most of what was sent before."""
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _answer(send: Send, status: int, text: str) -> None:
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{text}\n".encode()})
