"""Many submissions at once: as many as a person confirmed, in batches, and on record."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.repair.regraded import ACTOR, NEW, OLD, begin, cancel, graded, last_regrade, regrades_of
from tests.server.builders import COURSE, ORIGIN, Desk, add_queue, callback_url
from xqueue_server.errors import Conflict, NotFound
from xqueue_server.models.callback import CallbackState
from xqueue_server.models.grader import GraderSource
from xqueue_server.models.regrade import RegradeState
from xqueue_server.models.scope import EVERYTHING, Scope
from xqueue_server.models.selection import parse
from xqueue_server.models.submission import SubmissionState
from xqueue_server.repair import bulk
from xqueue_server.repair.bulk import Act, Done
from xqueue_server.storage import browsing, faults, graders, lease_graders, outbox
from xqueue_server.storage.attempts import Ending
from xqueue_server.storage.events import Event
from xqueue_server.submissions.leasing import FailureKind

S = SubmissionState
ALL = parse({})


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "BATCH", 2)


def held(desk: Desk, count: int, *, queue: str = "python", detail: str = "broken") -> list[int]:
    ids = []
    for user in range(count):
        ids.append(desk.submit(callback_url(user=user), queue=queue))
        desk.fail(desk.lease(queue), FailureKind.GRADER, detail)
    return ids


def bury(desk: Desk) -> None:
    """The oldest due callback dies."""
    due = desk.claim_callback()
    with desk.storage.write() as tx:
        ending = Ending(status=404, error=None, response="", duration_us=1)
        outbox.finish_dead(tx, due, ending, why="refused")


def states(desk: Desk, ids: Sequence[int]) -> list[S]:
    return [desk.see(submission_id).state for submission_id in ids]


def summary(desk: Desk, subject: str = "submissions") -> Event:
    with desk.storage.read() as tx:
        return browsing.latest_events(tx, subject=subject)[0]


def test_held_ones_are_released(desk: Desk) -> None:
    ids = held(desk, 5)
    done = bulk.release(desk.storage, ALL, EVERYTHING, confirmed=5, actor=ACTOR)
    assert done == Done(
        count=5,
        skipped_count=0,
        skipped=[],
        is_complete=True,
        queues=frozenset({"python"}),
    )
    assert states(desk, ids) == [S.QUEUED] * 5
    assert {desk.events_of(i)[-1].actor for i in ids} == {ACTOR}
    note = summary(desk)
    assert (note.actor, note.why, note.detail) == (
        ACTOR,
        "bulk release",
        "5 done, 0 skipped; everything",
    )


def test_only_what_is_selected_and_may_be_repaired_is_touched(desk: Desk) -> None:
    add_queue(desk.storage, "other")
    here, there = held(desk, 2), held(desk, 2, queue="other")
    mine = Scope(queues=frozenset({"other"}))
    one = parse({"learner": "0"})
    assert bulk.matching(desk.storage, Act.RELEASE, one, mine) == 1
    assert bulk.release(desk.storage, one, mine, confirmed=1, actor=ACTOR).count == 1
    assert states(desk, here + there) == [S.HELD, S.HELD, S.QUEUED, S.HELD]
    assert bulk.release(desk.storage, ALL, Scope(), confirmed=9, actor=ACTOR).count == 0


def test_more_than_confirmed_is_refused(desk: Desk) -> None:
    ids = held(desk, 3)
    with pytest.raises(Conflict, match="3 submissions match now, but 2 were confirmed"):
        bulk.give_up(desk.storage, ALL, EVERYTHING, confirmed=2, actor=ACTOR)
    assert states(desk, ids) == [S.HELD] * 3


def test_what_comes_to_match_meanwhile_is_left_alone(desk: Desk) -> None:
    """Between two batches another one is held: three were confirmed, three it is."""
    ids = held(desk, 3)
    rounds: list[int] = []

    def is_over() -> bool:
        rounds.append(len(rounds))
        if len(rounds) == 2:
            desk.submit(callback_url(user=77))
            desk.fail(desk.lease(), FailureKind.GRADER)
        return False

    waiting = desk.submit(callback_url(user=50))  # so that it has an id within the bounds
    desk.lease()
    done = bulk.give_up(desk.storage, ALL, EVERYTHING, confirmed=3, actor=ACTOR, is_over=is_over)
    assert done.count == 3
    assert states(desk, ids) == [S.GIVEN_UP] * 3
    assert desk.see(waiting).state is S.LEASED


def test_what_has_moved_on_is_skipped_with_the_reason(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = held(desk, 3)
    release = bulk.holding.release_held

    def slow(tx: object, submission_id: int, *, actor: str) -> object:
        if submission_id == ids[1]:
            raise Conflict(f"Submission {submission_id} is queued, not held")
        return release(tx, submission_id, actor=actor)

    monkeypatch.setattr(bulk.holding, "release_held", slow)
    done = bulk.release(desk.storage, ALL, EVERYTHING, confirmed=3, actor=ACTOR)
    assert (done.count, done.skipped_count) == (2, 1)
    assert done.skipped[0].why == f"Submission {ids[1]} is queued, not held"
    assert states(desk, ids) == [S.QUEUED, S.HELD, S.QUEUED]
    assert summary(desk).detail == "2 done, 1 skipped; everything"


def test_it_stops_when_time_is_over_and_goes_on_when_asked_again(desk: Desk) -> None:
    ids = held(desk, 4)
    answers = iter([False, True])
    done = bulk.release(
        desk.storage,
        ALL,
        EVERYTHING,
        confirmed=4,
        actor=ACTOR,
        is_over=lambda: next(answers),
    )
    assert (done.count, done.is_complete) == (2, False)
    assert states(desk, ids) == [S.QUEUED, S.QUEUED, S.HELD, S.HELD]
    done = bulk.release(desk.storage, ALL, EVERYTHING, confirmed=2, actor=ACTOR)
    assert (done.count, done.is_complete) == (2, True)


def test_learners_are_told_of_what_is_given_up(desk: Desk) -> None:
    ids = held(desk, 2)
    bulk.give_up(desk.storage, ALL, EVERYTHING, confirmed=2, actor=ACTOR)
    assert states(desk, ids) == [S.GIVEN_UP] * 2
    assert [len(desk.callbacks_of(i)) for i in ids] == [1, 1]


def test_graded_ones_are_regraded_in_one_batch(desk: Desk) -> None:
    ids = [graded(desk, user=user).submission_id for user in range(3)]
    held(desk, 1)
    selection = parse({"course": COURSE})
    assert bulk.matching(desk.storage, Act.REGRADE, selection, EVERYTHING) == 3
    done = bulk.regrade(
        desk.storage, selection, EVERYTHING, reason="wrong tests", confirmed=3, actor=ACTOR
    )
    assert (done.count, done.skipped_count) == (3, 0)
    assert {last_regrade(desk, i).batch_id for i in ids} == {done.batch_id}
    assert states(desk, ids) == [S.QUEUED] * 3
    again = graded(desk, user=9)
    more = bulk.regrade(
        desk.storage,
        ALL,
        EVERYTHING,
        reason="",
        confirmed=1,
        actor=ACTOR,
        batch_id=done.batch_id,
    )
    assert more.batch_id == last_regrade(desk, again.submission_id).batch_id == done.batch_id


def test_a_continued_regrade_leaves_alone_what_has_been_graded_anew_meanwhile(desk: Desk) -> None:
    """Time was over after two of three; those have their new grades when the rest is asked for."""
    ids = [graded(desk, user=user).submission_id for user in range(3)]
    answers = iter([False, True])
    done = bulk.regrade(
        desk.storage,
        ALL,
        EVERYTHING,
        reason="wrong tests",
        confirmed=3,
        actor=ACTOR,
        is_over=lambda: next(answers),
    )
    assert (done.count, done.is_complete) == (2, False)
    for _ in range(2):
        desk.put(desk.lease(), NEW)
    present = {"batch_id": done.batch_id}
    assert bulk.matching(desk.storage, Act.REGRADE, ALL, EVERYTHING, **present) == 1
    assert bulk.preview_regrade(desk.storage, ALL, EVERYTHING, **present).count == 1
    terms = {"reason": "", "confirmed": 1, "actor": ACTOR, **present}
    more = bulk.regrade(desk.storage, ALL, EVERYTHING, **terms)
    assert (more.count, more.skipped_count, more.is_complete) == (1, 0, True)
    assert [len(regrades_of(desk, each)) for each in ids] == [1, 1, 1]


def test_a_refused_regrade_leaves_no_batch(desk: Desk) -> None:
    graded(desk)
    for terms in ({"confirmed": 0, "reason": "x"}, {"confirmed": 1, "reason": " "}):
        with pytest.raises(Conflict):
            bulk.regrade(desk.storage, ALL, EVERYTHING, actor=ACTOR, **terms)
    assert desk.count("regrade_batches") == 0


def test_a_preview_says_who_graded_and_what_the_lms_has(desk: Desk) -> None:
    with_version = graded(desk, user=1)
    _note_version(desk, with_version.submission_id, 3)
    graded(desk, user=2)
    graded(desk, user=3, is_delivered=False)
    held(desk, 1)
    found = bulk.preview_regrade(desk.storage, ALL, EVERYTHING)
    assert (found.count, found.lms_has) == (3, 2)
    assert [(g.grader, g.version, g.lms_has_it, g.count) for g in found.graded_by] == [
        (None, None, False, 1),
        (None, None, True, 1),
        ("g", 3, True, 1),
    ]
    assert desk.count("regrades") == 0


def _note_version(desk: Desk, submission_id: int, version: int) -> None:
    accepted = desk.see(submission_id).accepted_key
    assert accepted
    with desk.storage.write() as tx:
        lease_graders.record(
            tx,
            key_hash=accepted,
            submission_id=submission_id,
            attempt=1,
            grader="g",
            version=version,
            isolation=None,
        )


def test_dead_callbacks_are_sent_again(desk: Desk) -> None:
    dead = [graded(desk, user=user, is_delivered=False).submission_id for user in range(3)]
    for _ in dead:
        bury(desk)
    alive = graded(desk, user=9)
    done = bulk.replay(desk.storage, ALL, EVERYTHING, confirmed=3, actor=ACTOR)
    assert done.count == 3
    assert [desk.outgoing(i) for i in dead] == [[("pending", OLD)]] * 3
    assert desk.outgoing(alive.submission_id) == [("delivered", OLD)]
    assert bulk.matching(desk.storage, Act.REPLAY, parse({"callback": "pending"}), EVERYTHING) == 0
    assert desk.claim_callback(ORIGIN).submission_id in dead


def test_regrades_are_cancelled_by_their_batch_and_no_other(desk: Desk) -> None:
    first, second, third = (graded(desk, user=user).submission_id for user in range(3))
    batch_id = begin(desk, first, second)
    cancel(desk, second)
    other = begin(desk, second, third)
    of_batch = parse({"batch": str(batch_id)})
    done = bulk.cancel_regrades(desk.storage, of_batch, EVERYTHING, confirmed=2, actor=ACTOR)
    assert (done.count, done.skipped_count) == (1, 0)
    assert states(desk, [first, second, third]) == [S.GRADED, S.QUEUED, S.QUEUED]
    assert last_regrade(desk, second).batch_id == other
    learners = desk.submit(callback_url(user=50))
    done = bulk.cancel_regrades(desk.storage, ALL, EVERYTHING, confirmed=2, actor=ACTOR)
    assert done.count == 2
    assert desk.see(learners).state is S.QUEUED
    assert last_regrade(desk, third).state is RegradeState.CANCELLED


# -- faults --------------------------------------------------------------------------------------


def _fault_of(desk: Desk, submission_id: int) -> int:
    with desk.storage.read() as tx:
        return next(
            fault.id
            for fault in faults.latest(tx)
            if submission_id in [s.submission_id for s in faults.submissions_of(tx, fault.id)]
        )


def test_what_a_fault_holds_is_released_and_nothing_else(desk: Desk) -> None:
    ids = held(desk, 5, detail="ImportError: a")
    others = held(desk, 1, detail="KeyError: b")
    fault_id = _fault_of(desk, ids[0])
    assert bulk.held_by_fault(desk.storage, fault_id) == 5
    with pytest.raises(Conflict, match="5 submissions match now, but 4 were confirmed"):
        bulk.release_fault(desk.storage, fault_id, confirmed=4, actor=ACTOR)
    done = bulk.release_fault(desk.storage, fault_id, confirmed=5, actor=ACTOR)
    assert done.count == 5
    assert states(desk, ids + others) == [S.QUEUED] * 5 + [S.HELD]
    note = summary(desk, f"fault {fault_id}")
    assert (note.why, note.detail) == ("release", f"5 done, 0 skipped; fault {fault_id}")
    assert bulk.held_by_fault(desk.storage, fault_id) == 0


def test_what_is_held_for_another_fault_by_now_is_not_released(desk: Desk) -> None:
    (submission_id,) = held(desk, 1, detail="ImportError: a")
    first = _fault_of(desk, submission_id)
    bulk.release_fault(desk.storage, first, confirmed=1, actor=ACTOR)
    desk.clock.advance(3600)
    desk.fail(desk.lease(), FailureKind.GRADER, "KeyError: b")
    assert bulk.held_by_fault(desk.storage, first) == 0


def _publish(desk: Desk, version: int) -> None:
    with desk.storage.write() as tx:
        graders.lock(tx, "python")
        found = graders.add_version(
            tx,
            "python",
            "g",
            source=GraderSource(digest=None, image="img@sha256:1"),
            manifest_text="{}",
            isolation=None,
            published_by="ann",
            actor=ACTOR,
        )
        assert found == version
        graders.activate(tx, "python", "g", version, actor=ACTOR)


def test_it_is_refused_while_the_version_that_failed_is_in_use(desk: Desk) -> None:
    _publish(desk, 1)
    submission_id = desk.submit()
    leased = desk.lease()
    key_hash = desk.see(submission_id).lease_key
    assert key_hash
    with desk.storage.write() as tx:
        lease_graders.record(
            tx,
            key_hash=key_hash,
            submission_id=submission_id,
            attempt=1,
            grader="g",
            version=1,
            isolation=None,
        )
    desk.fail(leased, FailureKind.GRADER)
    fault_id = _fault_of(desk, submission_id)
    with pytest.raises(Conflict, match="still grades with version 1 of 'g', which failed"):
        bulk.release_fault(desk.storage, fault_id, confirmed=1, actor=ACTOR)
    assert desk.see(submission_id).state is S.HELD
    done = bulk.release_fault(desk.storage, fault_id, confirmed=1, actor=ACTOR, anyway=True)
    assert done.count == 1
    _hold_again(desk)
    _publish(desk, 2)
    assert bulk.release_fault(desk.storage, fault_id, confirmed=1, actor=ACTOR).count == 1


def _hold_again(desk: Desk) -> None:
    leased = desk.lease()
    key_hash = desk.see(leased.submission_id).lease_key
    assert key_hash
    with desk.storage.write() as tx:
        lease_graders.record(
            tx,
            key_hash=key_hash,
            submission_id=leased.submission_id,
            attempt=1,
            grader="g",
            version=1,
            isolation=None,
        )
    desk.fail(leased, FailureKind.GRADER)


def test_a_fault_that_is_not_there_is_said_so(desk: Desk) -> None:
    for act in (
        lambda: bulk.held_by_fault(desk.storage, 9),
        lambda: bulk.release_fault(desk.storage, 9, confirmed=1, actor=ACTOR),
    ):
        with pytest.raises(NotFound, match="Fault 9 not found"):
            act()


def test_a_dead_callback_stays_dead_where_nothing_is_confirmed(desk: Desk) -> None:
    submission_id = graded(desk, is_delivered=False, body=NEW).submission_id
    bury(desk)
    with pytest.raises(Conflict):
        bulk.replay(desk.storage, ALL, EVERYTHING, confirmed=0, actor=ACTOR)
    assert desk.callbacks_of(submission_id)[0].state is CallbackState.DEAD
