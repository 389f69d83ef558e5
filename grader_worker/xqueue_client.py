"""The XQueue protocol as a puller speaks it, over HTTP (docs/reference/wire.md).

Works with the original server, edx-submissions' viewset (which wants CSRF headers and answers
failures with 4xx) and ours, whose extensions are used only when its last answer announced them.
One instance belongs to one thread; `sibling()` makes another that shares the login.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from grader_worker.bounded_body import BodyTooLong, BodyTooSlow, read_body
from grader_worker.errors import LeaseLost, LoginRefused, RequestRefused, ServerUnreachable
from grader_worker.lease import Lease, parse_lease
from grader_worker.server_account import ServerAccount

CONNECT_TIMEOUT_S = 3.05
READ_TIMEOUT_S = 20.0
EXTENSIONS_HEADER = "XQueue-Extensions"
EMPTY = re.compile(r"Queues? .* (is|are) empty")
LOST_MESSAGES = frozenset({"Incorrect key for submission", "Submission does not exist"})
DETAIL_CHARS = 4000
REFERENCE_LEASE_S = 60.0
"""openedx/xqueue's SUBMISSION_PROCESSING_DELAY."""
EDX_SUBMISSIONS_LEASE_S = 300.0
"""Its own, with the same key; told apart by its content type, which the reference lacks."""
MAX_API_BYTES = 64 * 1024 * 1024
"""Of a list of all graders with their manifests."""
MAX_WIRE_BYTES = 64 * 1024 * 1024
"""Of a submission of 10 MB, every byte of it escaped."""
BODY_S = 60.0
"""For the body of an answer that has begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`{"return_code": …, "content": …}` of any status."""

    ok: bool
    content: object

    @property
    def message(self) -> str:
        return str(self.content)[:200]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAnswer:
    """Of `/api/v1`."""

    status: int
    body: bytes
    etag: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WireResponse:
    """Of `/xqueue/`, before anyone looked inside."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class XQueueClient:
    """Raises of every request: ServerUnreachable, LoginRefused, RequestRefused."""

    def __init__(self, account: ServerAccount, session: requests.Session | None = None) -> None:
        self._account = account
        self._session = session or _new_session(account)
        self.extensions: frozenset[str] = frozenset()
        self._answers_in_json = False

    @property
    def handed_out_again_s(self) -> float | None:
        """After how long a server that renews no lease gives a submission to the next who asks;
        None where it can be told to wait."""
        if "renew" in self.extensions:
            return None
        return EDX_SUBMISSIONS_LEASE_S if self._answers_in_json else REFERENCE_LEASE_S

    @property
    def session(self) -> requests.Session:
        return self._session

    @property
    def account(self) -> ServerAccount:
        return self._account

    def sibling(self) -> XQueueClient:
        """A client with its own connections and a copy of the login cookies: for another
        thread, or after a fork, where sharing a socket would mix up two conversations."""
        twin = XQueueClient(self._account)
        twin._session.cookies.update(self._session.cookies)
        twin.extensions = self.extensions
        twin._answers_in_json = self._answers_in_json
        return twin

    def close(self) -> None:
        self._session.close()

    def login(self) -> None:
        """GET first: edx-submissions gives out the csrftoken cookie there that its POST wants."""
        self._send("GET", "login", {})
        response = self._send(
            "POST",
            "login",
            {"username": self._account.username, "password": self._account.password},
        )
        answer = _answer(response)
        if answer is None:
            raise ServerUnreachable(f"login answered HTTP {response.status}")
        if not answer.ok:
            raise LoginRefused(answer.message)

    def get_submission(
        self,
        *queues: str,
        wait_s: int | None = None,
        lease_s: int | None = None,
        name_grader: bool = False,
    ) -> Lease | None:
        """Lease the next submission; None when there is none. Several queues at once only from a
        server that offers `queues`.

        `name_grader` asks which published grader is to grade it.

        `wait_s` is sent only where `wait` is offered, `lease_s` only where the lease can also be
        renewed: a short lease that can not be renewed would be lost while grading.
        """
        params: dict[str, str | Sequence[str]] = {"queue_name": queues}
        timeout_s = READ_TIMEOUT_S
        if wait_s and "wait" in self.extensions:
            params["wait"] = str(wait_s)
            timeout_s += wait_s
        if lease_s and {"lease", "renew"} <= self.extensions:
            params["lease_s"] = str(lease_s)
        if name_grader:
            params["grader"] = "only"
        answer = self._ask("GET", "get_submission", params, read_timeout_s=timeout_s)
        if answer.ok:
            return parse_lease(answer.content)
        if EMPTY.fullmatch(str(answer.content)):
            return None
        raise RequestRefused(answer.message)

    def renew_lease(self, lease: Lease, *, lease_s: int | None = None) -> None:
        """Raises LeaseLost, besides the usual."""
        fields = {"xqueue_header": lease.header}
        if lease_s:
            fields["lease_s"] = str(lease_s)
        self._about_lease("renew_lease", fields)

    def put_result(self, lease: Lease, reply: str, *, record: str = "") -> None:
        """Raises LeaseLost, besides the usual. The same reply may be put again.

        `record` is what became of each test, for a server that counts them.
        """
        fields = {"xqueue_header": lease.header, "xqueue_body": reply}
        if record and "record" in self.extensions:
            fields["xqueue_record"] = record
        self._about_lease("put_result", fields)

    def put_failure(self, lease: Lease, *, kind: str, detail: str) -> None:
        """Say that there is no grade and whose fault it is. Raises LeaseLost, besides the usual.

        Only for a server that offers `failure`.
        """
        fields = {
            "xqueue_header": lease.header,
            "kind": kind,
            "detail": detail[:DETAIL_CHARS],
        }
        self._about_lease("put_failure", fields)

    def api(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        if_none_match: str | None = None,
        timeout_s: float = READ_TIMEOUT_S,
        max_bytes: int = MAX_API_BYTES,
    ) -> ApiAnswer:
        """Ask our server's `/api/v1/` with the same account; a 2xx or a 304.

        `timeout_s` is for all of the answer, which has at most `max_bytes`.
        """
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if if_none_match is not None:
            headers["If-None-Match"] = if_none_match

        def send() -> ApiAnswer:
            return self._send_api(method, path, body, headers, timeout_s, max_bytes)

        answer = send()
        if answer.status == 401:
            self.login()
            answer = send()
        _require_success(path, answer)
        return answer

    def _send_api(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        timeout_s: float,
        max_bytes: int,
    ) -> ApiAnswer:
        url = f"{self._account.url}/api/v1/{path}"
        deadline = time.monotonic() + timeout_s
        try:
            with self._session.request(
                method,
                url,
                data=body,
                headers={**headers, **self._csrf_headers(url)},
                timeout=(CONNECT_TIMEOUT_S, timeout_s),
                allow_redirects=False,
                stream=True,
            ) as response:
                return ApiAnswer(
                    status=response.status_code,
                    body=read_body(
                        response, max_bytes=max_bytes, deadline=deadline, clock=time.monotonic
                    ),
                    etag=response.headers.get("ETag"),
                )
        except BodyTooLong as error:
            raise RequestRefused(f"/api/v1/{path}: more than {max_bytes} bytes") from error
        except BodyTooSlow as error:
            raise ServerUnreachable(f"/api/v1/{path}: not within {timeout_s:g} s") from error
        except requests.RequestException as error:
            raise ServerUnreachable(f"/api/v1/{path}: {error}") from error

    def _about_lease(self, endpoint: str, fields: Mapping[str, str]) -> None:
        answer = self._ask("POST", endpoint, fields)
        if answer.ok:
            return
        if answer.content in LOST_MESSAGES:
            raise LeaseLost(answer.message)
        raise RequestRefused(answer.message)

    def _ask(
        self,
        method: str,
        endpoint: str,
        fields: Mapping[str, str | Sequence[str]],
        *,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> Answer:
        """Send; when the session turns out to be gone, log in and send once more, never twice:
        a server whose sessions do not stick must not be hammered."""
        response = self._send(method, endpoint, fields, read_timeout_s=read_timeout_s)
        if _wants_login(response):
            self.login()
            response = self._send(method, endpoint, fields, read_timeout_s=read_timeout_s)
            if _wants_login(response):
                raise LoginRefused(f"{endpoint}: asked to log in again right after logging in")
        answer = _answer(response)
        if answer is None:
            raise ServerUnreachable(f"{endpoint}: {_oddity(response)}")
        return answer

    def _send(
        self,
        method: str,
        endpoint: str,
        fields: Mapping[str, str | Sequence[str]],
        *,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> WireResponse:
        url = f"{self._account.url}/xqueue/{endpoint}/"
        deadline = time.monotonic() + read_timeout_s + BODY_S
        try:
            with self._session.request(
                method,
                url,
                params=fields if method == "GET" else None,
                data=fields if method == "POST" else None,
                headers=self._csrf_headers(url),
                timeout=(CONNECT_TIMEOUT_S, read_timeout_s),
                allow_redirects=False,
                stream=True,
            ) as came:
                response = WireResponse(
                    status=came.status_code,
                    headers=came.headers,
                    body=read_body(
                        came, max_bytes=MAX_WIRE_BYTES, deadline=deadline, clock=time.monotonic
                    ),
                )
        except BodyTooLong as error:
            raise ServerUnreachable(f"{endpoint}: more than {MAX_WIRE_BYTES} bytes") from error
        except BodyTooSlow as error:
            raise ServerUnreachable(f"{endpoint}: an answer that does not end") from error
        except requests.RequestException as error:
            raise ServerUnreachable(f"{endpoint}: {error}") from error
        self._note_extensions(response)
        return response

    def _note_extensions(self, response: WireResponse) -> None:
        """Not from a proxy's error page, which says nothing about the server behind it."""
        if response.status in (301, 302) or _answer(response) is not None:
            announced = response.headers.get(EXTENSIONS_HEADER, "").split(",")
            self.extensions = frozenset(filter(None, (name.strip() for name in announced)))
            kind = response.headers.get("Content-Type", "")
            self._answers_in_json = kind.startswith("application/json")

    def _csrf_headers(self, url: str) -> dict[str, str]:
        token = next((c.value for c in self._session.cookies if c.name == "csrftoken"), None)
        return {"Referer": url, "X-CSRFToken": token} if token else {}


def _new_session(account: ServerAccount) -> requests.Session:
    session = requests.Session()
    # A netrc entry for the host would replace our Basic credentials without a word.
    session.trust_env = False
    if account.basic_auth:
        session.auth = (account.basic_auth.username, account.basic_auth.password)
    if account.ca_bundle:
        session.verify = str(account.ca_bundle)
    return session


def _answer(response: WireResponse) -> Answer | None:
    """None when the body is not the protocol's. A 5xx is never an answer, whatever it holds:
    proxies and crashed servers send those."""
    if response.status >= 500:
        return None
    try:
        body: Any = json.loads(response.body)
        return Answer(ok=body["return_code"] == 0, content=body["content"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _require_success(path: str, answer: ApiAnswer) -> None:
    if answer.status == 401:
        raise LoginRefused(f"/api/v1/{path}: not signed in right after logging in")
    if 200 <= answer.status < 300 or answer.status == 304:
        return
    problem = f"/api/v1/{path}: HTTP {answer.status} {_problem_detail(answer)}".rstrip()
    if 400 <= answer.status < 500:
        raise RequestRefused(problem, status=answer.status, places=_problem_places(answer))
    raise ServerUnreachable(problem)


def _problem_detail(answer: ApiAnswer) -> str:
    """Of an RFC 9457 body."""
    try:
        return str(json.loads(answer.body)["detail"])[:300]
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""


def _problem_places(answer: ApiAnswer) -> tuple[str, ...]:
    """As `workers[3].queue`."""
    try:
        return tuple(str(each["where"]) for each in json.loads(answer.body)["errors"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return ()


def _wants_login(response: WireResponse) -> bool:
    if response.status in (301, 302):
        return "/login" in urlsplit(response.headers.get("Location", "")).path
    answer = _answer(response)
    if response.status in (401, 403):
        # edx-submissions also refuses a wrong key with 403, then with a return code.
        return answer is None
    return answer is not None and not answer.ok and answer.content == "login_required"


def _oddity(response: WireResponse) -> str:
    location = response.headers.get("Location")
    where = f", redirected to {location}: correct the server's url" if location else ""
    return f"unexpected answer, HTTP {response.status}{where}"
