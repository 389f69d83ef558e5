"""One HTTP exchange as it is on the wire: no redirects followed, no header left out."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookies import Morsel, SimpleCookie
from typing import Any
from urllib.parse import urlencode, urlsplit

from urllib3 import encode_multipart_formdata

FORM = "application/x-www-form-urlencoded"
TIMEOUT_S = 60
USERNAME = "lms"
PASSWORD = "a password with spaces, ünïcode and \U0001f511"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def location(self) -> str | None:
        return self.headers["Location"]

    @property
    def envelope(self) -> dict[str, Any]:
        """The parsed body, after checking that it is an answer of the application."""
        assert (self.status, self.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        parsed: dict[str, Any] = json.loads(self.body)
        assert list(parsed) == ["return_code", "content"], self.body
        return parsed

    @property
    def content(self) -> Any:
        assert self.envelope["return_code"] == 0, self.body
        return self.envelope["content"]

    @property
    def complaint(self) -> str:
        assert self.envelope["return_code"] == 1, self.body
        said = self.envelope["content"]
        assert isinstance(said, str)
        return said

    def cookie(self, name: str) -> Morsel[str]:
        return self._cookies()[name]

    def sets_cookie(self, name: str) -> bool:
        return name in self._cookies()

    def _cookies(self) -> SimpleCookie:
        jar = SimpleCookie()
        for line in self.headers.get_all("Set-Cookie") or []:
            jar.load(line)
        return jar


class Wire:
    """Requests to one server; keeps only the session cookie, and only once asked to log in."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session: str | None = None

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, form: Mapping[str, str] | None = None) -> Answer:
        return self.request("POST", path, form=form or {})

    def upload(
        self, path: str, form: Mapping[str, str], files: Mapping[str, tuple[str, bytes]]
    ) -> Answer:
        """A multipart request; `files` is field name -> (file name, bytes)."""
        body, content_type = encode_multipart_formdata({**form, **files})
        return self.request("POST", path, body=body, headers={"Content-Type": content_type})

    def request(
        self,
        method: str,
        path: str,
        *,
        form: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        given = dict(headers or {})
        if form is not None:
            body = urlencode(form).encode()
            given.setdefault("Content-Type", FORM)
        if self.session is not None:
            given.setdefault("Cookie", f"sessionid={self.session}")
        with self._connection() as connection:
            connection.request(method, path, body=body, headers=given)
            response = connection.getresponse()
            return Answer(status=response.status, headers=response.headers, body=response.read())

    def login(self) -> Answer:
        answer = self.post("/xqueue/login/", {"username": USERNAME, "password": PASSWORD})
        self.session = answer.cookie("sessionid").value
        return answer

    @contextmanager
    def _connection(self) -> Iterator[http.client.HTTPConnection]:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=TIMEOUT_S)
        try:
            yield connection
        finally:
            connection.close()


def expected(return_code: int, content: Any) -> bytes:
    """The exact bytes of an answer, in the spacing and escaping of Python's json."""
    return json.dumps({"return_code": return_code, "content": content}).encode("ascii")
