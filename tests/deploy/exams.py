"""An LMS that has this queue for its proctoring provider, and an instructor whom it sends, through
nginx; with the addresses and bodies of edx-proctoring's REST backend."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from joserfc import jwt
from joserfc.jwk import OctKey

from tests.deploy.machine import LMS, Machine
from tests.proctoring.lms_caller import API, ATTEMPT, EXAM, TOKEN
from xqueue_server.web.proctoring.console_session import COOKIE

NAME = "edx"
SECRET = "what the LMS and this server know, and nobody else"
COURSE = EXAM["course_id"]
ENTER = """
umask 077
printf '%s' "$1" >/tmp/theirs
printf 'what we ourselves sign in at the LMS with' >/tmp/ours
xqueue-server lms add edx --url "$2" --client-id edx \
    --client-secret-file /tmp/theirs --our-client-secret-file /tmp/ours
rm /tmp/theirs /tmp/ours
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: Any
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def ask(
    machine: Machine,
    method: str,
    path: str,
    *,
    body: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    connection = machine.connection()
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return Answer(
            status=answer.status, headers=answer.headers, text=answer.read().decode("utf-8")
        )
    finally:
        connection.close()


def enter_lms(machine: Machine) -> None:
    machine.queue("exec", "-T", "server-a", "sh", "-euc", ENTER, "-", SECRET, LMS)


def sign_in(machine: Machine, secret: str = SECRET) -> Answer:
    form = {"grant_type": "client_credentials", "client_id": NAME, "client_secret": secret}
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return ask(machine, "POST", TOKEN, body=urlencode(form | {"token_type": "jwt"}), headers=kind)


class LmsOutside:
    """Signed in."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._token = sign_in(machine).json["access_token"]

    def begin(self) -> tuple[str, str]:
        """The ids of a new exam and of an attempt at it."""
        exam = self._ask("POST", "/exam/", EXAM)["id"]
        return exam, self._ask("POST", f"/exam/{exam}/attempt/", ATTEMPT)["id"]

    def tell(self, exam: str, attempt: str, status: str) -> None:
        self._ask("PATCH", f"/exam/{exam}/attempt/{attempt}/", {"status": status})

    def look(self, exam: str, attempt: str) -> Answer:
        return self._send("GET", f"/exam/{exam}/attempt/{attempt}/")

    def _ask(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        answer = self._send(method, path, json.dumps(body))
        assert answer.status == 200, answer.text
        return answer.json

    def _send(self, method: str, path: str, body: str | None = None) -> Answer:
        headers = {"Authorization": f"JWT {self._token}", "Content-Type": "application/json"}
        return ask(self._machine, method, API + path, body=body, headers=headers)


class InstructorOutside:
    """At the console, where the LMS has sent him."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        claims = {
            "course_id": COURSE,
            "user": {"id": "b" * 40, "full_name": "Ida", "email": "ida@example.org"},
            "iss": NAME,
            "jti": uuid4().hex,
            "exp": time.time() + 60,
        }
        signed = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET))
        entered = ask(machine, "GET", f"{API}/instructor/{NAME}/?jwt={signed}")
        assert entered.status == 303, entered.text
        given = next(
            each for each in entered.headers.get_all("Set-Cookie") if each.startswith(COOKIE)
        )
        assert "Secure" in given
        self._cookie = {"Cookie": given.split(";")[0]}

    def listen(self) -> Stream:
        """From now on."""
        asked = urlencode({"lms": NAME, "course": COURSE})
        given = ask(
            self._machine, "GET", f"/proctoring/console/ticket?{asked}", headers=self._cookie
        )
        assert given.status == 200, given.text
        return Stream(self._machine, given.json["ticket"], given.json["after"])


class Stream:
    """As a page's EventSource; ends when the server ends it."""

    def __init__(self, machine: Machine, ticket: str, after: str) -> None:
        self._machine = machine
        self._ticket = ticket
        self.last = after
        self._connection = machine.connection()
        self._answer = self._open()

    def _open(self) -> HTTPResponse:
        asked = urlencode({"course": COURSE, "ticket": self._ticket})
        headers = {"Last-Event-ID": self.last}
        self._connection.request("GET", f"/proctoring/events?{asked}", headers=headers)
        answer = self._connection.getresponse()
        assert answer.status == 200, answer.read()
        assert answer.headers.get_content_type() == "text/event-stream"
        return answer

    def come_back(self) -> None:
        """With the same ticket, for what was missed."""
        self.close()
        self._connection = self._machine.connection()
        self._answer = self._open()

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """The data of each event."""
        for line in self._answer:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "id":
                self.last = value
            elif name == "data":
                yield json.loads(value)

    def close(self) -> None:
        self._connection.close()
