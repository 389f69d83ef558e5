"""How far back in the line a submission is, and moving it."""

from __future__ import annotations

import pytest

from tests.server.builders import QUEUE, Desk, add_queue, callback_url, change_queue
from tests.server.test_fairness import arrive
from xqueue_server.errors import Conflict, NotFound
from xqueue_server.models.submission import TRIAL_PRIORITY
from xqueue_server.submissions import line
from xqueue_server.submissions.holding import release
from xqueue_server.submissions.leasing import FailureKind


def position(desk: Desk, submission_id: int) -> int | None:
    with desk.storage.read() as tx:
        return line.position(tx, submission_id)


def test_positions_are_the_order_in_which_all_are_handed_out(desk: Desk) -> None:
    add_queue(desk.storage, "other")
    desk.submit(queue="other")
    ids = arrive(desk, "a", 5) + arrive(desk, "b", 3) + arrive(desk, "c", 2, priority=4)
    ids += arrive(desk, "", 1, priority=TRIAL_PRIORITY)
    places = {each: position(desk, each) for each in ids}
    assert sorted(places.values(), key=lambda p: p or 0) == list(range(1, 12))
    handed_out = [desk.lease().submission_id for _ in range(10)]
    assert handed_out == sorted(ids[:10], key=lambda each: places[each] or 0)
    assert places[ids[10]] == 11


def test_it_gets_nearer(desk: Desk) -> None:
    *_, last = arrive(desk, "a", 3)
    assert position(desk, last) == 3
    desk.lease()
    assert position(desk, last) == 2


def test_what_is_not_in_the_line_has_no_place(desk: Desk) -> None:
    change_queue(desk.storage, learner_cap=2)
    delayed, leased, blocked = [desk.submit(callback_url(f"{i:032d}")) for i in range(3)]
    desk.fail(desk.lease(), FailureKind.PLATFORM)
    desk.lease()
    assert [position(desk, each) for each in (delayed, leased, blocked, 99)] == [None] * 4


def test_it_is_not_counted_for_ever(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "COUNTED_UP_TO", 4)
    high = arrive(desk, "high", 2, priority=1)
    ids = arrive(desk, "a", 6)
    places = [position(desk, each) for each in high + ids]
    assert places == [1, 2, 3, 4, 5, 5, 5, 5]


@pytest.mark.parametrize("priority", [-999, 3, 999])
def test_a_priority_moves_it_before_or_behind_the_others(desk: Desk, priority: int) -> None:
    ids = arrive(desk, "a", 3)
    line.prioritise(desk.storage, ids[1], priority, actor="operator anna")
    assert position(desk, ids[1]) == (1 if priority > 0 else 3)
    assert desk.see(ids[1]).priority == priority
    last = desk.events_of(ids[1])[-1]
    assert (last.why, last.actor, last.detail) == (
        "prioritise",
        "operator anna",
        f"0 -> {priority}",
    )


def test_back_at_its_old_priority_it_stands_last_of_its_course(desk: Desk) -> None:
    ids = arrive(desk, "a", 3)
    line.prioritise(desk.storage, ids[0], 7, actor="test")
    line.prioritise(desk.storage, ids[0], 0, actor="test")
    assert [position(desk, each) for each in ids] == [3, 1, 2]


def test_a_held_one_can_be_moved_and_comes_back_there(desk: Desk) -> None:
    first, second = arrive(desk, "a", 2)
    desk.fail(desk.lease(), FailureKind.GRADER)
    line.prioritise(desk.storage, first, -7, actor="test")
    release(desk.storage, first, actor="test")
    assert [desk.lease().submission_id, desk.lease().submission_id] == [second, first]


def test_what_is_leased_ended_a_trial_or_not_there_can_not_be_moved(desk: Desk) -> None:
    first, _second = arrive(desk, "a", 2)
    (trial,) = arrive(desk, "", priority=TRIAL_PRIORITY)
    leased = desk.lease()
    for _ in range(2):
        with pytest.raises(Conflict, match="only one that is queued or held"):
            line.prioritise(desk.storage, first, 1, actor="test")
        desk.put(leased)
    for absent in (trial, 99):
        with pytest.raises(NotFound):
            line.prioritise(desk.storage, absent, 1, actor="test")
    assert desk.see(trial).priority == TRIAL_PRIORITY
    assert desk.see(trial).queue == QUEUE
