"""Every client that sites run today, unmodified, against our server in production mode."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from deploy.demo.gradebook import InputStatus
from deploy.demo.lms import StandInLms
from tests.acceptance.classroom import assert_nothing_left, assert_taken_once, submit
from tests.acceptance.site import PASSWORD, QUEUE, Site
from tests.clients.amqp_bridge import AmqpBridge
from tests.clients.bux import BuxClient
from tests.clients.handler import Turn, full_marks
from tests.clients.pull_ref import PullRef
from tests.clients.watcher import NewWatcher, OldWatcher

ACCOUNT: dict[str, Any] = {"username": "grader", "password": PASSWORD}
WATCHER: dict[str, Any] = {"handler": full_marks, "timeout_s": 60, **ACCOUNT}
"""Their default of one second is for those who look at what happens when it is over."""
GRADE_S = 60


def by_new_watcher(site: Site) -> None:
    with closing(NewWatcher(url=site.url, queue=QUEUE, **WATCHER)) as watcher:
        assert watcher.take_turn() is Turn.ANSWERED


def by_old_watcher(site: Site) -> None:
    with closing(OldWatcher(url=site.url, queue=QUEUE, **WATCHER)) as watcher:
        assert watcher.take_turn() is Turn.ANSWERED


def by_pull_ref(site: Site) -> None:
    grader = PullRef(url=site.url, queue=QUEUE, handler=full_marks, **ACCOUNT)
    assert grader.take_turn() is Turn.ANSWERED


def by_bux(site: Site) -> None:
    with closing(BuxClient(url=site.url, **ACCOUNT)) as bux:
        bux.put_result(bux.get_submission(QUEUE), dict(full_marks({})))


def by_amqp_bridge(site: Site) -> None:
    with closing(AmqpBridge(url=site.url, queue=QUEUE, handler=full_marks, **ACCOUNT)) as bridge:
        assert bridge.login()
        assert bridge.take_turn() is Turn.ANSWERED


FIELD_CLIENTS = (by_new_watcher, by_old_watcher, by_pull_ref, by_bux, by_amqp_bridge)


@pytest.fixture
def site(server_site: Site) -> Site:
    server_site.start_deliver()
    return server_site


def test_every_client_grades_what_the_lms_submits(site: Site, lms: StandInLms) -> None:
    submitted = []
    for grade in FIELD_CLIENTS:
        submitted.append(submit(lms, site.capa()))
        grade(site)
        state = lms.wait_for_grade(submitted[-1].where, GRADE_S)
        assert (state.status, state.score) == (InputStatus.CORRECT, 1), grade.__name__

    assert_taken_once(lms, submitted)
    assert_nothing_left(site, len(submitted))
