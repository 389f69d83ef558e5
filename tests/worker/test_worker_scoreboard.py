"""What a worker does is readable from another process, also after it was killed."""

from __future__ import annotations

import os
import signal

import pytest

from grader_worker.scoreboard import Scoreboard, Slot, WorkState


def test_a_worker_that_was_killed_leaves_what_it_was_doing():
    slot = Scoreboard().take()
    pid = os.fork()
    if not pid:
        with slot.grading("17", 2):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    doing = slot.read()
    assert (doing.state, doing.submission_id, doing.queue_at) == (WorkState.GRADING, 17, 2)


def test_after_a_grading_the_worker_is_idle_also_when_it_failed():
    slot = Slot.unshared()
    with pytest.raises(ZeroDivisionError), slot.grading("17"):
        1 / 0  # noqa: B018
    assert (slot.read().state, slot.read().submission_id) == (WorkState.IDLE, None)


def test_being_idle_again_and_again_is_being_idle_since_then():
    slot = Slot.unshared()
    slot.idle()
    since = slot.read().since
    slot.idle()
    assert slot.read().since == since


@pytest.mark.parametrize("number", ["abc-1", "", "9" * 30])
def test_an_id_that_is_no_number_of_ours_does_no_harm(number):
    slot = Slot.unshared()
    with slot.grading(number):
        assert slot.read().submission_id in (None, 2**63 - 1)


def test_slots_do_not_touch_each_other_and_are_used_again():
    board = Scoreboard(2)
    one, two = board.take(), board.take()
    assert board.take() is None
    with one.grading("1"):
        assert two.read().state is WorkState.STARTING
    board.give_back(one)
    assert board.take().read().state is WorkState.STARTING
