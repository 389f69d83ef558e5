"""From a learner's submit to the callback at the LMS, through the real processes."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from deploy.demo.gradebook import InputStatus, ProblemInput
from deploy.demo.lms import StandInLms
from tests.acceptance.site import QUEUE, Site
from tests.bench.grading.engines import GRADERS, WrongGrade
from tests.bench.grading.loops import Seen, one_by_one

GRADE_S = 30.0
BETWEEN_S = 0.5
"""A learner now and then: the pool refills, and nothing queues."""


def through_the_line(directory: Path, *, count: int) -> Seen:
    """One submission after the other: SQLite, one polling worker (long poll), Docker."""
    with StandInLms() as lms, _site(directory, lms) as site:
        client = site.capa()

        def submit_and_wait() -> None:
            where = ProblemInput(
                user_id=secrets.token_hex(4), usage_id="block-v1:Bench+B1+2026", input_id="i1"
            )
            taken = lms.submit(where, "pass", client=client, queue=QUEUE)
            if not taken.accepted:
                raise WrongGrade(f"the queue refused: {taken.content}")
            state = lms.wait_for_grade(where, GRADE_S)
            if state.status is not InputStatus.CORRECT:
                raise WrongGrade(f"graded {state.status}")

        pause = lambda: time.sleep(BETWEEN_S)  # noqa: E731
        one_by_one(submit_and_wait, count=4, between=pause)
        return one_by_one(submit_and_wait, count=count, between=pause)


def _site(directory: Path, lms: StandInLms) -> Site:
    own = directory / "line"
    own.mkdir()
    site = Site(own, database_url=f"sqlite:///{own}/queue.db", lms_origin=lms.origin)
    try:
        site.prepare()
        site.start_server()
        site.start_deliver()
        site.start_sandboxd("docker", "--pool-size", "4")
        site.start_worker("poll", grader=str(GRADERS / "one"))
    except BaseException:
        site.__exit__(None, None, None)
        raise
    return site
