"""Sends callbacks with urllib3: one pool of kept connections per origin.

No redirects, no retries, no proxies from the environment, no compressed answers, no cookies.
"""

from __future__ import annotations

import math
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import BadStatusLine, RemoteDisconnected
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import urlencode, urlsplit

from urllib3 import BaseHTTPResponse, HTTPConnectionPool, Timeout
from urllib3 import exceptions as urllib3_errors

from xqueue_server.models.callback import DueCallback
from xqueue_server.monitoring import traceparent
from xqueue_server.transport import Outcome, addresses
from xqueue_server.transport.access import Access
from xqueue_server.transport.addresses import AddressRefused, Resolve
from xqueue_server.transport.connections import FindEndpoints, PlainPool, TlsPool
from xqueue_server.transport.deadline import Deadline

RESPONSE_CAP_BYTES = 64 * 1024
LONGEST_CAUSE = 300
NOT_CONNECTED = (
    urllib3_errors.NewConnectionError,
    urllib3_errors.ConnectTimeoutError,
    urllib3_errors.SSLError,
    urllib3_errors.ClosedPoolError,
)


def _user_agent() -> str:
    try:
        return f"xqueue-server/{version('xqueue-grader')}"
    except PackageNotFoundError:  # run from a checkout
        return "xqueue-server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long each part of a send may take."""

    connect_s: float = 3.05
    read_s: float = 10
    total_s: float = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class _Message:
    """One request."""

    method: str = "POST"
    origin: str
    url: str
    body: bytes | None = field(repr=False)
    headers: dict[str, str]
    is_once: bool = False
    """What broke off must be told, and is not tried again here."""


class HttpTransport:
    """Posts callbacks as the LMS expects them; safe for many threads."""

    def __init__(
        self,
        *,
        access: Mapping[str, Access],
        is_guarded: Callable[[str], bool],
        resolve: Resolve = socket.getaddrinfo,
        patience: Patience | None = None,
        kept_connections: int = 8,
    ) -> None:
        """`is_guarded` says of an origin whether only public addresses may be connected to.

        `kept_connections` (per origin) is best as many as are used at once.
        """
        self._access = access
        self._is_guarded = is_guarded
        self._resolve = resolve
        self._patience = patience or Patience()
        self._kept_connections = kept_connections
        self._system_tls = ssl.create_default_context()
        self._pools: dict[str, HTTPConnectionPool] = {}
        self._lock = threading.Lock()

    def send(self, due: DueCallback) -> Outcome:
        return self._send(
            _Message(
                origin=due.origin,
                url=due.url,
                body=urlencode({"xqueue_header": due.header, "xqueue_body": due.body}).encode(),
                headers={
                    "Content-Type": "application/x-www-form-urlencoded",
                    "webhook-id": f"cb_{due.id}",  # the same over all tries, to tell them apart
                }
                | ({traceparent.HEADER: due.traceparent} if due.traceparent else {}),
            )
        )

    def post_json(self, *, origin: str, url: str, body: bytes, headers: dict[str, str]) -> Outcome:
        """The same for a message of another kind. `headers` are sent beside our own."""
        return self._send(_Message(origin=origin, url=url, body=body, headers=headers))

    def request(
        self,
        method: str,
        *,
        origin: str,
        url: str,
        body: bytes | None,
        headers: dict[str, str],
        within_s: float,
        is_once: bool = False,
    ) -> Outcome:
        """Any request, that leaves whatever is left of a try. An `Authorization` among `headers`
        goes before the one that the access file has for the origin. `is_once`: it is not sent again
        on a fresh connection where a kept one broke."""
        if within_s <= 0:
            return Outcome(status=None, error="no time was left for it")
        message = _Message(
            method=method, origin=origin, url=url, body=body, headers=headers, is_once=is_once
        )
        return self._send(message, within_s)

    def _send(self, message: _Message, within_s: float = math.inf) -> Outcome:
        with Deadline(min(within_s, self._patience.total_s)) as deadline:
            try:
                return self._post(message, deadline)
            except AddressRefused as refusal:
                return Outcome(status=None, error=str(refusal), is_permanent=True)
            except urllib3_errors.HTTPError as error:
                return Outcome(
                    status=None,
                    error=self._described(error, deadline),
                    may_have_arrived=not isinstance(error, NOT_CONNECTED),
                )

    def _post(self, message: _Message, deadline: Deadline) -> Outcome:
        try:
            return self._post_once(message, deadline)
        except urllib3_errors.ClosedPoolError:  # another thread has just dropped it, see below
            self._forget_pool(message.origin)
        except urllib3_errors.ProtocolError:
            # The LMS may close a kept connection just when we begin to use it. That says nothing
            # about the LMS, and a learner waits: once more, on a fresh connection.
            if message.is_once or not deadline.connection_was_reused or deadline.is_over:
                raise
            self._forget_pool(message.origin)
        return self._post_once(message, deadline)

    def _post_once(self, message: _Message, deadline: Deadline) -> Outcome:
        response = self._pool(message.origin).urlopen(
            message.method,
            _target(message.url),
            body=message.body,
            headers=self._headers(message),
            retries=False,
            redirect=False,
            preload_content=False,
            timeout=Timeout(connect=self._patience.connect_s, read=self._patience.read_s),
        )
        beginning = _read(response)
        if deadline.is_over:  # cutting the connection looks like the end of the answer
            raise urllib3_errors.TimeoutError
        return Outcome(
            status=response.status,
            retry_after=response.headers.get("Retry-After"),
            response=beginning.decode(errors="replace"),
        )

    def _headers(self, message: _Message) -> dict[str, str]:
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        access = self._access.get(message.origin)
        if access and access.authorization:
            headers["Authorization"] = access.authorization
        return headers | message.headers

    def replace_access(self, access: Mapping[str, Access]) -> None:
        """Use other credentials and CAs from the next send on."""
        self._access = access
        self.close()

    def close(self) -> None:
        with self._lock:
            dropped, self._pools = self._pools, {}
        for pool in dropped.values():
            pool.close()

    def _forget_pool(self, origin: str) -> None:
        with self._lock:
            pool = self._pools.pop(origin, None)
        if pool:
            pool.close()

    def _pool(self, origin: str) -> HTTPConnectionPool:
        with self._lock:
            if origin not in self._pools:
                self._pools[origin] = self._new_pool(origin)
            return self._pools[origin]

    def _new_pool(self, origin: str) -> HTTPConnectionPool:
        parts = urlsplit(origin)
        assert parts.hostname is not None, "an origin has a host"
        access = self._access.get(origin)
        shared: dict[str, Any] = {
            "maxsize": self._kept_connections,
            "find_endpoints": self._finder(origin),
        }
        if parts.scheme == "http":
            return PlainPool(parts.hostname, parts.port, **shared)
        tls = (access and access.tls) or self._system_tls
        return TlsPool(parts.hostname, parts.port, ssl_context=tls, **shared)

    def _finder(self, origin: str) -> FindEndpoints:
        find = addresses.public_endpoints if self._is_guarded(origin) else addresses.all_endpoints
        return lambda host, port: find(host, port, self._resolve)

    def _described(self, error: urllib3_errors.HTTPError, deadline: Deadline) -> str:
        """One line for people, without addresses of objects and without anything that was sent."""
        if deadline.is_over:
            return f"no complete answer within {self._patience.total_s:g} s"
        match error:
            case urllib3_errors.NameResolutionError():
                return "the name can not be resolved"
            case urllib3_errors.NewConnectionError():  # a kind of ConnectTimeoutError
                return f"no connection: {_cause(error)}"
            case urllib3_errors.ConnectTimeoutError():
                return f"no connection within {self._patience.connect_s:g} s"
            case urllib3_errors.ReadTimeoutError():
                return f"no answer within {self._patience.read_s:g} s"
            case urllib3_errors.SSLError():
                return f"TLS: {_cause(error)}"
            case urllib3_errors.ProtocolError():
                return f"connection broke: {_cause(error)}"
        return f"HTTP: {_cause(error)}"


def _cause(error: BaseException) -> str:
    """What lies beneath urllib3's wrapping, whose own texts name objects in memory."""
    beneath = error.__cause__ or error.__context__
    if isinstance(beneath, urllib3_errors.HTTPError):
        return _cause(beneath)
    if isinstance(beneath, BadStatusLine) and not isinstance(beneath, RemoteDisconnected):
        return "not an HTTP answer"  # its own text is what the peer has sent
    if isinstance(beneath, OSError) and beneath.strerror:
        return beneath.strerror
    return (str(beneath or error) or type(beneath or error).__name__)[:LONGEST_CAUSE]


USER_AGENT = _user_agent()


def _target(url: str) -> str:
    """What follows the origin; host and port come from the origin, which was checked."""
    parts = urlsplit(url)
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path


def _read(response: BaseHTTPResponse) -> bytes:
    """The answer's body up to the cap; reading it whole lets the connection be kept."""
    try:
        body = response.read(RESPONSE_CAP_BYTES + 1, decode_content=False)
    except BaseException:
        response.close()
        raise
    if len(body) > RESPONSE_CAP_BYTES:
        response.close()
    return body[:RESPONSE_CAP_BYTES]
