"""urllib3's connections and pools, with a deadline and the guard on addresses built in.

A pool hands its extra keyword arguments to each connection it makes: so `find_endpoints` arrives.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from xqueue_server.transport.addresses import Endpoint
from xqueue_server.transport.deadline import CURRENT

FindEndpoints = Callable[[str, int], Sequence[Endpoint]]
"""Resolve a host and port to the addresses that may be connected to, or raise OSError."""


class _Watched(HTTPConnection):
    """Connects only to addresses that were found for it, and is cut at the deadline."""

    def __init__(self, *args: Any, find_endpoints: FindEndpoints, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._find_endpoints = find_endpoints

    def _new_conn(self) -> socket.socket:
        try:
            connection = self._connect_to_first(self._find_endpoints(self.host, self.port))
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "no connection in time") from error
        except OSError as error:
            raise NewConnectionError(self, error.strerror or str(error)) from error
        CURRENT.get().watch(connection, is_reused=False)
        return connection

    def _connect_to_first(self, endpoints: Sequence[Endpoint]) -> socket.socket:
        failure: OSError = OSError("the name has no address")
        for endpoint in endpoints:
            try:
                return self._connect(endpoint)
            except OSError as error:
                failure = error
        raise failure

    def _connect(self, endpoint: Endpoint) -> socket.socket:
        remaining_s = CURRENT.get().remaining_s()
        if remaining_s <= 0:
            raise TimeoutError
        connection = socket.socket(endpoint.family, socket.SOCK_STREAM)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(min(float(self.timeout or remaining_s), remaining_s))
            connection.connect(endpoint.sockaddr)
        except BaseException:
            connection.close()
            raise
        return connection

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:  # kept alive from an earlier send
            CURRENT.get().watch(self.sock, is_reused=True)
        super().request(*args, **kwargs)


class _WatchedTls(_Watched, HTTPSConnection):
    """The same under TLS: only how the bytes get there is changed, names are verified as ever."""


class PlainPool(HTTPConnectionPool):
    """Takes `find_endpoints` beside urllib3's own arguments."""

    ConnectionCls = _Watched


class TlsPool(HTTPSConnectionPool):
    """Takes `find_endpoints` beside urllib3's own arguments."""

    ConnectionCls = _WatchedTls
