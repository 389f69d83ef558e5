"""One connection that is kept, and opened again when the server has closed it meanwhile."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.server.builders import PASSWORD

TIMEOUT_S = 60.0


class Refused(Exception):
    """An answer that is no success, in words."""


class Busy(Refused):
    """A 503: whoever asked asks again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Caller:
    """Belongs to one thread."""

    address: tuple[str, int]
    _connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self._connection = http.client.HTTPConnection(*self.address, timeout=TIMEOUT_S)

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Raises: Refused, unless it is a 2xx or a 304."""
        given = dict(headers or {})
        data = None
        if body is not None:
            data = json.dumps(body)
            given["Content-Type"] = "application/json"
        try:
            answer = self._send(method, path, data, given)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            # Kept for too long, or left by a worker: asked again as every client does.
            self._connection.close()
            answer = self._send(method, path, data, given)
        if not 200 <= answer.status < 300 and answer.status != http.client.NOT_MODIFIED:
            said = answer.body[:300].decode(errors="replace")
            is_busy = answer.status == http.client.SERVICE_UNAVAILABLE
            kind = Busy if is_busy else Refused
            raise kind(f"{method} {path.split('?')[0]}: {answer.status} {said}")
        return answer

    def _send(self, method: str, path: str, data: str | None, headers: Mapping[str, str]) -> Answer:
        self._connection.request(method, path, body=data, headers=dict(headers))
        response = self._connection.getresponse()
        body = response.read()
        return Answer(status=response.status, headers=dict(response.headers), body=body)

    def operate(self, path: str, **body: object) -> Any:
        """By the REST API, as the account `operator`."""
        credentials = base64.b64encode(f"operator:{PASSWORD}".encode()).decode()
        headers = {"Authorization": f"Basic {credentials}"}
        return self.ask("POST", f"/api/v1{path}", body, headers).json()
