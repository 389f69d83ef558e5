"""The whole story of a submission, in order and in words."""

from __future__ import annotations

import json

import pytest

from tests.repair.regraded import NEW, OLD, begin, graded
from tests.server.builders import INVALID_GRADE, LEARNER_CODE, Desk, grade
from xqueue_server.cli.output import show_json
from xqueue_server.errors import NotFound
from xqueue_server.storage import attempts, lease_graders, outbox
from xqueue_server.storage.attempts import Ending
from xqueue_server.submissions import holding, timeline
from xqueue_server.submissions.leasing import FailureKind
from xqueue_server.submissions.timeline import Story


def story(desk: Desk, submission_id: int) -> Story:
    with desk.storage.read() as tx:
        return timeline.story(tx, submission_id)


def told(desk: Desk, submission_id: int) -> list[str]:
    return [step.what for step in story(desk, submission_id).steps]


def _note_version(desk: Desk, submission_id: int, version: int) -> None:
    key = desk.see(submission_id).lease_key
    assert key
    with desk.storage.write() as tx:
        lease_graders.record(
            tx,
            key_hash=key,
            submission_id=submission_id,
            attempt=1,
            grader="g",
            version=version,
            isolation=None,
        )


def test_everything_in_order(desk: Desk) -> None:
    submission_id = desk.submit()
    desk.clock.advance(1)
    leased = desk.lease()
    desk.fail(leased, FailureKind.PLATFORM, "no docker")
    desk.clock.advance(2)
    desk.lease()
    desk.sweep_after(601)
    desk.lease()
    _note_version(desk, submission_id, 3)
    desk.clock.advance(1)
    assert told(desk, submission_id) == [
        "Arrived from the LMS",
        "Handed to a grader",
        "The worker's platform failed; tried again later",
        "Handed to a grader",
        "The grader was lost; back to the queue",
        "Handed to a grader with 'g', version 3",
    ]
    found = story(desk, submission_id).steps
    assert (found[2].by, found[2].detail) == ("account grader", "no docker")
    assert found[4].by == "sweeper"
    assert [s.at for s in found] == sorted(s.at for s in found)


def test_a_hold_its_release_and_the_way_to_the_lms(desk: Desk) -> None:
    submission_id = desk.submit()
    leased = desk.lease()
    desk.clock.advance(1)
    desk.put(leased, INVALID_GRADE)
    desk.clock.advance(1)
    holding.release(desk.storage, submission_id, actor="operator ann")
    desk.clock.advance(1)
    leased = desk.lease()
    desk.clock.advance(1)
    desk.put(leased, OLD)
    desk.clock.advance(1)
    due = desk.claim_callback()
    with desk.storage.write() as tx:
        ending = Ending(status=503, error="HTTP 503", response="", duration_us=35_000)
        attempts.record(tx, due.id, ending)
        outbox.finish_dead(tx, due, ending, why="expired")
    assert told(desk, submission_id) == [
        "Arrived from the LMS",
        "Handed to a grader",
        "A result was refused: score 1, correct",
        "The LMS would refuse the result",
        "Released, back to the queue",
        "Handed to a grader",
        "A result was accepted: score 0.5, correct",
        "Graded",
        f"Try 1 to send callback {due.id}: answer 503 after 35 ms",
        f"The LMS did not take the message; it is not sent any more (callback {due.id})",
    ]
    assert story(desk, submission_id).reason.code == "dead_letter"


def test_a_regrade_is_told_with_both_scores(desk: Desk) -> None:
    old = graded(desk)
    batch_id = begin(desk, old.submission_id)
    desk.clock.advance(1)
    desk.put(desk.lease(), NEW)
    found = story(desk, old.submission_id)
    assert found.steps[-1].what == (
        f"Regrade {batch_id} changed the grade: 0.5 > 1; the LMS had the old one and keeps it"
    )
    begin(desk, old.submission_id)
    desk.clock.advance(1)
    desk.fail(desk.lease(), FailureKind.GRADER, "ImportError")
    last = story(desk, old.submission_id).steps[-1]
    assert last.what.endswith("failed; the old grade stands")
    assert last.detail == "grader_failure: ImportError"


def test_phases_are_measured(desk: Desk) -> None:
    submission_id = desk.submit()
    desk.clock.advance(3)
    leased = desk.lease()
    desk.clock.advance(2)
    desk.put(leased, grade())
    (timing,) = story(desk, submission_id).timings
    assert (timing.attempt, timing.wait_us, timing.service_us) == (1, 3_000_000, 2_000_000)
    assert (timing.prepare_us, timing.deliver_us) == (None, None)


def test_its_json_has_neither_keys_nor_the_learners_code(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    old = graded(desk)
    begin(desk, old.submission_id)
    desk.put(desk.lease(), NEW)
    show_json(story(desk, old.submission_id).as_object())
    text = capsys.readouterr().out
    shown = json.loads(text)
    assert set(shown) == {"reason", "steps", "regrades", "timings"}
    assert shown["reason"]["code"] == "graded_and_delivered"
    assert shown["regrades"][0]["state"] == "changed"
    assert LEARNER_CODE not in text
    assert old.key not in text


def test_what_is_not_there(desk: Desk) -> None:
    with pytest.raises(NotFound, match="Submission 9 not found"):
        story(desk, 9)
