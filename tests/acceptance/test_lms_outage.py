"""An LMS that is away while its grades are made: each arrives once it is back, graded once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest

from deploy.demo.gradebook import InputStatus, Reception
from deploy.demo.lms import Outage, StandInLms
from tests.acceptance.classroom import assert_nothing_left, assert_taken_once, submit
from tests.acceptance.site import PASSWORD, QUEUE, Site
from tests.clients.handler import Turn, full_marks
from tests.clients.watcher import NewWatcher
from tests.worker.fakes import eventually

LEARNERS = 8
"""More than the failures that open the breaker."""
BACK_S = 60.0
ANSWER_S = 60.0
QUICKER = {
    "xqueue_server.callbacks.redelivery.EXACT_DELAYS_S": (0.2, 0.2, 0.2),
    "xqueue_server.callbacks.redelivery.JITTERED_DELAYS_S": (0.4, 0.4),
    "xqueue_server.callbacks.redelivery.LAST_DELAY_S": 0.4,
    "xqueue_server.storage.breakers.PROBE_EVERY_S": (0.2, 0.4),
}
"""Two, ten and thirty seconds, and so on, otherwise."""


def go_down(lms: StandInLms) -> None:
    lms.go_down()


def fail(lms: StandInLms) -> None:
    lms.answer_with(Outage(status=503))


def redirect(lms: StandInLms) -> None:
    lms.answer_with(Outage(status=302, location=f"{lms.origin}/login"))


@pytest.fixture
def site(server_site: Site) -> Site:
    server_site.start_deliver(constants=QUICKER)
    return server_site


@pytest.mark.parametrize("outage", [go_down, fail, redirect])
def test_grades_made_during_an_outage_arrive_when_it_is_over(
    site: Site, lms: StandInLms, outage: Callable[[StandInLms], None]
) -> None:
    graded = []

    def grade(content: object) -> dict[str, object]:
        graded.append(content)
        return full_marks({})

    outage(lms)
    submitted = [submit(lms, site.capa()) for _ in range(LEARNERS)]
    account = {"username": "grader", "password": PASSWORD}
    with closing(
        NewWatcher(url=site.url, queue=QUEUE, handler=grade, timeout_s=ANSWER_S, **account)
    ) as watcher:
        while watcher.take_turn() is Turn.ANSWERED:
            pass
        eventually(lambda: _has_tried(site), BACK_S)
        assert lms.count(Reception.ACCEPTED) == 0

        lms.come_back()

        for learner in submitted:
            assert lms.wait_for_grade(learner.where, BACK_S).status is InputStatus.CORRECT
        assert watcher.take_turn() is Turn.IDLE
    assert len(graded) == LEARNERS
    assert_taken_once(lms, submitted)
    assert_nothing_left(site, LEARNERS)


def _has_tried(site: Site) -> bool:
    """More often than once, though the breaker may have opened in between."""
    pending = site.ask("callback", "list", "--state", "pending")
    assert len(pending) == LEARNERS
    return sum(callback["attempt"] for callback in pending) > LEARNERS
