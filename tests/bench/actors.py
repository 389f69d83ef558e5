"""What the clients of the load do, and how they check every answer they get."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.bench import requests
from tests.bench.connection import Actor, Reply, Request

SUCCESS, REFUSAL = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where the load goes and as whom."""

    queue: str
    username: str
    password: str
    cookie: str = ""
    """Of a session; the clients that do not log in themselves are given one."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """What the actors of one load have seen. Crosses a process boundary, so it is plain data."""

    latencies_s: list[float] = field(default_factory=list)
    handed_out: list[tuple[int, str]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def expect(self, reply: Reply, check: Callable[[Any], bool], *, code: int = SUCCESS) -> Any:
        """The content of an answer in the envelope; a complaint if it is not as it should be."""
        try:
            answer = json.loads(reply.body)
            content = answer["content"]
            is_right = reply.status == 200 and answer["return_code"] == code and check(content)
        except (ValueError, TypeError, KeyError):
            content, is_right = None, False
        if not is_right:
            self.complaints.append(f"{reply.status} {reply.body[:200]!r}")
        return content


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One client's share of a load."""

    access: Access
    users: Iterator[int]
    """Numbers that no learner has had yet."""
    turns: Iterator[Any]
    """One item a request; shared by the clients of a load, so that all end together."""
    tally: Tally


def login_data(access: Access) -> bytes:
    fields = {"username": access.username, "password": access.password}
    return requests.post("/xqueue/login/", fields)


def log_in(plan: Plan, cookies: list[str]) -> Actor:
    """Not measured: adds the cookies of a new session to `cookies`."""
    cookies.append(_cookies(plan, (yield Request(login_data(plan.access)))))


def _cookies(plan: Plan, reply: Reply) -> str:
    plan.tally.expect(reply, lambda content: content == "Logged in")
    found = re.findall(rb"Set-Cookie: ((?:sessionid|csrftoken)=[^;]+)", reply.head, re.IGNORECASE)
    return b"; ".join(found).decode()


def _timed(plan: Plan) -> Iterator[Any]:
    """The turns left; keeps how long each took."""
    for turn in plan.turns:
        begun = time.perf_counter()
        yield turn
        plan.tally.latencies_s.append(time.perf_counter() - begun)


# -- the phases ----------------------------------------------------------------------------------


def status(plan: Plan) -> Actor:
    data = requests.get("/xqueue/status/")
    for _ in _timed(plan):
        plan.tally.expect((yield Request(data)), lambda content: content == "OK")


def submit(plan: Plan) -> Actor:
    template = requests.SubmitTemplate(plan.access.queue)
    for _ in _timed(plan):
        reply = yield Request(template.data(next(plan.users), cookie=plan.access.cookie))
        plan.tally.expect(reply, _is_length_in_text)


def lms_submit(plan: Plan) -> Actor:
    """Four requests of a new session, as capa makes for each submission (facts 1.8)."""
    template = requests.SubmitTemplate(plan.access.queue)
    credentials = login_data(plan.access)
    for _ in _timed(plan):
        user = next(plan.users)
        sent_away = yield Request(template.data(user), fresh=True)
        if sent_away.status != 302:
            plan.tally.complaints.append(f"not redirected to the login: {sent_away.status}")
        location = sent_away.header(b"location").decode()
        asked = yield Request(requests.get(location))
        plan.tally.expect(asked, lambda content: content == "login_required", code=REFUSAL)
        cookie = _cookies(plan, (yield Request(credentials)))
        reply = yield Request(template.data(user, cookie=cookie))
        plan.tally.expect(reply, _is_length_in_text)


def _is_length_in_text(content: Any) -> bool:
    return isinstance(content, str) and content.isdecimal() and int(content) >= 1


def get_queuelen(plan: Plan) -> Actor:
    data = requests.of_queue("get_queuelen", plan.access.queue, cookie=plan.access.cookie)
    for _ in _timed(plan):
        plan.tally.expect((yield Request(data)), lambda content: isinstance(content, int))


def get_empty(plan: Plan) -> Actor:
    data = requests.of_queue("get_submission", plan.access.queue, cookie=plan.access.cookie)
    nothing = f"Queue '{plan.access.queue}' is empty"
    for _ in _timed(plan):
        plan.tally.expect((yield Request(data)), lambda content: content == nothing, code=REFUSAL)


def get_submission(plan: Plan) -> Actor:
    data = requests.of_queue("get_submission", plan.access.queue, cookie=plan.access.cookie)
    for _ in _timed(plan):
        _take(plan, (yield Request(data)))


def _take(plan: Plan, reply: Reply) -> tuple[int, str] | None:
    """Note what was handed out, if it is all that the LMS has sent."""
    content = plan.tally.expect(reply, _is_whole_submission)
    if not isinstance(content, str) or not _is_whole_submission(content):
        return None
    header = json.loads(json.loads(content)["xqueue_header"])
    held = int(header["submission_id"]), str(header["submission_key"])
    plan.tally.handed_out.append(held)
    return held


def _is_whole_submission(content: Any) -> bool:
    try:
        parts = json.loads(content)
    except (ValueError, TypeError):
        return False
    return bool(parts["xqueue_body"] == requests.BODY and parts["xqueue_files"] == "{}")


def put_result(plan: Plan) -> Actor:
    """The turns are the leases to answer."""
    cookie = plan.access.cookie
    for submission_id, key in _timed(plan):
        reply = yield Request(requests.put_result(submission_id, key, cookie=cookie))
        plan.tally.expect(reply, lambda content: content == "")


def get_put_cycle(plan: Plan) -> Actor:
    data = requests.of_queue("get_submission", plan.access.queue, cookie=plan.access.cookie)
    for _ in _timed(plan):
        held = _take(plan, (yield Request(data)))
        if held is not None:
            reply = yield Request(requests.put_result(*held, cookie=plan.access.cookie))
            plan.tally.expect(reply, lambda content: content == "")
