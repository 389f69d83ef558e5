"""`--metrics HOST:PORT`: the numbers of a process that serves nothing else, for Prometheus."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import click
from prometheus_client import start_http_server

from xqueue_server.errors import SettingsError
from xqueue_server.monitoring import metrics

Decorated = Callable[..., Any]


def metrics_option(command: Decorated) -> Decorated:
    return click.option(
        "--metrics",
        "metrics_at",
        metavar="HOST:PORT",
        help="Show metrics there, to anyone who can connect; off by default.",
    )(command)


@contextlib.contextmanager
def served_metrics(at: str | None) -> Iterator[None]:
    """Serve this process's metrics for as long as the block runs; None: nowhere.

    Raises:
        SettingsError: not an address, or not a free one.
    """
    if at is None:
        yield
        return
    host, _, port = at.rpartition(":")
    if not host or not (port.isascii() and port.isdecimal()) or not 0 <= int(port) < 65_536:
        raise SettingsError(f"--metrics: {at!r} is not HOST:PORT, like 127.0.0.1:9401")
    try:
        server, thread = start_http_server(
            int(port), addr=host.strip("[]"), registry=metrics.REGISTRY
        )
    except OSError as error:
        raise SettingsError(f"--metrics: can not listen on {at}: {error.strerror}") from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
