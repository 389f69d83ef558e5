"""The server dies while course teams publish, go back, try and hear of faults: each of it is done
whole or not at all, doing it again ends well, and no learner's grade is touched.

Or the sweeper dies while it clears away what trials leave.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select, update

from grader_worker.errors import LeaseLost, ServerUnreachable
from grader_worker.lease import Lease
from grader_worker.xqueue_client import XQueueClient
from tests.crash.author import Author, is_answered
from tests.crash.learner import Learner, reply
from tests.crash.ledger import SETTLE_S, Ledger
from tests.crash.stack import BRIEF_QUEUE, PUBLISHED_QUEUE, CrashStack
from tests.crash.step import (
    COMMIT,
    HTTP_ANSWERED,
    Step,
    after,
    around,
    around_change,
    around_commit,
    cases,
)
from tests.worker.fakes import eventually
from xqueue_server.keys import key_hash
from xqueue_server.models.submission import SubmissionState
from xqueue_server.storage import bundles, callbacks, lease_graders, policies, submissions
from xqueue_server.storage.grader_schema import faults, notifications, test_counts, trials
from xqueue_server.storage.schema import events

STORE = "xqueue_server.authoring.publishing.store_bundle"
PUBLISH = "xqueue_server.authoring.publishing.publish"
ACTIVATE = "xqueue_server.authoring.publishing.activate"
LEASE = "xqueue_server.submissions.leasing.lease"
FAIL = "xqueue_server.submissions.leasing.report_failure"
BEGIN = "xqueue_server.authoring.trying.begin"
RECEIVE = "xqueue_server.submissions.results.receive"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
TIDY = "xqueue_server.upkeep.housekeeping.remove_expired_trials"
READINESS = "xqueue_server.storage.readiness.store"


def stages(within: str, what: str, *inner: Step) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """The steps after which nothing is done, and those after which it is done but not said."""
    before_commit, after_commit = around_commit(within, f"the commit of {what}")
    answered = after(HTTP_ANSWERED, f"the answer to {what} is sent", armed_by=within)
    return (*inner, before_commit), (after_commit, answered)


@pytest.fixture
def author(stack: CrashStack) -> Author:
    return Author(url=stack.url)


# -- publishing and going back -------------------------------------------------------------------

NOT_KEPT, KEPT = stages(
    STORE, "a bundle", *around("xqueue_server.storage.bundles.store", "the bundle is stored")
)
NOT_PUBLISHED, PUBLISHED = stages(
    PUBLISH,
    "a publication",
    after("xqueue_server.storage.bundles.keep", "the bundle is locked", within=PUBLISH),
    *around("xqueue_server.storage.graders.add_version", "the version is added"),
    after("xqueue_server.storage.graders.activate", "the version is used", within=PUBLISH),
)
NOT_BACK, BACK = stages(
    ACTIVATE,
    "a rollback",
    *around("xqueue_server.storage.graders.activate", "the older version is used", within=ACTIVATE),
)


@cases(*NOT_KEPT, *KEPT)
def test_a_bundle_is_stored_whole_or_not_at_all(
    stack: CrashStack, author: Author, step: Step
) -> None:
    with stack.dying(stack.server, step):
        is_answered(author.store_bundle)
    assert _stored_bundle(stack, author) == (author.bundle if step in KEPT else None)

    author.store_bundle()

    assert _stored_bundle(stack, author) == author.bundle
    assert author.publish() == 1


@cases(*NOT_PUBLISHED, *PUBLISHED)
def test_a_publication_is_a_version_in_use_or_nothing(
    stack: CrashStack, author: Author, step: Step
) -> None:
    author.store_bundle()
    author.publish()
    with stack.dying(stack.server, step):
        is_answered(author.publish)
    done = [1, 2] if step in PUBLISHED else [1]
    assert author.versions() == done
    assert author.grader()["active_version"] == done[-1]

    newest = author.publish()

    assert author.versions() == [*done, newest] == list(range(1, newest + 1))
    assert author.grader()["active_version"] == newest
    assert len(_published_events(stack, author)) == newest


@cases(*NOT_BACK, *BACK)
def test_a_rollback_is_made_or_not_and_can_be_repeated(
    stack: CrashStack, author: Author, step: Step
) -> None:
    author.store_bundle()
    author.publish()
    author.publish()
    with stack.dying(stack.server, step):
        is_answered(lambda: author.activate(1))
    assert author.grader()["active_version"] == (1 if step in BACK else 2)

    author.activate(1)

    assert author.grader()["active_version"] == 1
    assert author.versions() == [1, 2]


def _stored_bundle(stack: CrashStack, author: Author) -> bytes | None:
    with stack.storage.read() as tx:
        return bundles.content_of(tx, author.digest)


def _published_events(stack: CrashStack, author: Author) -> list[str]:
    told = select(events.c.detail).where(events.c.why == "grader published")
    with stack.storage.read() as tx:
        details = [row.detail for row in tx.all(told)]
    return [detail for detail in details if detail.startswith(f"{author.name} version ")]


# -- which version was handed out ----------------------------------------------------------------

NOTE = "xqueue_server.storage.lease_graders.record"
NOTING, IS_NOTED = around_change(LEASE, "the lease of a published grader", statement_of=NOTE)
HANDED_OUT = (*around(NOTE, "the version is noted"), *NOTING, *IS_NOTED)


@cases(*HANDED_OUT)
def test_of_every_lease_that_was_answered_it_is_known_which_version_it_was(
    stack: CrashStack, desk: XQueueClient, learner: Learner, ledger: Ledger, step: Step
) -> None:
    author = Author(url=stack.url, queue=BRIEF_QUEUE)
    _publish_default(author)
    with stack.dying(stack.server, step):
        learner.must_submit("", BRIEF_QUEUE)
        lease = _lease(desk, BRIEF_QUEUE)
    assert lease.grader is not None
    assert (lease.grader.name, lease.grader.version) == (author.name, 1)

    desk.put_result(lease, reply(0.5))

    learner.assert_graded(0.5)
    ledger.assert_ended_well(int(lease.submission_id))
    learner.assert_one_grade_taken()
    key = json.loads(lease.header)["submission_key"]
    with stack.storage.read() as tx:
        noted = lease_graders.of_lease(tx, key_hash(key))
    assert noted is not None
    assert (noted.grader, noted.version) == (author.name, 1)


# -- faults --------------------------------------------------------------------------------------

NOT_NOTED, NOTED = stages(
    FAIL,
    "a grader's fault",
    *around("xqueue_server.storage.faults.count", "the fault is counted"),
    after("xqueue_server.storage.notifications.add", "the notification is queued"),
)


@cases(*NOT_NOTED, *NOTED)
def test_a_fault_is_counted_and_notified_once_however_often_it_is_reported(
    stack: CrashStack,
    author: Author,
    desk: XQueueClient,
    learner: Learner,
    ledger: Ledger,
    step: Step,
) -> None:
    _notify_somebody(stack)
    _publish_default(author)
    learner.must_submit("", PUBLISHED_QUEUE)
    lease = _lease(desk, PUBLISHED_QUEUE)
    submission_id = int(lease.submission_id)

    with stack.dying(stack.server, step):
        _until_answered(lambda: _report_fault(desk, lease))

    ledger.wait_for(submission_id, SubmissionState.HELD)
    (fault,) = author.faults()
    assert (fault["version"], fault["kind"], fault["count"]) == (1, "grader", 1)
    with stack.storage.read() as tx:
        told = select(func.count()).where(notifications.c.fault_id == fault["id"])
        assert tx.scalar(told) == 1
    assert learner.callbacks == []
    stack.command("submission", "release", str(submission_id))
    desk.put_result(_lease(desk, PUBLISHED_QUEUE), reply(0.5))
    learner.assert_graded(0.5)


def _report_fault(desk: XQueueClient, lease: Lease) -> None:
    try:
        desk.put_failure(lease, kind="grader", detail="ZeroDivisionError: division by zero")
    except LeaseLost:
        """The report before has done it."""


def _notify_somebody(stack: CrashStack) -> None:
    """No mail server is set, so nothing leaves this machine."""
    with stack.storage.write() as tx:
        policies.change(
            tx, PUBLISHED_QUEUE, actor="test", why="notify", email="team@course.example"
        )


# -- readiness -----------------------------------------------------------------------------------


def _with_readiness(when: str) -> Step:
    name = f"{when} the commit of readiness"
    both = ("sqlite", "postgresql")
    return Step(name=name, when=when, at=COMMIT, armed_by=READINESS, databases=both)


@cases(
    *around(READINESS, "readiness is stored"), _with_readiness("before"), _with_readiness("after")
)
def test_what_a_host_can_run_is_told_again(stack: CrashStack, author: Author, step: Step) -> None:
    author.store_bundle()
    author.publish()
    worker = Author(url=stack.url, account="grader", name=author.name)
    with stack.dying(stack.server, step):
        is_answered(lambda: worker.report_ready(1, "host-1"))

    worker.report_ready(1, "host-1")

    (host,) = author.grader()["readiness"]
    assert (host["host"], host["version"], host["ready"]) == ("host-1", 1, True)


# -- trials --------------------------------------------------------------------------------------

NOT_BEGUN, BEGUN = stages(
    BEGIN,
    "a trial",
    after("xqueue_server.files.local.LocalFiles.save", "a trial's file is stored", within=BEGIN),
    *around("xqueue_server.storage.trials.add", "the trial is added"),
)
ENDING = (
    *around("xqueue_server.storage.trials.keep_record", "the trial's record is kept"),
    *around_commit(RECEIVE, "the commit of a trial's result"),
)
REMOVING = (
    after("xqueue_server.storage.trials.remove_expired", "the trial is removed", within=TIDY),
    *around_commit(TIDY, "the commit of the removal"),
)


@cases(*NOT_BEGUN, *BEGUN)
def test_a_trial_is_run_as_often_as_it_was_taken_and_reaches_no_lms(
    stack: CrashStack, author: Author, desk: XQueueClient, step: Step
) -> None:
    author.store_bundle()
    with stack.dying(stack.server, step):
        is_answered(author.begin_trial)
    taken = _trials_of(stack, author)
    assert len(taken) == (1 if step in BEGUN else 0)

    again = author.begin_trial()

    for _ in (*taken, again):
        _grade_trial(desk, _lease(desk, PUBLISHED_QUEUE))
    for trial_id in (*taken, again):
        assert author.trial(trial_id)["state"] == "graded"
    _assert_nothing_left_the_server(stack, author)


@cases(*ENDING)
def test_a_trials_result_that_is_sent_again_ends_it_once(
    stack: CrashStack, author: Author, desk: XQueueClient, step: Step
) -> None:
    author.store_bundle()
    trial_id = author.begin_trial()
    lease = _lease(desk, PUBLISHED_QUEUE)

    with stack.dying(stack.server, step):
        _until_answered(lambda: _grade_trial(desk, lease))

    ended = author.trial(trial_id)
    assert (ended["state"], ended["reply"]["score"]) == ("graded", 0.5)
    assert ended["record"] == {"tests": [{"id": "t1", "status": "failed"}]}
    _assert_nothing_left_the_server(stack, author)


@cases(*REMOVING)
def test_an_old_trial_is_removed_whole(
    stack: CrashStack, author: Author, desk: XQueueClient, step: Step
) -> None:
    author.store_bundle()
    author.begin_trial()
    lease = _lease(desk, PUBLISHED_QUEUE)
    _grade_trial(desk, lease)
    with stack.dying(stack.sweeper, step), stack.storage.write() as tx:
        tx.run(update(trials).where(trials.c.name == author.name).values(created_at=LONG_AGO))

    eventually(lambda: not _trials_of(stack, author), SETTLE_S)

    with stack.storage.read() as tx:
        assert submissions.find(tx, int(lease.submission_id)) is None


def _trials_of(stack: CrashStack, author: Author) -> list[int]:
    with stack.storage.read() as tx:
        return [row.id for row in tx.all(select(trials.c.id).where(trials.c.name == author.name))]


def _grade_trial(desk: XQueueClient, lease: Lease) -> None:
    assert lease.grader is not None
    assert lease.grader.trial is not None, "a learner's submission in a queue without learners"
    record = '{"tests": [{"id": "t1", "status": "failed"}]}'
    desk.put_result(lease, reply(0.5), record=record)


def _assert_nothing_left_the_server(stack: CrashStack, author: Author) -> None:
    """No callback, no fault, and no test is counted."""
    of_author = select(trials.c.submission_id).where(trials.c.name == author.name)
    with stack.storage.read() as tx:
        for row in tx.all(of_author):
            assert callbacks.of_submission(tx, row.submission_id) == []
        for table in (faults, test_counts):
            assert tx.scalar(select(func.count()).where(table.c.grader == author.name)) == 0


# -- what all of them do -------------------------------------------------------------------------


def _publish_default(author: Author) -> None:
    """The grader that gets what names none."""
    author.store_bundle()
    author.publish()
    author.call("POST", f"graders/{author.queue}/{author.name}/default", json={})


def _lease(desk: XQueueClient, queue: str) -> Lease:
    """The next submission, as a worker that runs what is published, however often it must ask."""
    found: list[Lease] = []

    def ask() -> None:
        lease = desk.get_submission(queue, wait_s=1, name_grader=True)
        found.extend([lease] if lease else [])

    eventually(lambda: _until_answered(ask) or found, SETTLE_S)
    return found[0]


def _until_answered(act: Callable[[], None]) -> None:
    """Again while the server is away."""

    def is_done() -> bool:
        try:
            act()
        except ServerUnreachable:
            return False
        return True

    eventually(is_done, SETTLE_S)
