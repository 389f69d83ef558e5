"""The few requests of the Docker Engine API that a run needs, over plain HTTP.

The SDK spends several milliseconds of processor time on each run in layers this never uses; and
every request here has a timeout, on a connection of its own thread at that moment. API reference:
https://docs.docker.com/reference/api/engine/version/v1.41/
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from sandbox.backends.docker.attached import AttachedChannel
from sandbox.backends.docker.where import EngineAddress
from sandbox.errors import SandboxUnavailable

OLDEST_API = (1, 40)
NEWEST_API = (1, 51)
"""What this module was written against; an engine offers all versions in between."""
NOT_FOUND = 404
CONFLICT = 409
MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_IDLE_CONNECTIONS = 8
STALE = (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError)
TROUBLE = (OSError, http.client.HTTPException)


class EngineRefused(SandboxUnavailable):
    """The engine answered with an error; what it said is the exception's text."""

    def __init__(self, doing: str, status: int, said: str) -> None:
        super().__init__(f"{doing}: {said}"[:500])
        self.status = status
        self.said = said


class EngineClient:
    """Thread-safe. All methods raise SandboxUnavailable, in particular when the engine hangs."""

    def __init__(self, address: EngineAddress, *, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()
        self._prefix: str | None = None

    def ping(self, timeout_s: float) -> None:
        """Ask for a sign of life, within less time than other requests get."""
        self._ask_version(timeout_s)

    def version(self) -> dict[str, Any]:
        return self._object("asking the engine", "GET", "/version")

    def info(self) -> dict[str, Any]:
        return self._object("asking the engine", "GET", "/info")

    def inspect_image(self, image: str) -> dict[str, Any]:
        return self._object("looking at an image", "GET", f"/images/{quote(image)}/json")

    def image_history(self, image: str) -> list[dict[str, Any]]:
        """Its layers, newest first."""
        path = f"/images/{quote(image)}/history"
        found: list[dict[str, Any]] = json.loads(self._ask("looking at an image", "GET", path))
        return found

    def pull_image(
        self, name: str, digest: str, credential: str, idle_s: float
    ) -> Iterator[dict[str, Any]]:
        """What the engine says while it fetches `name@digest`; the last may be an `error`.

        `credential` is the value of X-Registry-Auth, empty for none; `idle_s` is how long the
        engine may say nothing. Raises EngineRefused when it does not even begin.
        """
        doing = "fetching an image"
        path = f"/images/create?{urlencode({'fromImage': name, 'tag': digest})}"
        headers = {"X-Registry-Auth": credential} if credential else {}
        versioned = self._versioned(path)
        try:
            connection = self._new_connection(idle_s)
            try:
                connection.request("POST", versioned, headers=headers)
                answer = connection.getresponse()
                if answer.status >= http.client.BAD_REQUEST:
                    said = _message(answer.read(MAX_ANSWER_BYTES))
                    raise EngineRefused(doing, answer.status, said)
                while line := answer.readline(MAX_ANSWER_BYTES):
                    yield from _events(line)
            finally:
                connection.close()
        except TROUBLE as error:
            raise _trouble(doing, error) from error

    def create_container(self, config: Mapping[str, Any]) -> str:
        """Its id."""
        answer = self._object("creating a container", "POST", "/containers/create", body=config)
        return str(answer["Id"])

    def start_container(self, container_id: str) -> None:
        self._ask("starting a container", "POST", f"/containers/{container_id}/start")

    def inspect_container(self, container_id: str) -> dict[str, Any]:
        return self._object("looking at a container", "GET", f"/containers/{container_id}/json")

    def wait_container(self, container_id: str) -> int:
        """The exit status, once it has ended."""
        path = f"/containers/{container_id}/wait"
        return int(self._object("waiting for a container", "POST", path)["StatusCode"])

    def remove_container(self, container_id: str) -> None:
        """Kill and remove it with its anonymous volumes; fine if somebody else did or does."""
        path = f"/containers/{container_id}?force=1&v=1"
        try:
            self._ask("removing a container", "DELETE", path)
        except EngineRefused as refused:
            if refused.status not in (NOT_FOUND, CONFLICT):
                raise

    def list_containers(self, label: str) -> list[dict[str, Any]]:
        """All with that label, running or not."""
        query = urlencode({"all": 1, "filters": json.dumps({"label": [label]})})
        found: list[dict[str, Any]] = json.loads(
            self._ask("listing containers", "GET", f"/containers/json?{query}")
        )
        return found

    def attach(self, container_id: str) -> AttachedChannel:
        """Its stdin, stdout and stderr. Before it starts, or its first bytes would be lost."""
        target = f"/containers/{container_id}/attach?stream=1&stdin=1&stdout=1&stderr=1"
        try:
            connection = self._address.connect(self._timeout_s)
        except OSError as error:
            raise _trouble("attaching to a container", error) from error
        try:
            connection.sendall(self._upgrade_request(target))
            rest = _after_upgrade(connection)
        except BaseException as error:
            connection.close()
            if isinstance(error, OSError):
                raise _trouble("attaching to a container", error) from error
            raise
        return AttachedChannel(connection, rest)

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _upgrade_request(self, target: str) -> bytes:
        return (
            f"POST {self._versioned(target)} HTTP/1.1\r\nHost: docker\r\n"
            "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n"
        ).encode()

    def _object(
        self, doing: str, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._ask(doing, method, path, body))
        return answer

    def _ask(
        self, doing: str, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> bytes:
        """The body of a successful answer. Raises EngineRefused, SandboxUnavailable."""
        status, content = self._exchange(doing, method, self._versioned(path), body)
        if status >= http.client.BAD_REQUEST:
            raise EngineRefused(doing, status, _message(content))
        return content

    def _exchange(
        self, doing: str, method: str, path: str, body: Mapping[str, Any] | None
    ) -> tuple[int, bytes]:
        connection = self._borrowed()
        try:
            if connection is not None:
                try:
                    return self._once(connection, method, path, body)
                except STALE:
                    # An engine that was restarted since; nothing of this request was done.
                    self.close()
            return self._once(self._new_connection(), method, path, body)
        except TROUBLE as error:
            raise _trouble(doing, error) from error

    def _once(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
    ) -> tuple[int, bytes]:
        headers = {} if body is None else {"Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, path, body=data, headers=headers)
            answer = connection.getresponse()
            content = answer.read(MAX_ANSWER_BYTES)
        except BaseException:
            connection.close()
            raise
        self._give_back(connection)
        return answer.status, content

    def _borrowed(self) -> http.client.HTTPConnection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _new_connection(self, timeout_s: float | None = None) -> http.client.HTTPConnection:
        timeout_s = timeout_s or self._timeout_s
        connection = http.client.HTTPConnection("docker", timeout=timeout_s)
        connection.sock = self._address.connect(timeout_s)
        # It would connect by itself, to a host of that name, once the engine closed it.
        connection.auto_open = 0
        return connection

    def _give_back(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if connection.sock is not None and len(self._idle) < MAX_IDLE_CONNECTIONS:
                self._idle.append(connection)
                return
        connection.close()

    def _versioned(self, path: str) -> str:
        if self._prefix is None:
            self._prefix = self._ask_version(self._timeout_s)
        return self._prefix + path

    def _ask_version(self, timeout_s: float) -> str:
        """The prefix of the newest version that both sides know."""
        try:
            connection = self._new_connection(timeout_s)
            try:
                connection.request("GET", "/_ping")
                answer = connection.getresponse()
                answer.read(MAX_ANSWER_BYTES)
            finally:
                connection.close()
        except TROUBLE as error:
            raise _trouble("reaching the Docker Engine", error) from error
        if answer.status != http.client.OK:
            raise SandboxUnavailable(f"the Docker Engine answers with status {answer.status}")
        offered = answer.headers.get("Api-Version", "0.0")
        version = min(_as_numbers(offered), NEWEST_API)
        if version < OLDEST_API:
            raise SandboxUnavailable(f"the Docker Engine is too old: its API is {offered}")
        return f"/v{version[0]}.{version[1]}"


def _after_upgrade(connection: socket.socket) -> bytes:
    """Read the answer's head; what came after it belongs to the stream already."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = connection.recv(4096)
        if not data:
            raise ConnectionError("the engine closed the connection")
        head += data
    head, _, rest = head.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    if status not in (http.client.SWITCHING_PROTOCOLS, http.client.OK):
        raise EngineRefused("attaching to a container", status, _message(rest))
    return rest


def _as_numbers(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return int(major), int(minor or 0)


def _events(line: bytes) -> Iterator[dict[str, Any]]:
    """Progress is told as one JSON object per line."""
    if not line.strip():
        return
    try:
        event = json.loads(line)
    except ValueError as error:
        raise SandboxUnavailable("the Docker Engine's progress is not JSON") from error
    if isinstance(event, dict):
        yield event


def _message(content: bytes) -> str:
    try:
        return str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        return content[:300].decode(errors="replace")


def _trouble(doing: str, error: Exception) -> SandboxUnavailable:
    if isinstance(error, TimeoutError):
        return SandboxUnavailable(f"{doing}: the Docker Engine does not answer in time")
    return SandboxUnavailable(f"{doing}: {str(error)[:300] or type(error).__name__}")
