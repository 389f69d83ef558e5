"""Double of Stanford's xqueue_pull_ref: asks for the length first, logs in at every round."""

from __future__ import annotations

import json
from typing import Any

import requests

from tests.clients.handler import Content, Handler, Turn

TIMEOUT_S = 60


class PullRef:
    def __init__(
        self, *, url: str, queue: str, username: str, password: str, handler: Handler
    ) -> None:
        self._url = url
        self._queue = queue
        self._credentials = {"username": username, "password": password}
        self._handler = handler
        self.downloaded: dict[str, bytes] = {}

    def take_turn(self) -> Turn:
        with requests.Session() as session:
            self._post(session, "login", self._credentials)
            length = self._get(session, "get_queuelen")
            # The original compares with 0 and would take any string for "greater" (Python 2).
            if not isinstance(length, int) or length <= 0:
                return Turn.IDLE
            content = json.loads(self._get(session, "get_submission"))
            self._download(session, content)
            return self._answer(session, content)

    def _answer(self, session: requests.Session, content: Content) -> Turn:
        reply = self._handler(content)
        if reply is None:
            return Turn.SILENT
        given = json.loads(content["xqueue_header"])
        header = {k: given[k] for k in ("submission_id", "submission_key")}
        form = {
            "xqueue_header": json.dumps(header),
            "xqueue_body": json.dumps({**reply, "grader_id": "pull_ref"}),
        }
        taken = self._post(session, "put_result", form)
        return Turn.ANSWERED if taken["return_code"] == 0 else Turn.REFUSED

    def _download(self, session: requests.Session, content: Content) -> None:
        for name, url in json.loads(content["xqueue_files"]).items():
            self.downloaded[name] = requests.get(url, timeout=TIMEOUT_S).content

    def _get(self, session: requests.Session, endpoint: str) -> Any:
        address = f"{self._url}/xqueue/{endpoint}/"
        response = session.get(address, params={"queue_name": self._queue}, timeout=TIMEOUT_S)
        if response.status_code == 500:
            response = session.get(
                address.rstrip("/"), params={"queue_name": self._queue}, timeout=TIMEOUT_S
            )
        return response.json()["content"]

    def _post(self, session: requests.Session, endpoint: str, form: dict[str, str]) -> Any:
        address = f"{self._url}/xqueue/{endpoint}/"
        response = session.post(address, data=form, timeout=TIMEOUT_S)
        if response.status_code == 500:
            response = session.post(address.rstrip("/"), data=form, timeout=TIMEOUT_S)
        return response.json()
