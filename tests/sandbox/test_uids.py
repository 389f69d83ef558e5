"""A box's uid is nobody else's."""

import os

import pytest

from sandbox import owner
from sandbox.errors import SandboxUnavailable
from sandbox.uids import HIGH_RANGE, pick_unused_uids, uid_range


def test_a_host_offers_the_high_range():
    assert uid_range("         0          0 4294967295\n") == HIGH_RANGE


def test_a_small_map_offers_its_last_uids():
    found = uid_range("0 100000 65536\n")
    assert found.stop == 65536
    assert len(found) == 4096


def test_the_uids_of_living_processes_are_never_picked():
    with pytest.raises(SandboxUnavailable):
        pick_unused_uids(1, choose=lambda candidates: os.getuid())


def test_two_boxes_never_share_a_uid():
    answers = iter([7, 7, 8])
    assert pick_unused_uids(2, choose=lambda candidates: next(answers)) == [7, 8]


def test_an_owner_is_told_from_another_process_with_its_pid():
    assert owner.is_alive(owner.this_process())
    assert not owner.is_alive(f"{os.getpid()}-1")
    assert not owner.is_alive("")
