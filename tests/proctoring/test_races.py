"""A learner's submit, the clock and a provider's end at the same moment: one of them wins, and
everybody else gets the same end or is told who won.

TEST_RACES in the environment says how many are run on each database.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import insert, select

from proctoring_hooks import attempts
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import Exam
from proctoring_hooks.history import first_flaw
from proctoring_hooks.statuses import IN_PROGRESS, Status
from proctoring_hooks.transitions import Action, Refused
from tests.proctoring.conftest import LMS, SECRET_KEY, MakeExam
from tests.proctoring.sitting import LEARNER, PROVIDER, now, started
from xqueue_server.instant import ManualClock
from xqueue_server.secret_key import key_for
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.storage.proctoring_schema import proctoring_providers, webhook_subscribers
from xqueue_server.storage.schema import callbacks
from xqueue_server.upkeep.exam_clock import end_what_has_run_out

RACES = int(os.environ.get("TEST_RACES", "100"))


@pytest.fixture
def exam(store: ProctoringStore, make_exam: MakeExam) -> Exam:
    """With everybody who can be told: a provider, the event bus, a subscriber."""
    with store.write() as session:
        session.lmses.replace(replace(LMS, sends_events=True))
        made = {"secret": b"", "created_at": session.now}
        session.tx.run(
            insert(proctoring_providers),
            name="watcher",
            plugin="rest",
            settings=json.dumps({"base_url": "https://watcher.example"}),
            secrets=b"",
            created_at=session.now,
        )
        session.tx.run(
            insert(webhook_subscribers),
            name="dashboard",
            lms="edx",
            course_id="",
            url="https://dashboard.example/hook",
            sends_user_id=False,
            **made,
        )
    return make_exam(terms={"provider": "watcher"})


@pytest.fixture
def runners() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3) as pool:
        yield pool


def test_of_submit_timeout_and_termination_one_ends_the_attempt(
    store: ProctoringStore, exam: Exam, clock: ManualClock, runners: ThreadPoolExecutor
) -> None:
    winners: Counter[str] = Counter()
    while winners.total() < RACES or (len(winners) < 3 and winners.total() < 10 * RACES):
        attempt = started(store, exam, str(winners.total()))
        clock.advance(3600 - 0.001)
        answers = _race(runners, store, attempt, clock)
        winners[_assert_one_end(store, attempt, answers)] += 1
    print(f"ended by {dict(winners)}")  # noqa: T201 - shown with -s
    # Had one of them never won, nobody would have raced with it.
    assert set(winners) == {Action.SUBMIT, Action.TIME_OUT, Action.TERMINATE}


def _race(
    runners: ThreadPoolExecutor, store: ProctoringStore, attempt: Attempt, clock: ManualClock
) -> dict[str, str]:
    """Who -> what he was answered."""
    line = threading.Barrier(3)

    def run(act: Callable[[], str]) -> str:
        line.wait()
        return act()

    def time_out() -> str:
        end_what_has_run_out(store)  # a moment too early, as sweepers look
        clock.advance(0.001)
        return str(end_what_has_run_out(store).ended)

    ways = {
        "submit": lambda: _answer(store, attempt, Action.SUBMIT),
        "time_out": time_out,
        "terminate": lambda: _answer(store, attempt, Action.TERMINATE),
    }
    running = {name: runners.submit(run, way) for name, way in ways.items()}
    return {name: each.result() for name, each in running.items()}


def _answer(store: ProctoringStore, attempt: Attempt, action: Action) -> str:
    by = LEARNER if action is Action.SUBMIT else PROVIDER
    try:
        with store.write() as session:
            outcome = attempts.act(session, attempt.id, action, by)
    except Refused as error:
        return str(error)
    return f"{outcome.effect} {outcome.attempt.status}"


def _assert_one_end(store: ProctoringStore, attempt: Attempt, answers: dict[str, str]) -> str:
    """Returns which action ended it."""
    ended = now(store, attempt)
    with store.read() as session:
        rows = session.attempts.history(attempt.id)
        sent = session.tx.all(select(callbacks).where(callbacks.c.attempt_id == attempt.id))
    key = key_for("attempt history", SECRET_KEY)
    assert first_flaw(key, rows, head=ended.history_head, version=ended.version) is None
    (end,) = [
        row.change
        for row in rows
        if row.change.before in IN_PROGRESS and row.change.after not in IN_PROGRESS
    ]
    assert ended.completed_at is not None
    assert json.loads(end.facts)["completed_at"] == ended.completed_at.isoformat(), "stable"
    if end.action == Action.TIME_OUT:
        assert ended.completed_at == attempt.expires_at
    told = Counter(
        (row.kind, json.loads(row.header)["recipient"])
        for row in sent
        if json.loads(row.header)["purpose"].rpartition(".attempt.")[2]
        in ("submit", "submitted.v1")
    )
    if end.action == Action.TERMINATE:
        assert told == {}, "he who ended it knows, and nothing was handed in"
        assert answers["submit"] == (
            "submit by learner is not possible for an attempt that is second_review_required"
        )
    else:
        assert told == {
            ("provider", "watcher"): 1,
            ("event", "edx"): 1,
            ("webhook", "dashboard"): 1,
        }
        by_hand = end.action == Action.SUBMIT
        assert answers["submit"] == f"{'change' if by_hand else 'same'} submitted" or (
            # The provider's word came between the clock's and the learner's.
            not by_hand and "second_review_required" in answers["submit"]
        )
    assert answers["terminate"] == "change second_review_required"
    assert ended.status is Status.SECOND_REVIEW_REQUIRED, "a person looks at it in any case"
    return end.action
