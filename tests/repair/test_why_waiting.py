"""Each submission has one reason, and a command that leads on."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.cli.commands import leaves
from tests.repair.regraded import begin, graded
from tests.server.builders import INVALID_GRADE, ORIGIN, Desk, callback_url, change_queue, lms_body
from xqueue_server.errors import NotFound
from xqueue_server.files.local import LocalFiles
from xqueue_server.models.callback import DueCallback
from xqueue_server.models.grader import GraderSource
from xqueue_server.models.submission import HoldReason, SubmissionState
from xqueue_server.storage import (
    attempts,
    breakers,
    graders,
    outbox,
    queues,
    readiness,
    submissions,
    workers,
)
from xqueue_server.storage.attempts import Ending
from xqueue_server.storage.readiness import HostReport
from xqueue_server.storage.workers import HostAnnouncement, WorkerReport
from xqueue_server.submissions import holding, why_waiting
from xqueue_server.submissions.leasing import FailureKind
from xqueue_server.submissions.why_waiting import Reason, ReasonCode
from xqueue_server.upkeep import learner_data

C, S = ReasonCode, SubmissionState
REFUSED = Ending(status=404, error=None, response="no such course", duration_us=1)


def why(desk: Desk, submission_id: int) -> Reason:
    with desk.storage.read() as tx:
        return why_waiting.explain(tx, submission_id)


def announce(
    desk: Desk, *, is_canary_ok: bool | None = True, state: str = "idle", queue: str = "python"
) -> None:
    said = HostAnnouncement(
        host="w1",
        pid=1,
        version="0.1.0",
        backend="docker",
        is_canary_ok=is_canary_ok,
        canary="memory is not limited",
        cpus=2,
        autoscale_min=None,
        autoscale_max=None,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        workers=(
            WorkerReport(
                name="w1-1", pid=2, queue=queue, state=state, submission_id=None, since_s=1
            ),
        ),
    )
    with desk.storage.write() as tx:
        assert workers.store(tx, desk.grader.id, said)


# -- in line -------------------------------------------------------------------------------------


def test_nobody_serves_the_queue(desk: Desk) -> None:
    reason = why(desk, desk.submit())
    assert reason.code is C.NO_WORKER
    assert reason.sentence == "No worker serves the queue 'python'."
    assert reason.next_step.endswith("grader-worker poll --server URL --queue python")


@pytest.mark.parametrize(
    "make_it_so",
    [
        lambda desk: announce(desk, queue="other"),
        lambda desk: announce(desk, state="draining"),
        lambda desk: (announce(desk), desk.clock.advance(46)),
    ],
)
def test_workers_that_do_not_count(desk: Desk, make_it_so: Callable[[Desk], object]) -> None:
    make_it_so(desk)
    assert why(desk, desk.submit()).code is C.NO_WORKER


def test_its_place_in_the_line(desk: Desk) -> None:
    announce(desk)
    desk.submit(callback_url(user=1))
    second = desk.submit(callback_url(user=2))
    reason = why(desk, second)
    assert reason.code is C.IN_LINE
    assert reason.sentence.endswith("Its place in the line is 2.")


def test_a_grader_that_does_not_announce_itself_serves_all_the_same(desk: Desk) -> None:
    """By what it has leased, or what it has graded in the last quarter of an hour."""
    desk.submit(callback_url(user=1))
    waiting = desk.submit(callback_url(user=2))
    leased = desk.lease()
    assert why(desk, waiting).code is C.IN_LINE
    desk.put(leased)
    assert why(desk, waiting).code is C.IN_LINE
    desk.clock.advance(15 * 60)
    assert why(desk, waiting).code is C.NO_WORKER


def test_every_sandbox_failed_its_test(desk: Desk) -> None:
    announce(desk, is_canary_ok=False)
    reason = why(desk, desk.submit())
    assert reason.code is C.CANARY_FAILED
    assert "safety test: memory is not limited." in reason.sentence
    assert reason.next_step == "On host w1: grader-worker doctor"


def _publish(desk: Desk) -> None:
    with desk.storage.write() as tx:
        graders.lock(tx, "python")
        version = graders.add_version(
            tx,
            "python",
            "g",
            source=GraderSource(digest=None, image="img@sha256:1"),
            manifest_text="{}",
            isolation=None,
            published_by="ann",
            actor="test",
        )
        graders.activate(tx, "python", "g", version, actor="test")


def _report(desk: Desk, *, host: str = "w1", is_ready: bool = False, version: int = 1) -> None:
    report = HostReport(
        queue="python",
        name="g",
        version=version,
        host=host,
        is_ready=is_ready,
        problem="the image can not be pulled",
    )
    with desk.storage.write() as tx:
        readiness.store(tx, report)


def test_no_host_can_run_the_grader(desk: Desk) -> None:
    announce(desk)
    _publish(desk)
    submission_id = desk.submit()
    assert why(desk, submission_id).code is C.IN_LINE, "nobody has said anything yet"
    _report(desk)
    reason = why(desk, submission_id)
    assert reason.code is C.IMAGE_NOT_READY
    assert "version 1 of the grader 'g' yet: the image can not be pulled." in reason.sentence
    _report(desk, host="w2", is_ready=True)
    assert why(desk, submission_id).code is C.IN_LINE


def test_what_a_host_says_of_an_old_version_does_not_count(desk: Desk) -> None:
    announce(desk)
    _publish(desk)
    _publish(desk)
    _report(desk, version=1)
    assert why(desk, desk.submit()).code is C.IN_LINE


def test_the_queue_is_paused(desk: Desk) -> None:
    announce(desk)
    submission_id = desk.submit()
    with desk.storage.write() as tx:
        queues.pause(tx, "python", actor="operator ann", reason="new tests")
    reason = why(desk, submission_id)
    assert reason.code is C.PAUSED
    assert reason.sentence.endswith("by operator ann: new tests.")
    assert reason.next_step == "xqueue-server queue resume python"


def test_the_learner_has_enough_in_line(desk: Desk) -> None:
    announce(desk)
    change_queue(desk.storage, learner_cap=1)
    desk.submit()
    reason = why(desk, desk.submit(callback_url("1" * 32)))
    assert reason.code is C.CAPPED
    assert "(1)" in reason.sentence


def test_the_cap_lets_it_in_with_the_next_sweep(desk: Desk) -> None:
    change_queue(desk.storage, learner_cap=1)
    desk.submit()
    blocked = desk.submit(callback_url("1" * 32))
    change_queue(desk.storage, learner_cap=2)
    reason = why(desk, blocked)
    assert reason.code is C.CAPPED
    assert "the next sweep lets it in" in reason.sentence
    assert "`xqueue-server sweep` running?" in reason.next_step


def test_it_waits_out_a_back_off(desk: Desk) -> None:
    announce(desk)
    submission_id = desk.submit()
    desk.fail(desk.lease(), FailureKind.PLATFORM)
    reason = why(desk, submission_id)
    assert reason.code is C.BACKING_OFF
    assert "failed 1 times in a row on it; it is tried again at 2026-01-01" in reason.sentence
    desk.clock.advance(2)
    assert why(desk, submission_id).code is C.IN_LINE, "the next claim takes it"


def test_it_is_being_graded(desk: Desk) -> None:
    submission_id = desk.submit()
    desk.lease()
    reason = why(desk, submission_id)
    assert (reason.code, reason.sentence) == (
        C.GRADING,
        "grader is grading it since 2026-01-01 00:00:00 UTC (attempt 1).",
    )


def test_its_grader_was_lost_and_no_sweep_has_seen_it_yet(desk: Desk) -> None:
    submission_id = desk.submit()
    desk.lease()
    desk.clock.advance(600)
    reason = why(desk, submission_id)
    assert reason.code is C.LEASE_OVER
    assert "grader did not answer before its lease ended at 2026-01-01 00:10:00" in reason.sentence
    assert "`xqueue-server sweep` running?" in reason.next_step
    desk.sweep_after(0)
    assert why(desk, submission_id).code is not C.LEASE_OVER


def test_it_is_graded_anew(desk: Desk) -> None:
    announce(desk)
    old = graded(desk)
    begin(desk, old.submission_id)
    assert why(desk, old.submission_id).code is C.REGRADING
    desk.lease()
    assert why(desk, old.submission_id).code is C.REGRADING


# -- held ----------------------------------------------------------------------------------------


def test_each_hold_has_its_reason(desk: Desk) -> None:
    change_queue(desk.storage, max_platform_failures=1, max_attempts=1)
    ways: dict[ReasonCode, Callable[[], object]] = {
        C.HELD_GRADER: lambda: desk.fail(desk.lease(), FailureKind.GRADER),
        C.HELD_PLATFORM: lambda: desk.fail(desk.lease(), FailureKind.PLATFORM),
        C.HELD_INVALID_RESULT: lambda: desk.put(desk.lease(), INVALID_GRADE),
        C.HELD_ATTEMPTS: lambda: desk.exhaust(),
    }
    for user, (code, way) in enumerate(ways.items()):
        submission_id = desk.submit(callback_url(user=user))
        way()
        reason = why(desk, submission_id)
        assert reason.code is code
        assert f"xqueue-server submission release {submission_id}" in reason.next_step


# -- over ----------------------------------------------------------------------------------------


def _refuse(desk: Desk) -> DueCallback:
    due = desk.claim_callback()
    with desk.storage.write() as tx:
        attempts.record(tx, due.id, REFUSED)
        outbox.retry_later(tx, due, REFUSED, delay_us=10_000_000)
    return due


def test_the_way_of_a_grade_to_the_lms(desk: Desk) -> None:
    submission_id = graded(desk, is_delivered=False).submission_id
    assert why(desk, submission_id).code is C.DELIVERING
    callback_id = _refuse(desk).id
    reason = why(desk, submission_id)
    assert reason.code is C.LMS_REFUSING
    assert "its last answer was 404. It was tried 1 times; next at 2026-01-01" in reason.sentence
    assert reason.next_step.endswith(f"xqueue-server callback show {callback_id}")
    desk.clock.advance(11)
    due = desk.claim_callback()
    with desk.storage.write() as tx:
        outbox.finish_dead(tx, due, REFUSED, why="refused")
    reason = why(desk, submission_id)
    assert reason.code is C.DEAD_LETTER
    assert reason.next_step.endswith(f"xqueue-server callback replay {callback_id}")


def test_an_lms_that_does_not_answer(desk: Desk) -> None:
    submission_id = graded(desk, is_delivered=False).submission_id
    for _ in range(breakers.FAILURES_TO_OPEN):
        with desk.storage.write() as tx:
            breakers.failed(tx, ORIGIN, first_probe_us=1)
    reason = why(desk, submission_id)
    assert reason.code is C.BREAKER_OPEN
    assert reason.sentence.startswith(f"{ORIGIN} does not answer since 2026-01-01")


def test_the_lms_has_taken_it(desk: Desk) -> None:
    reason = why(desk, graded(desk).submission_id)
    assert reason.code is C.GRADED_AND_DELIVERED
    assert "at 2026-01-01 00:00:00 UTC" in reason.sentence


def test_what_was_overtaken(desk: Desk) -> None:
    waiting = desk.submit(body=lms_body("20260101120000"))
    desk.submit(body=lms_body("20260101120100"))
    assert why(desk, waiting).code is C.SUPERSEDED


def test_a_grade_that_was_withdrawn_was_overtaken_too(desk: Desk) -> None:
    old = graded(desk, made_at="20260101120000", is_delivered=False)
    desk.submit(callback_url(user=42), body=lms_body("20260101120100"))
    assert why(desk, old.submission_id).code is C.SUPERSEDED


def test_what_was_given_up(desk: Desk) -> None:
    submission_id = desk.submit()
    desk.fail(desk.lease(), FailureKind.GRADER)
    holding.give_up(desk.storage, submission_id, actor="operator ann")
    assert why(desk, submission_id).code is C.DELIVERING
    desk.deliver(desk.claim_callback())
    assert why(desk, submission_id).code is C.GIVEN_UP


def test_what_was_erased_was_not_overtaken(desk: Desk, tmp_path: Path) -> None:
    """Neither what had no grade yet, nor a grade that the LMS had not."""
    ended = graded(desk, is_delivered=False).submission_id
    unfinished = desk.submit()
    learner_data.erase(
        desk.storage,
        LocalFiles(tmp_path),
        learner_data.Learner(id="42", lms=ORIGIN),
        secret_key=b"k" * 32,
        actor="operator ann",
        also_unfinished=True,
    )
    assert [why(desk, each).code for each in (ended, unfinished)] == [C.ERASED, C.ERASED]


def test_a_trial_has_nobody_to_tell(desk: Desk) -> None:
    submission_id = graded(desk).submission_id
    with desk.storage.write() as tx:
        tx.run(text("UPDATE submissions SET priority = -1000"))
    assert why(desk, submission_id).code is C.GRADED


def test_what_is_not_there(desk: Desk) -> None:
    with pytest.raises(NotFound, match="Submission 9 not found"):
        why(desk, 9)


OF_STATE = {
    S.QUEUED: {C.PAUSED, C.BACKING_OFF, C.CAPPED, C.NO_WORKER, C.IN_LINE, C.REGRADING, C.ERASED},
    S.LEASED: {C.GRADING, C.REGRADING, C.ERASED},
    S.HELD: {C.HELD_ATTEMPTS, C.HELD_GRADER, C.HELD_INVALID_RESULT, C.HELD_PLATFORM, C.ERASED},
    S.GRADED: {C.GRADED, C.DELIVERING, C.ERASED},
    S.SUPERSEDED: {C.SUPERSEDED, C.ERASED},
    S.GIVEN_UP: {C.GIVEN_UP, C.DELIVERING, C.ERASED},
}


def test_every_combination_has_a_reason_that_belongs_to_its_state(desk: Desk) -> None:
    """Also those that no transition leads to: a page about a broken row must still be shown."""
    base = desk.see(graded(desk, is_delivered=False).submission_id)
    announce(desk)
    columns: dict[str, tuple[object, ...]] = {
        "state": tuple(S),
        "queue": ("python", "one that nobody serves", ""),
        "priority": (0, -500, -1000),
        "is_blocked": (False, True),
        "available_at": (None, base.arrived_at),
        "accepted_key": (None, b"a" * 32),
        "held_reason": (None, *HoldReason),
        "leased_by": (None, "grader"),
        "lms_key": ("", base.lms_key),
    }
    seen: dict[S, set[C]] = {state: set() for state in S}
    for is_paused in (False, True):
        if is_paused:
            with desk.storage.write() as tx:
                queues.pause(tx, "python", actor="operator ann", reason="")
        rows = [
            replace(base, **dict(zip(columns, each, strict=True)))
            for each in itertools.product(*columns.values())
        ]
        with desk.storage.read() as tx:
            facts = why_waiting._gather(tx, rows)
        for row in rows:
            reason = why_waiting._reason(row, facts)
            seen[row.state].add(reason.code)
            assert reason.sentence.endswith(".")
            assert reason.next_step
    assert seen == OF_STATE


def test_a_page_is_explained_in_as_many_queries_as_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce(desk)
    ids = [desk.submit(callback_url(user=user)) for user in range(6)]
    desk.put(desk.lease())
    desk.lease()
    asked: list[int] = []

    def explained(some: list[int]) -> dict[int, Reason]:
        with desk.storage.read() as tx:
            found = [submissions.find(tx, each) for each in some]
            for name in ("one", "all", "scalar"):
                method = getattr(type(tx), name)
                monkeypatch.setattr(
                    tx,
                    name,
                    lambda *args, _m=method, _tx=tx, **given: (
                        asked.append(1) or _m(_tx, *args, **given)
                    ),
                )
            return why_waiting.explain_all(tx, [each for each in found if each])

    explained(ids[:3])
    few = len(asked)
    asked.clear()
    reasons = explained(ids)
    assert len(asked) == few
    assert [reasons[each].code for each in ids] == [C.DELIVERING, C.GRADING] + [C.IN_LINE] * 4


def test_every_command_that_is_named_exists() -> None:
    """The words are read out of the module, so that a new reason is checked, too."""
    source = why_waiting.__loader__.get_source(why_waiting.__name__)  # type: ignore[union-attr]
    named = set(re.findall(r"xqueue-server ([a-z]+ [a-z-]+)", source))
    known = {" ".join(leaf.words) for leaf in leaves()}
    assert len(named) >= 8
    assert named <= known
