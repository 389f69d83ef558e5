"""What is old goes, the code first and the rest later; nothing that somebody waits for."""

from __future__ import annotations

import io
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert, select, text

from tests.server.builders import (
    COURSE,
    INVALID_GRADE,
    Desk,
    add_queue,
    callback_url,
    change_queue,
    grade,
)
from xqueue_server.errors import FilesUnavailable, NotFound
from xqueue_server.files.local import LocalFiles
from xqueue_server.models.submission import FileReference
from xqueue_server.storage import marks, submissions
from xqueue_server.storage import retention as stored
from xqueue_server.storage.operations_schema import regrades
from xqueue_server.storage.schema import callbacks, contents
from xqueue_server.submissions.holding import give_up_held
from xqueue_server.submissions.leasing import FailureKind
from xqueue_server.upkeep.leftovers import remove_leftovers
from xqueue_server.upkeep.retention import Keep, Removed, apply, continue_round, preview
from xqueue_server.workload import history

DAY_S = 24 * 3600
KEEP = Keep(code_s=180 * DAY_S, results_s=730 * DAY_S, load_s=400 * DAY_S)
OF_A_SUBMISSION = (
    "submissions",
    "contents",
    "results",
    "callbacks",
    "callback_attempts",
    "leases",
    "timings",
    "stored_files",
)


def save(files: LocalFiles) -> FileReference:
    blob, size = files.save(io.BytesIO(b"code"), limit_bytes=100)
    return FileReference(name="a.py", blob=blob, size_bytes=size)


def is_there(files: LocalFiles, file: FileReference) -> bool:
    try:
        files.open(file.blob).close()
    except NotFound:
        return False
    return True


def finished(desk: Desk, *files: FileReference, block: int = 0) -> int:
    """Graded, and the LMS has the grade."""
    submission_id = desk.submit(callback_url(f"{block:032}"), files=files)
    desk.put(desk.lease())
    due = desk.claim_callback()
    assert due.submission_id == submission_id
    assert desk.deliver(due)
    return submission_id


def content(desk: Desk, submission_id: int) -> tuple[str, str, str | None]:
    statement = select(contents).where(contents.c.submission_id == submission_id)
    with desk.storage.read() as tx:
        row = tx.one(statement)
    assert row is not None
    return row.header, row.body, row.files


def advance_days(desk: Desk, days: float) -> None:
    desk.clock.advance(days * DAY_S)


def test_code_files_and_header_go_half_a_year_after_the_end(desk: Desk, files: LocalFiles) -> None:
    file = save(files)
    submission_id = finished(desk, file)
    before = content(desk, submission_id)
    with desk.storage.read() as tx:
        assert submissions.has_contents(tx, submission_id)
    advance_days(desk, 179.9)
    assert apply(desk.storage, files, KEEP) == Removed()
    assert content(desk, submission_id) == before
    assert is_there(files, file)

    advance_days(desk, 0.1)
    assert apply(desk.storage, files, KEEP) == Removed(code=1, files=1)

    assert content(desk, submission_id) == ("", "", None)
    assert not is_there(files, file)
    with desk.storage.read() as tx:
        assert not submissions.has_contents(tx, submission_id), "it can not be graded anew"
    assert apply(desk.storage, files, KEEP) == Removed(), "once"


def test_what_is_left_then_is_course_problem_learner_and_results(
    desk: Desk, files: LocalFiles
) -> None:
    submission_id = finished(desk)
    advance_days(desk, 200)
    apply(desk.storage, files, KEEP)
    with desk.storage.read() as tx:
        row = tx.one(select(contents).where(contents.c.submission_id == submission_id))
    assert row is not None
    assert (row.course, row.learner) == (COURSE, "42")
    assert row.problem.startswith("block-v1:")
    assert [r.body for r in desk.results_of(submission_id)] == [grade()]
    assert desk.events_of(submission_id)


def test_two_years_after_the_end_nothing_is_left(desk: Desk, files: LocalFiles) -> None:
    file = save(files)
    submission_id = finished(desk, file)
    advance_days(desk, 730)
    assert apply(desk.storage, files, KEEP) == Removed(submissions=1, files=1)
    assert not is_there(files, file)
    assert {table: desk.count(table) for table in OF_A_SUBMISSION} == dict.fromkeys(
        OF_A_SUBMISSION, 0
    )
    assert desk.count(f"events WHERE submission_id = {submission_id}") == 0
    assert desk.count("events WHERE submission_id IS NULL") > 0, "who did what stays"


def test_the_end_counts_and_not_the_arrival(desk: Desk, files: LocalFiles) -> None:
    desk.submit()
    advance_days(desk, 300)
    desk.put(desk.lease())
    desk.deliver(desk.claim_callback())
    assert apply(desk.storage, files, KEEP) == Removed()


def _waits_for_a_grader(desk: Desk) -> None:
    desk.submit()


def _is_being_graded(desk: Desk) -> None:
    desk.submit()
    desk.lease()


def _is_held(desk: Desk) -> None:
    desk.submit()
    desk.put(desk.lease(), INVALID_GRADE)


def _waits_for_delivery(desk: Desk) -> None:
    desk.submit()
    desk.put(desk.lease())


def _waits_for_the_delivery_of_an_amended_result(desk: Desk) -> None:
    desk.submit()
    leased = desk.lease()
    desk.put(leased)
    desk.deliver(desk.claim_callback())
    desk.put(leased, '{"correct": true, "score": 0.5, "msg": "<p>x</p>"}')


def _is_being_regraded(desk: Desk) -> None:
    submission_id = finished(desk)
    with desk.storage.write() as tx:
        tx.run(
            insert(regrades),
            batch_id=1,
            submission_id=submission_id,
            state="waiting",
            started_at=datetime(2026, 1, 1, tzinfo=UTC),
        )


@pytest.mark.parametrize(
    "begin",
    [
        _waits_for_a_grader,
        _is_being_graded,
        _is_held,
        _waits_for_delivery,
        _waits_for_the_delivery_of_an_amended_result,
        _is_being_regraded,
    ],
)
def test_what_somebody_waits_for_stays_for_ever(desk: Desk, files: LocalFiles, begin: Any) -> None:
    begin(desk)
    advance_days(desk, 10_000)
    assert preview(desk.storage, KEEP) == Removed()
    assert apply(desk.storage, files, KEEP) == Removed()
    assert desk.count("submissions") == 1


def test_a_dead_callback_can_be_replayed_until_everything_goes(
    desk: Desk, files: LocalFiles
) -> None:
    finished(desk)
    with desk.storage.write() as tx:
        tx.run(callbacks.update().values(state="dead"))
    before = desk.outgoing(1)
    advance_days(desk, 700)
    assert apply(desk.storage, files, KEEP) == Removed(code=1)
    assert desk.outgoing(1) == before


@pytest.mark.parametrize(
    ("keep", "removed"),
    [
        (Keep(code_s=0, results_s=0, load_s=0), Removed()),
        (Keep(code_s=DAY_S, results_s=0, load_s=0), Removed(code=1)),
        (Keep(code_s=0, results_s=DAY_S, load_s=0), Removed(submissions=1)),
        (Keep(code_s=5000 * DAY_S, results_s=DAY_S, load_s=0), Removed(submissions=1)),
    ],
)
def test_zero_is_for_ever(desk: Desk, files: LocalFiles, keep: Keep, removed: Removed) -> None:
    finished(desk)
    advance_days(desk, 2000)
    assert preview(desk.storage, keep) == removed
    assert apply(desk.storage, files, keep) == removed


def test_a_preview_changes_nothing_and_tells_what_will_go(desk: Desk, files: LocalFiles) -> None:
    kept = save(files)
    finished(desk, kept)
    advance_days(desk, 600)
    finished(desk, save(files), block=1)
    history.roll(desk.storage)
    advance_days(desk, 190)
    expected = Removed(code=1, submissions=1, files=2)
    assert preview(desk.storage, KEEP) == expected
    assert is_there(files, kept)
    assert desk.count("submissions") == 2
    assert apply(desk.storage, files, KEEP) == expected


def test_a_report_that_may_quote_code_goes_when_code_goes(desk: Desk, files: LocalFiles) -> None:
    change_queue(desk.storage, give_up_after_s=0)
    held = desk.submit()
    desk.fail(desk.lease(), FailureKind.GRADER, "it quotes the code")
    tables = ("faults", "fault_submissions")
    advance_days(desk, 200)
    assert apply(desk.storage, files, KEEP) == Removed()
    assert [desk.count(table) for table in tables] == [1, 1], "people still have to look at it"
    with desk.storage.write() as tx:
        give_up_held(tx, submissions.get_locked(tx, held), actor="operator")
    assert preview(desk.storage, KEEP) == Removed(faults=1)
    assert apply(desk.storage, files, KEEP) == Removed(faults=1)
    assert [desk.count(table) for table in tables] == [0, 0]


def test_the_history_of_load_goes_last(desk: Desk, files: LocalFiles) -> None:
    add_queue(desk.storage, "java")
    desk.submit()
    desk.submit(queue="java")
    desk.clock.advance(65)
    history.roll(desk.storage)
    desk.clock.advance(60)
    history.roll(desk.storage)
    assert desk.count("load_minutes") == 4
    advance_days(desk, 399.99)
    assert apply(desk.storage, files, KEEP) == Removed()
    advance_days(desk, 0.02)
    assert preview(desk.storage, KEEP) == Removed(load_minutes=4)
    assert apply(desk.storage, files, KEEP) == Removed(load_minutes=4)


def test_leases_of_submissions_that_stay_stay(
    desk: Desk, files: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "_LEASES", stored._LEASES.offset(1))
    for block in range(5):
        finished(desk, block=block)
    advance_days(desk, 730)
    staying = [finished(desk, block=block) for block in range(5, 8)]
    assert apply(desk.storage, files, KEEP).submissions == 5
    assert desk.count("leases") == 3
    with desk.storage.read() as tx:
        kept = {row.submission_id for row in tx.all(text("SELECT submission_id FROM leases"))}
    assert kept == set(staying)


# -- rounds --------------------------------------------------------------------------------------


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "BATCH", 2)
    monkeypatch.setattr(stored, "_WINDOW", stored._WINDOW.limit(2))
    monkeypatch.setattr("xqueue_server.upkeep.retention.BATCHES_AT_ONCE", 2)


@pytest.mark.usefixtures("small_batches")
def test_a_round_goes_on_in_slices_where_the_last_one_ended(desk: Desk, files: LocalFiles) -> None:
    for block in range(9):
        finished(desk, block=block)
    advance_days(desk, 365)
    slices = [continue_round(desk.storage, files, KEEP).code for _ in range(4)]
    assert slices == [4, 4, 1, 0]


@pytest.mark.usefixtures("small_batches")
def test_an_interrupted_round_goes_on_at_the_next_start(desk: Desk, files: LocalFiles) -> None:
    for block in range(5):
        finished(desk, block=block)
    advance_days(desk, 365)
    assert continue_round(desk.storage, files, KEEP, is_ending=lambda: True).code == 2
    assert continue_round(desk.storage, files, KEEP).code == 3


@pytest.mark.usefixtures("small_batches")
def test_a_store_that_is_away_is_not_waited_for_with_each_file(
    desk: Desk, files: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    for block in range(3):
        finished(desk, save(files), block=block)
    advance_days(desk, 365)
    asked: list[str] = []

    def away(blob: str) -> None:
        asked.append(blob)
        raise FilesUnavailable("the S3 service can not be used")

    with monkeypatch.context() as patched:
        patched.setattr(files, "remove", away)
        with pytest.raises(FilesUnavailable):
            continue_round(desk.storage, files, KEEP)
    assert len(asked) == 1
    later = LocalFiles(files._directory, now_s=lambda: time.time() + 2 * DAY_S)
    assert continue_round(desk.storage, files, KEEP) == Removed(code=1, files=1)
    assert remove_leftovers(desk.storage, later) == 2, "those of the first batch"


def test_a_round_begins_once_a_day(desk: Desk, files: LocalFiles) -> None:
    assert continue_round(desk.storage, files, KEEP) == Removed()
    finished(desk)
    advance_days(desk, 180.5)
    assert continue_round(desk.storage, files, KEEP) == Removed(code=1)
    finished(desk, block=1)
    with desk.storage.read() as tx:
        began = marks.position(tx, "retention round")
    advance_days(desk, 0.9)
    assert continue_round(desk.storage, files, KEEP) == Removed()
    with desk.storage.read() as tx:
        assert marks.position(tx, "retention round") == began
    advance_days(desk, 0.1)
    continue_round(desk.storage, files, KEEP)
    with desk.storage.read() as tx:
        assert marks.position(tx, "retention round") == desk.storage.now_us()


def test_what_was_not_over_in_one_round_goes_in_a_later_one(desk: Desk, files: LocalFiles) -> None:
    """It is behind what has gone: a round begins with the oldest again."""
    desk.submit()
    held = desk.lease()
    finished(desk, block=1)
    advance_days(desk, 200)
    assert continue_round(desk.storage, files, KEEP).code == 1
    desk.put(held)
    desk.deliver(desk.claim_callback())
    advance_days(desk, 200)
    assert continue_round(desk.storage, files, KEEP).code == 1


def test_what_another_has_locked_is_left_for_the_next_round(desk: Desk, files: LocalFiles) -> None:
    if desk.storage.engine.dialect.name != "postgresql":
        return  # there a writer waits for the whole database
    locked, free = finished(desk), finished(desk, block=1)
    advance_days(desk, 200)
    with desk.storage.write() as tx:
        submissions.get_locked(tx, locked)
        assert apply(desk.storage, files, KEEP).code == 1
    assert (content(desk, free)[1], content(desk, locked)[1] == "") == ("", False)
    assert apply(desk.storage, files, KEEP).code == 1
