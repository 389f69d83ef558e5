"""Learners who submit what they deserve a known grade for, and what came of it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from deploy.demo.capa import CapaClient
from deploy.demo.course import ATTEMPTS, Attempt, grader_payload
from deploy.demo.gradebook import InputStatus, ProblemInput, Reception
from deploy.demo.lms import StandInLms
from tests.acceptance.site import QUEUE, Site
from tests.worker.fakes import eventually

RIGHT, WRONG, ENDLESS = ATTEMPTS
NOTED_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    where: ProblemInput
    attempt: Attempt


def submit(
    lms: StandInLms, client: CapaClient, attempt: Attempt = RIGHT, *, payload: str | None = None
) -> Submitted:
    """A learner that nobody else is."""
    where = ProblemInput(
        user_id=secrets.token_hex(4),
        usage_id=attempt.where.usage_id,
        input_id=attempt.where.input_id,
    )
    taken = lms.submit(
        where,
        attempt.answer,
        client=client,
        queue=QUEUE,
        grader_payload=payload or grader_payload(attempt.problem),
    )
    assert taken.accepted, taken.content
    return Submitted(where=where, attempt=attempt)


def assert_each_graded_right(lms: StandInLms, submitted: list[Submitted], timeout_s: float) -> None:
    def is_done() -> bool:
        return all(lms.state(s.where).status is not InputStatus.PENDING for s in submitted)

    lms.book.wait_until(is_done, timeout_s)
    wrong = [
        (s.attempt.title, lms.state(s.where))
        for s in submitted
        if not s.attempt.is_right(lms.state(s.where))
    ]
    assert wrong == []


def assert_taken_once(lms: StandInLms, submitted: list[Submitted]) -> None:
    """Nothing was sent that the LMS did not wait for."""
    # The LMS has a grade before it has noted the callback that brought it.
    lms.book.wait_until(lambda: lms.count(Reception.ACCEPTED) >= len(submitted), NOTED_S)
    assert lms.count(Reception.ACCEPTED) == len(submitted)
    assert lms.count(Reception.IGNORED) == 0
    assert lms.count(Reception.INVALID) == 0


def assert_nothing_left(site: Site, count: int) -> None:
    """All graded at the server, with one try each, and every callback is delivered."""
    found = site.ask("submission", "list", "--limit", str(count + 1))
    assert [s["state"] for s in found] == ["graded"] * count

    def states() -> list[str]:
        return [c["state"] for c in site.ask("callback", "list", "--limit", str(count + 1))]

    # The LMS has a grade before it is noted here that it has.
    eventually(lambda: "pending" not in states(), NOTED_S)
    assert states() == ["delivered"] * count
