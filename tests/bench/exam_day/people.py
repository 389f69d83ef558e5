"""Who is there on the day of an exam, and what each of them does when."""

from __future__ import annotations

import http.client
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from heapq import heapify, heappop, heapreplace
from random import Random

import requests

from deploy.demo.capa import CapaClient
from grader_worker.errors import LeaseLost, ServerUnreachable
from grader_worker.server_account import ServerAccount
from grader_worker.xqueue_client import XQueueClient
from proctoring_hooks.links import attempt_link
from tests.bench.exam_day.caller import Busy, Caller, Refused
from tests.bench.exam_day.hall import Hall, Sat
from tests.proctoring.exam_pages import person, token
from tests.server.builders import PASSWORD, QUEUE, callback_url, grade, lms_body, lms_header
from xqueue_server.instant import ManualClock
from xqueue_server.secret_key import key_for
from xqueue_server.web.proctoring.provider import LINKS

LANES = 16
"""Threads that act for learners, each for its own, one request after the other."""
POLL_LANES = 16
PROCTORS = 4
GRADERS = 2
EVERY_S = 5.0
"""A page asks so often, as its script does."""
OVERTIME_S = 5.0
"""Who has more time hands in so long after everybody else's end."""
TRIES = 5
"""Whoever is answered that the server is busy presses again, so often in all."""
AGAIN_S = 1.0
LEAVES_S = 3.0
"""Who lets the time run out closes his page so long before."""
GRADE = grade(0.5, msg="<p>Half of it</p>")


class Part(StrEnum):
    """What becomes of a learner's attempt."""

    HANDS_IN = "hands in"
    RUNS_OUT = "runs out"
    IS_WARNED = "is warned, runs out"
    IS_TERMINATED = "is terminated"
    IS_EXTENDED = "is extended, hands in"


_RARE = {4: Part.IS_TERMINATED, 6: Part.IS_EXTENDED, 7: Part.IS_WARNED}
"""Of every twenty learners; the others hand in or do not, half of them each."""


@dataclass(slots=True, kw_only=True)
class Learner:
    number: int
    """His user id in the LMS."""
    part: Part
    sat: Sat
    authorization: str
    attempt_id: int = 0
    """Once registered."""
    answered_at: dict[str, datetime] = field(default_factory=dict)
    """When the answer to what ends or extends his attempt was there."""

    @property
    def lms_key(self) -> str:
        return f"{self.number:032x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    at_s: float
    """By the monotonic clock; what is late is done at once."""
    kind: str
    do: Callable[[Caller], object]


@dataclass(frozen=True, slots=True)
class Measured:
    took_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    late_s: list[float] = field(default_factory=list)
    """How much later than planned a deed was begun: above a second the load is more than the
    machine bears."""
    complaints: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    """Kinds of the deeds that had to be done again, each time."""
    unchanged: list[bool] = field(default_factory=list)
    """Of each question of a page: whether the answer was a 304."""


def learners_for(sats: Sequence[Sat], count: int) -> list[Learner]:
    return [_learner(number, sats[number // 2 % len(sats)]) for number in range(1, count + 1)]


def _learner(number: int, sat: Sat) -> Learner:
    usual = Part.RUNS_OUT if number % 2 else Part.HANDS_IN
    said = token(ManualClock(datetime.now(UTC)), person(number, f"learner-{number}"))
    part = _RARE.get(number % 20, usual)
    return Learner(number=number, part=part, sat=sat, authorization=f"JWT {said}")


# -- what they do --------------------------------------------------------------------------------


def register(learner: Learner, at_s: float) -> Deed:
    def do(caller: Caller) -> None:
        body = {
            "exam_id": learner.sat.exam.id,
            "start_clock": "false",
            "attempt_proctored": "true",
        }
        answer = _as(learner, caller, "POST", "", body)
        learner.attempt_id = int(answer["exam_attempt_id"])

    return Deed(at_s=at_s, kind="register", do=do)


def ready(learner: Learner, at_s: float) -> Deed:
    return _proctors(learner, at_s, "ready", reason="has shown the room")


def deeds_of(learner: Learner, hall: Hall, began_s: float, lasts_s: float) -> list[Deed]:
    """From the start to the end of the exam, in their order; the same on every day."""
    chance = Random(learner.number)
    starts_s = began_s + lasts_s * chance.uniform(0, 0.15)
    submits_s = began_s + lasts_s * chance.uniform(0.2, 0.75)
    found = [_acts(learner, starts_s, "start"), _submits_code(learner, hall, submits_s)]
    if learner.part is Part.HANDS_IN:
        at_s = began_s + lasts_s * chance.uniform(0.6, 0.9)
        found.append(_acts(learner, max(at_s, submits_s + 1), "submit"))
    if learner.part is Part.IS_EXTENDED:
        found.append(_acts(learner, began_s + lasts_s + OVERTIME_S, "submit"))
    return found


def deeds_about(learner: Learner, began_s: float, lasts_s: float) -> list[Deed]:
    """Of those who proctor."""
    at_s = began_s + lasts_s * Random(-learner.number).uniform(0.4, 0.85)
    match learner.part:
        case Part.IS_WARNED:
            return [
                _proctors(
                    learner, at_s, "incidents", incident_id="1", kind="second voice", severity=0.7
                )
            ]
        case Part.IS_TERMINATED:
            return [_proctors(learner, at_s, "terminate", reason="has left the room")]
        case Part.IS_EXTENDED:
            return [_proctors(learner, at_s, "extend", minutes=1, reason="the lights went out")]
        case _:
            return []


def review(learner: Learner, at_s: float) -> Deed:
    """Every tenth does not pass."""
    verdict = "fail" if learner.number % 10 == 0 else "pass"
    return _proctors(learner, at_s, "review", verdict=verdict)


def _acts(learner: Learner, at_s: float, action: str) -> Deed:
    def do(caller: Caller) -> None:
        _as(learner, caller, "PUT", f"/{learner.attempt_id}", {"action": action})
        learner.answered_at[action] = datetime.now(UTC)

    return Deed(at_s=at_s, kind=action, do=do)


def _submits_code(learner: Learner, hall: Hall, at_s: float) -> Deed:
    header = lms_header(
        callback_url(learner.sat.problem, origin=hall.lms.origin, user=learner.number),
        key=learner.lms_key,
    )

    def do(_caller: Caller) -> None:
        client = CapaClient(url=hall.url, username="lms", password=PASSWORD, read_timeout_s=60)
        reply = client.submit(header, lms_body())
        if not reply.accepted:
            raise Refused(f"code: {reply.content}")

    return Deed(at_s=at_s, kind="code by /xqueue/ (4 requests)", do=do)


def _proctors(learner: Learner, at_s: float, deed: str, **body: object) -> Deed:
    def do(caller: Caller) -> None:
        caller.operate(f"/attempts/{learner.attempt_id}/{deed}", **body)
        learner.answered_at[deed] = datetime.now(UTC)

    return Deed(at_s=at_s, kind=f"proctor: {deed}", do=do)


def _as(learner: Learner, caller: Caller, method: str, path: str, body: object) -> dict[str, int]:
    path = f"/exams/api/v1/exams/attempt{path}"
    headers = {"Authorization": learner.authorization}
    found: dict[str, int] = caller.ask(method, path, body, headers).json()
    return found


# -- doing it ------------------------------------------------------------------------------------


def in_lanes(lanes: int, deeds: Sequence[Sequence[Deed]]) -> list[list[Deed]]:
    """Everybody's deeds stay in one lane, so in their order."""
    found: list[list[Deed]] = [[] for _ in range(lanes)]
    for number, of_one in enumerate(deeds):
        found[number % lanes] += of_one
    return [sorted(lane, key=lambda each: each.at_s) for lane in found]


def begin(
    hall: Hall, lanes: Sequence[Sequence[Deed]], measured: Measured
) -> list[threading.Thread]:
    threads = [threading.Thread(target=_do, args=(hall, lane, measured)) for lane in lanes]
    for thread in threads:
        thread.start()
    return threads


def join(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.join()


def _do(hall: Hall, deeds: Sequence[Deed], measured: Measured) -> None:
    caller = Caller(address=hall.address)
    for deed in deeds:
        time.sleep(max(0.0, deed.at_s - time.monotonic()))
        began_s = time.monotonic()
        measured.late_s.append(began_s - deed.at_s)
        try:
            _insist(deed, caller, measured)
        except (Refused, OSError, http.client.HTTPException, requests.RequestException) as error:
            measured.complaints.append(f"{deed.kind}: {error}")
        else:
            measured.took_s[deed.kind].append(time.monotonic() - began_s)


def _insist(deed: Deed, caller: Caller, measured: Measured) -> None:
    for _ in range(TRIES - 1):
        try:
            deed.do(caller)
        except Busy:
            measured.again.append(deed.kind)
            time.sleep(AGAIN_S)
        else:
            return
    deed.do(caller)


def ask_from_pages(
    hall: Hall, learners: Sequence[Learner], began_s: float, lasts_s: float, measured: Measured
) -> list[threading.Thread]:
    """Everybody's page asks until he leaves it, and holds the ETag of what it has."""
    lanes = [learners[n::POLL_LANES] for n in range(POLL_LANES)]
    until_s = began_s + lasts_s - LEAVES_S
    threads = [
        threading.Thread(target=_ask, args=(hall, lane, began_s, until_s, measured))
        for lane in lanes
        if lane
    ]
    for thread in threads:
        thread.start()
    return threads


def _ask(
    hall: Hall,
    learners: Sequence[Learner],
    began_s: float,
    until_s: float,
    measured: Measured,
) -> None:
    caller = Caller(address=hall.address)
    now, key = datetime.now(UTC), key_for(LINKS, hall.secret_key)
    etags: dict[str, str] = {}
    due = [
        (began_s + EVERY_S * n / len(learners), attempt_link(key, "", each.attempt_id, now=now))
        for n, each in enumerate(learners)
    ]
    heapify(due)
    while due:
        at_s, link = due[0]
        if at_s >= until_s or time.monotonic() >= until_s:
            heappop(due)
            continue
        time.sleep(max(0.0, at_s - time.monotonic()))
        asked_s = time.monotonic()
        heapreplace(due, (asked_s + EVERY_S, link))
        headers = {"If-None-Match": etags[link]} if link in etags else {}
        try:
            answer = caller.ask("GET", f"{link}/status", headers=headers)
        except (Refused, OSError, http.client.HTTPException) as error:
            measured.complaints.append(f"a page asks: {error}")
            continue
        measured.took_s["a page asks"].append(time.monotonic() - asked_s)
        measured.unchanged.append(answer.status == http.client.NOT_MODIFIED)
        etags[link] = answer.headers["ETag"]


def grade_until(stop: threading.Event, hall: Hall, measured: Measured) -> list[threading.Thread]:
    """Graders that take no time, over the wire."""
    threads = [threading.Thread(target=_grade, args=(stop, hall, measured)) for _ in range(GRADERS)]
    for thread in threads:
        thread.start()
    return threads


def _grade(stop: threading.Event, hall: Hall, measured: Measured) -> None:
    client = XQueueClient(ServerAccount(url=hall.url, username="grader", password=PASSWORD))
    client.login()
    while not stop.is_set():
        try:
            lease = client.get_submission(QUEUE, wait_s=1)
            if lease is not None:
                client.put_result(lease, GRADE)
        except (LeaseLost, ServerUnreachable) as error:
            measured.complaints.append(f"grader: {error}")
