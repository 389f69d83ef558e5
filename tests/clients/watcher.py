"""Doubles of openedx/xqueue-watcher: the current one, and the one most sites still run."""

from __future__ import annotations

import json
from typing import Any

import requests

from tests.clients.handler import Content, Handler, Turn


class NewWatcher:
    """The watcher since 2026-07: fetches a CSRF cookie first, logs in again on 301/302/401/403."""

    login_again_on = frozenset({301, 302, 401, 403})

    def __init__(
        self,
        *,
        url: str,
        queue: str,
        username: str,
        password: str,
        handler: Handler,
        timeout_s: float = 1.0,
        basic_auth: tuple[str, str] | None = None,
    ) -> None:
        self._url = url
        self._queue = queue
        self._credentials = {"username": username, "password": password}
        self._handler = handler
        self._timeout_s = timeout_s
        self._session = requests.Session()
        self._session.auth = basic_auth
        self.logins = 0

    def close(self) -> None:
        self._session.close()

    def take_turn(self) -> Turn:
        """Fetch, grade and answer once. A timeout counts as done: no retry, no sleep."""
        try:
            content = self._request("GET", "get_submission", params={"queue_name": self._queue})
            return Turn.IDLE if content is None else self._answer(json.loads(content))
        except requests.ReadTimeout:
            return Turn.TIMED_OUT

    def login(self) -> bool:
        self.logins += 1
        page = f"{self._url}/xqueue/login/"
        self._session.get(page, timeout=self._timeout_s, allow_redirects=False)
        response = self._session.post(
            page,
            data=self._credentials,
            headers=self._csrf_headers(),
            timeout=self._timeout_s,
            allow_redirects=False,
        )
        return response.status_code == 200 and response.json()["return_code"] == 0

    def _answer(self, content: Content) -> Turn:
        reply = self._handler(content)
        if reply is None:
            return Turn.SILENT
        form = {"xqueue_header": content["xqueue_header"], "xqueue_body": json.dumps(reply)}
        taken = self._request("POST", "put_result", data=form)
        return Turn.REFUSED if taken is None else Turn.ANSWERED

    def _request(self, method: str, endpoint: str, **parts: Any) -> str | None:
        """The reply's content; None on any failure. Logs in once when sent away."""
        response = self._send(method, endpoint, **parts)
        if response.status_code in self.login_again_on and self.login():
            response = self._send(method, endpoint, **parts)
        return _content_of(response)

    def _send(self, method: str, endpoint: str, **parts: Any) -> requests.Response:
        return self._session.request(
            method,
            f"{self._url}/xqueue/{endpoint}/",
            headers=self._csrf_headers(),
            timeout=self._timeout_s,
            allow_redirects=False,
            **parts,
        )

    def _csrf_headers(self) -> dict[str, str]:
        headers = {"Referer": f"{self._url}/xqueue/login/"}
        if token := self._session.cookies.get("csrftoken"):
            headers["X-CSRFToken"] = token
        return headers


class OldWatcher(NewWatcher):
    """The watcher up to 2026-03: logs in by POST alone, and again only on 301 and 302.

    The real one logs in for ever if the session does not stick; this one gives up and says so.
    """

    login_again_on = frozenset({301, 302})
    most_logins_in_a_row = 5

    def login(self) -> bool:
        self.logins += 1
        response = self._session.post(
            f"{self._url}/xqueue/login/", data=self._credentials, allow_redirects=False
        )
        return response.status_code == 200 and response.json()["return_code"] == 0

    def _request(self, method: str, endpoint: str, **parts: Any) -> str | None:
        for _ in range(self.most_logins_in_a_row):
            response = self._send(method, endpoint, **parts)
            if response.status_code not in self.login_again_on:
                return _content_of(response)
            self.login()
        raise RuntimeError("the session does not stick: the old watcher would log in for ever")

    def _csrf_headers(self) -> dict[str, str]:
        return {}


def _content_of(response: requests.Response) -> str | None:
    if response.status_code != 200:
        return None
    reply = response.json()
    succeeded = reply.get("return_code") == 0 or reply.get("success")
    return reply["content"] if succeeded else None
