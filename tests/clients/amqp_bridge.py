"""Double of a bridge that carries submissions to AMQP: insists on text/html, like aiohttp does."""

from __future__ import annotations

import json
from typing import Any

import requests

from tests.clients.handler import Handler, Turn

TIMEOUT_S = 60


class WrongContentType(Exception):
    pass


class AmqpBridge:
    def __init__(
        self, *, url: str, queue: str, username: str, password: str, handler: Handler
    ) -> None:
        self._url = url
        self._queue = {"queue_name": queue}
        self._credentials = {"username": username, "password": password}
        self._handler = handler
        self._session = requests.Session()

    def close(self) -> None:
        self._session.close()

    def login(self) -> bool:
        reply = self._exchange("POST", "login", data=self._credentials)
        return bool(reply["content"] == "Logged in")

    def take_turn(self) -> Turn:
        reply = self._exchange("GET", "get_submission", params=self._queue)
        if reply["return_code"] != 0:
            return Turn.IDLE
        content = json.loads(reply["content"])
        grade = self._handler(content)
        if grade is None:
            return Turn.SILENT
        form = {"xqueue_header": content["xqueue_header"], "xqueue_body": json.dumps(grade)}
        # It names the queue on put_result too, where nobody asked for it.
        taken = self._exchange("POST", "put_result", params=self._queue, data=form)
        return Turn.ANSWERED if taken["return_code"] == 0 else Turn.REFUSED

    def _exchange(self, method: str, endpoint: str, **parts: Any) -> dict[str, Any]:
        url = f"{self._url}/xqueue/{endpoint}/"
        response = self._session.request(method, url, timeout=TIMEOUT_S, **parts)
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip()
        if kind != "text/html":
            raise WrongContentType(kind)
        reply: dict[str, Any] = response.json()
        return reply
