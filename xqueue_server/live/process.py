"""Running the streams: a socket, an event loop on a thread, and an end in good order."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import uvicorn

from xqueue_server.errors import SettingsError
from xqueue_server.live.feed import Feed
from xqueue_server.live.serving import LiveApp
from xqueue_server.storage import Storage

log = logging.getLogger(__name__)

BACKLOG = 1024
UNANSWERED_MS = 60_000
"""After so long without a sign of life the kernel gives a connection up, with what it still had
to send: we do not wait for readers that have stopped to read."""
STOP_S = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    host: str
    port: int
    """0: any free one."""


def listening(bind: Bind) -> socket.socket:
    """Raises: SettingsError: not an address of this machine, or not a free one."""
    family = socket.AF_INET6 if ":" in bind.host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED_MS)
        opened.bind((bind.host, bind.port))
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        where = f"{bind.host}:{bind.port}"
        raise SettingsError(f"--bind: can not listen on {where}: {error.strerror}") from error
    return opened


def serve_until(
    stop: threading.Event,
    opened: socket.socket,
    storage: Storage,
    secret_key: bytes,
    *,
    most_clients: int,
    beat: Callable[[], None],
) -> None:
    """Stream to whoever connects until told to stop; then end the streams, whose pages connect to
    another process or come back later. `beat` is called again and again (see `beating`).

    Raises: whatever ended the loop before it was told to.
    """
    # Not on the main thread, where uvicorn would take the signals for itself.
    with ThreadPoolExecutor(1, thread_name_prefix="events") as pool:
        main = pool.submit(
            asyncio.run, _main(stop, opened, storage, secret_key, most_clients, beat)
        )
        main.result()


async def _main(
    told: threading.Event,
    opened: socket.socket,
    storage: Storage,
    secret_key: bytes,
    most_clients: int,
    beat: Callable[[], None],
) -> None:
    stop = asyncio.Event()
    feed = Feed(storage, time.monotonic)
    app = LiveApp(feed, stop, secret_key, most_clients=most_clients, now_s=time.time)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=STOP_S,
        )
    )
    # It calls a stream that we cut off a fault of the application; what is one, we log ourselves.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    serving = asyncio.ensure_future(server.serve(sockets=[opened]))
    feeding = asyncio.ensure_future(feed.run(stop, beat))
    waiting = asyncio.ensure_future(asyncio.to_thread(told.wait))
    log.info("serving", extra={"action": "serving", "port": opened.getsockname()[1]})
    try:
        await asyncio.wait({serving, feeding, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        told.set()
        stop.set()
        server.should_exit = True
        await asyncio.gather(serving, feeding, waiting)
