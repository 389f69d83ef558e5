"""How a lease ends without a result: time, a reported failure, a person; and how it is kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.server.builders import (
    INVALID_GRADE,
    QUEUE,
    Desk,
    add_queue,
    callback_url,
    change_queue,
)
from xqueue_server.errors import Conflict, InvalidRequest, NotFound, WrongKey
from xqueue_server.instant import to_datetime
from xqueue_server.models.fault import MAX_DETAIL_CHARS
from xqueue_server.models.lms_interface import GIVE_UP_MESSAGE, give_up_body, why_refused
from xqueue_server.models.queue import Queue
from xqueue_server.storage import leases
from xqueue_server.submissions import holding
from xqueue_server.submissions.leasing import SHORTEST_LEASE_S, FailureKind, failure_kind, term_s
from xqueue_server.upkeep.sweeping import SweepReport, sweep

SWEEPERS = 6

# -- time ------------------------------------------------------------------------------------------


def test_a_lease_that_expires_returns_to_the_queue_with_the_next_attempt(desk: Desk) -> None:
    submission_id = desk.submit()
    first = desk.lease()
    report = desk.sweep_after(600)
    assert report == SweepReport(returned=1, queues_with_work=frozenset({QUEUE}))
    second = desk.lease()
    assert (second.submission_id, second.attempt) == (submission_id, 2)
    assert second.key != first.key


def test_a_lease_is_left_alone_until_its_last_moment(desk: Desk) -> None:
    submission_id = desk.submit()
    desk.lease()
    assert desk.sweep_after(599.999999) == SweepReport()
    assert desk.see(submission_id).state == "leased"
    assert desk.sweep_after(0.000001).returned == 1


def test_after_its_last_attempt_a_submission_is_held_and_nothing_goes_to_the_lms(
    desk: Desk,
) -> None:
    submission_id = desk.submit()
    assert desk.exhaust().attempt == 3
    held = desk.see(submission_id)
    assert (held.state, held.held_reason) == ("held", "attempts")
    assert held.held_detail == "3 leases expired without a result"
    assert held.held_at == to_datetime(desk.storage.now_us())
    assert desk.callbacks_of(submission_id) == []


def test_a_held_submission_blocks_nobody(desk: Desk) -> None:
    desk.submit()
    desk.exhaust()
    later = desk.submit()
    assert desk.lease().submission_id == later
    assert desk.try_lease() is None


def test_fewer_allowed_attempts_count_for_leases_already_given(desk: Desk) -> None:
    submission_id = desk.submit()
    desk.lease()
    change_queue(desk.storage, max_attempts=1)
    assert desk.sweep_after(601).held == 1
    assert desk.see(submission_id).state == "held"


def test_more_expired_leases_than_one_batch_are_all_returned(desk: Desk) -> None:
    for _ in range(230):
        desk.submit(body="not json")
        desk.lease()
    assert desk.sweep_after(601).returned == 230


# -- lengths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked_s", "granted_s"),
    [(None, 600), (30, 30), (599.5, 599.5), (6000, 600), (0, 5), (1e5, 600), (0.001, 5)],
)
def test_a_client_may_ask_for_a_shorter_lease_than_the_queues(
    desk: Desk, asked_s: float | None, granted_s: float
) -> None:
    desk.submit()
    leased = desk.lease(lease_s=asked_s)
    began = to_datetime(desk.storage.now_us())
    assert (leased.lease_until - began).total_seconds() == granted_s


def test_the_shortest_lease_never_outlasts_the_queues_own() -> None:
    assert term_s(Queue(name="q", lease_s=2), 0) == 2 < SHORTEST_LEASE_S


# -- renewal ---------------------------------------------------------------------------------------


def test_a_renewed_lease_runs_from_now(desk: Desk) -> None:
    submission_id = desk.submit()
    leased = desk.lease(lease_s=30)
    for _ in range(10):
        assert desk.sweep_after(20) == SweepReport()
        assert desk.renew(leased, 30) == 30
    assert desk.see(submission_id).attempt == 1
    assert desk.sweep_after(30).returned == 1


def test_a_renewal_that_names_no_length_gets_the_queues_own(desk: Desk) -> None:
    desk.submit()
    leased = desk.lease(lease_s=30)
    assert desk.renew(leased) == 600


def test_a_lease_past_its_time_can_be_renewed_until_it_is_swept(desk: Desk) -> None:
    desk.submit()
    leased = desk.lease()
    desk.clock.advance(700)
    assert desk.renew(leased) == 600
    assert sweep(desk.storage) == SweepReport()


@pytest.mark.parametrize("end", ["swept", "graded", "failed", "held"])
def test_a_lease_that_has_ended_can_not_be_renewed(desk: Desk, end: str) -> None:
    desk.submit()
    leased = desk.lease()
    if end == "swept":
        desk.sweep_after(601)
    elif end == "graded":
        desk.put(leased)
    elif end == "failed":
        desk.fail(leased, FailureKind.PLATFORM)
    else:
        desk.put(leased, INVALID_GRADE)
    with pytest.raises(WrongKey):
        desk.renew(leased)


def test_a_renewal_does_not_touch_the_lease_of_the_next_grader(desk: Desk) -> None:
    desk.submit()
    first = desk.lease()
    desk.sweep_after(601)
    second = desk.lease(lease_s=10)
    with pytest.raises(WrongKey):
        desk.renew(first)
    assert desk.see(second.submission_id).lease_until == second.lease_until


def test_a_sweeper_that_saw_the_lease_expired_leaves_it_once_it_is_renewed(desk: Desk) -> None:
    """The renewal comes between the sweeper's look and its lock."""
    submission_id = desk.submit()
    leased = desk.lease(lease_s=30)
    desk.clock.advance(31)
    with desk.storage.read() as tx:
        assert leases.has_expired(tx)
    desk.renew(leased)
    with desk.storage.write() as tx:
        assert leases.lock_expired(tx, 100) == []
    assert desk.see(submission_id).state == "leased"


def test_renewals_and_sweepers_racing_either_keep_or_end_a_lease_never_both(desk: Desk) -> None:
    """Whoever comes first wins, and the other one is told."""
    for _ in range(25):
        desk.submit(body="not json")
    given = [desk.lease(lease_s=30) for _ in range(25)]
    desk.clock.advance(31)

    def renew_all() -> list[bool]:
        return [_can_renew(desk, leased) for leased in given]

    with ThreadPoolExecutor(4) as pool:
        renewing = pool.submit(renew_all)
        sweeping = [pool.submit(sweep, desk.storage) for _ in range(3)]
        kept = renewing.result()
        returned = sum(f.result().returned for f in sweeping)
    states = [desk.see(leased.submission_id).state for leased in given]
    assert [state == "leased" for state in states] == kept
    assert states.count("queued") == returned == kept.count(False)


# -- several sweepers ------------------------------------------------------------------------------


def test_sweepers_in_several_copies_do_each_change_once(desk: Desk) -> None:
    change_queue(desk.storage, max_attempts=2, give_up_after_s=100)
    for _ in range(120):
        desk.submit(body="not json")
    for round_ in range(2):
        for _ in range(120):
            desk.lease()
        desk.clock.advance(601)
        reports = _sweep_at_once(desk)
        changed = [(r.returned, r.held) for r in reports]
        expected = (120, 0) if round_ == 0 else (0, 120)
        assert tuple(map(sum, zip(*changed, strict=True))) == expected
    desk.clock.advance(101)
    assert sum(r.given_up for r in _sweep_at_once(desk)) == 120
    assert desk.count("callbacks") == 120
    assert desk.count("events WHERE actor = 'sweeper'") == 3 * 120


def test_backoffs_that_end_are_put_back_once(desk: Desk) -> None:
    for _ in range(20):
        desk.submit(body="not json")
    for _ in range(20):
        desk.fail(desk.lease(), FailureKind.PLATFORM)
    desk.clock.advance(1)
    _sweep_at_once(desk)
    got = [desk.lease().submission_id for _ in range(20)]
    assert got == sorted(set(got))
    assert desk.try_lease() is None


# -- giving up -------------------------------------------------------------------------------------


def test_a_hold_ends_after_the_queues_own_time_and_no_earlier(desk: Desk) -> None:
    change_queue(desk.storage, give_up_after_s=3600)
    submission_id = desk.submit()
    desk.exhaust()
    assert desk.sweep_after(3599) == SweepReport()
    assert desk.callbacks_of(submission_id) == []
    assert desk.sweep_after(1).given_up == 1
    given_up = desk.see(submission_id)
    assert (given_up.state, given_up.held_reason) == ("given_up", None)
    assert desk.outgoing(submission_id) == [("pending", give_up_body())]


def test_a_queue_may_hold_for_ever(desk: Desk) -> None:
    change_queue(desk.storage, give_up_after_s=0)
    submission_id = desk.submit()
    desk.exhaust()
    assert desk.sweep_after(10 * 365 * 86400) == SweepReport()
    assert desk.see(submission_id).state == "held"


def test_each_queue_gives_up_on_its_own_terms(desk: Desk) -> None:
    add_queue(desk.storage, "patient", give_up_after_s=7200)
    add_queue(desk.storage, "hasty", give_up_after_s=60)
    add_queue(desk.storage, "stubborn", give_up_after_s=0)
    held = {name: desk.submit(queue=name) for name in ("patient", "hasty", "stubborn")}
    for name in held:
        desk.fail(desk.lease(name), FailureKind.GRADER)
    assert desk.sweep_after(61).given_up == 1
    assert desk.see(held["hasty"]).state == "given_up"
    assert desk.sweep_after(7200).given_up == 1
    assert desk.see(held["stubborn"]).state == "held"


def test_another_invalid_result_does_not_make_the_learner_wait_longer(desk: Desk) -> None:
    change_queue(desk.storage, give_up_after_s=3600)
    desk.submit()
    leased = desk.lease()
    desk.put(leased, INVALID_GRADE)
    desk.clock.advance(3000)
    desk.put(leased, "[]")
    assert desk.sweep_after(601).given_up == 1


def test_the_message_of_a_give_up_is_one_that_the_lms_takes() -> None:
    assert why_refused(callback_url(), give_up_body()) is None
    assert GIVE_UP_MESSAGE.startswith("<div")


def test_a_give_up_is_sent_with_the_lmss_own_header(desk: Desk) -> None:
    submission_id = desk.submit(key={"any": ["thing", 1]})
    desk.fail(desk.lease(), FailureKind.GRADER)
    holding.give_up(desk.storage, submission_id, actor="operator ann")
    due = desk.claim_callback()
    assert '"lms_key": {"any": ["thing", 1]}' in due.header
    assert due.url == callback_url()


# -- people ----------------------------------------------------------------------------------------


def test_a_released_submission_is_queued_with_all_its_attempts(desk: Desk) -> None:
    submission_id = desk.submit()
    desk.exhaust()
    holding.release(desk.storage, submission_id, actor="operator ann")
    row = desk.see(submission_id)
    assert (row.state, row.attempt, row.held_at, row.held_reason) == ("queued", 1, None, None)
    assert desk.exhaust().submission_id == submission_id


def test_a_released_submission_takes_its_old_place_in_the_line(desk: Desk) -> None:
    first = desk.submit()
    desk.fail(desk.lease(), FailureKind.GRADER)
    second = desk.submit()
    holding.release(desk.storage, first, actor="operator ann")
    assert [desk.lease().submission_id, desk.lease().submission_id] == [first, second]


def test_a_submission_held_while_it_backed_off_is_ready_at_once_when_released(desk: Desk) -> None:
    submission_id = desk.submit()
    leased = desk.lease()
    desk.fail(leased, FailureKind.PLATFORM)
    desk.put(leased, INVALID_GRADE)
    assert desk.see(submission_id).state == "held"
    holding.release(desk.storage, submission_id, actor="operator ann")
    assert desk.lease().submission_id == submission_id


@pytest.mark.parametrize("act", [holding.release, holding.give_up])
def test_only_a_held_submission_can_be_released_or_given_up(
    desk: Desk, act: Callable[..., None]
) -> None:
    submission_id = desk.submit()
    for prepare in (lambda: None, desk.lease, lambda: desk.put(desk.lease())):
        if prepare() is None or desk.see(submission_id).state != "held":
            with pytest.raises(Conflict):
                act(desk.storage, submission_id, actor="operator ann")
        desk.sweep_after(601)
    with pytest.raises(NotFound):
        act(desk.storage, 10**9, actor="operator ann")


def test_a_release_and_a_give_up_at_once_do_only_one_of_them(desk: Desk) -> None:
    submission_id = desk.submit()
    desk.fail(desk.lease(), FailureKind.GRADER)
    start = threading.Barrier(2)

    def do(act: Callable[..., None]) -> bool:
        start.wait()
        try:
            act(desk.storage, submission_id, actor="operator ann")
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(do, [holding.release, holding.give_up]))
    assert sorted(done) == [False, True]
    assert len(desk.callbacks_of(submission_id)) == (desk.see(submission_id).state == "given_up")


# -- failures that graders report ------------------------------------------------------------------


def test_a_broken_grader_holds_the_submission_at_once_with_its_words(desk: Desk) -> None:
    submission_id = desk.submit()
    desk.fail(desk.lease(), FailureKind.GRADER, "ImportError: no module 'ünïcode' \U0001f511")
    held = desk.see(submission_id)
    assert (held.state, held.held_reason) == ("held", "grader")
    assert held.held_detail == "ImportError: no module 'ünïcode' \U0001f511"


def test_an_endless_detail_is_cut(desk: Desk) -> None:
    submission_id = desk.submit()
    desk.fail(desk.lease(), FailureKind.GRADER, "x" * 100_000)
    assert len(desk.see(submission_id).held_detail or "") == MAX_DETAIL_CHARS


@pytest.mark.parametrize("kind", FailureKind)
def test_only_the_current_key_can_report_a_failure(desk: Desk, kind: FailureKind) -> None:
    desk.submit()
    first = desk.lease()
    desk.sweep_after(601)
    second = desk.lease()
    with pytest.raises(WrongKey):
        desk.fail(first, kind)
    desk.put(second)
    with pytest.raises(WrongKey):
        desk.fail(second, kind)


@pytest.mark.parametrize("text", ["", "Platform", "sandbox", "platform ", "\x00"])
def test_another_kind_of_failure_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        failure_kind(text)


def _can_renew(desk: Desk, leased: object) -> bool:
    try:
        desk.renew(leased, 30)  # type: ignore[arg-type]
    except WrongKey:
        return False
    return True


def _sweep_at_once(desk: Desk) -> list[SweepReport]:
    start = threading.Barrier(SWEEPERS)

    def run(_: int) -> SweepReport:
        start.wait()
        return sweep(desk.storage)

    with ThreadPoolExecutor(SWEEPERS) as pool:
        return list(pool.map(run, range(SWEEPERS)))
