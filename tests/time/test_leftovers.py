"""Uploads that belong to nobody go after a day; those of a submission never do."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from sqlalchemy import text, update

from tests.server.builders import COURSE, Desk, callback_url
from xqueue_server.errors import NotFound
from xqueue_server.files.local import LocalFiles
from xqueue_server.models.submission import FileReference
from xqueue_server.storage import Storage
from xqueue_server.storage.schema import contents
from xqueue_server.upkeep.leftovers import remove_leftovers

DAY_S = 24 * 3600


@pytest.fixture
def tomorrow(tmp_path: Path) -> LocalFiles:
    """The same files, a day and an hour later."""
    return LocalFiles(tmp_path / "files", now_s=lambda: time.time() + DAY_S + 3600)


def save(files: LocalFiles, content: bytes = b"code") -> str:
    return files.save(io.BytesIO(content), limit_bytes=100)[0]


def reference(blob: str) -> FileReference:
    return FileReference(name="a.py", blob=blob, size_bytes=4)


def is_there(files: LocalFiles, blob: str) -> bool:
    try:
        files.open(blob).close()
    except NotFound:
        return False
    return True


def test_a_file_of_nobody_is_removed_after_a_day(
    desk: Desk, files: LocalFiles, tomorrow: LocalFiles
) -> None:
    blob = save(files)
    assert remove_leftovers(desk.storage, files) == 0
    assert is_there(files, blob)
    assert remove_leftovers(desk.storage, tomorrow) == 1
    assert not is_there(files, blob)


def test_a_file_of_a_submission_stays(desk: Desk, files: LocalFiles, tomorrow: LocalFiles) -> None:
    named = [save(files) for _ in range(3)]
    desk.submit(files=(reference(named[0]), reference(named[1])))
    desk.submit(files=(reference(named[2]),))
    orphan = save(files)
    desk.clock.advance(DAY_S)
    assert remove_leftovers(desk.storage, tomorrow) == 1
    assert [is_there(files, blob) for blob in (*named, orphan)] == [True] * 3 + [False]


def test_more_files_and_submissions_than_are_looked_at_at_once(
    desk: Desk, files: LocalFiles, tomorrow: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xqueue_server.upkeep.leftovers.SUBMISSIONS_AT_ONCE", 2)
    monkeypatch.setattr("xqueue_server.upkeep.leftovers.BLOBS_AT_ONCE", 3)
    named = [save(files) for _ in range(5)]
    for blob in named:
        desk.submit(files=(reference(blob),))
    for _ in range(5):
        save(files)
    desk.clock.advance(DAY_S)
    assert remove_leftovers(desk.storage, tomorrow) == 5
    assert all(is_there(files, blob) for blob in named)


def test_a_clock_that_was_set_back_makes_no_file_one_of_nobody(
    desk: Desk, files: LocalFiles, tomorrow: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xqueue_server.upkeep.leftovers.SUBMISSIONS_AT_ONCE", 2)
    ahead, behind = [save(files) for _ in range(3)], [save(files) for _ in range(3)]
    for blob in ahead:
        desk.submit(files=(reference(blob),))
    desk.clock.advance(-2 * DAY_S)
    for blob in behind:
        desk.submit(files=(reference(blob),))
    for _ in range(2):
        desk.clock.advance(DAY_S / 2)
        assert remove_leftovers(desk.storage, tomorrow) == 0
    assert all(is_there(files, blob) for blob in (*ahead, *behind))


def test_an_ending_sweeper_removes_nothing_that_it_has_not_looked_up(
    desk: Desk, files: LocalFiles, tomorrow: LocalFiles
) -> None:
    blob = save(files)
    desk.submit(files=(reference(blob),))
    desk.clock.advance(DAY_S)
    assert remove_leftovers(desk.storage, tomorrow, is_ending=lambda: True) == 0
    assert is_there(files, blob)


def test_what_else_lies_in_the_directory_is_left_alone(
    desk: Desk, files: LocalFiles, tomorrow: LocalFiles, tmp_path: Path
) -> None:
    blob = save(files)
    other = tmp_path / "files" / blob[:2] / "README"
    other.write_text("not ours")
    assert list(tomorrow.older_than(DAY_S)) == [blob]
    remove_leftovers(desk.storage, tomorrow)
    assert other.read_text() == "not ours"


def test_a_store_without_files_yet_has_nothing_old(files: LocalFiles) -> None:
    assert list(files.older_than(0)) == []


def test_whose_submissions_of_the_previous_release_are_is_noted(
    desk: Desk, files: LocalFiles
) -> None:
    submission_id = desk.submit(callback_url(user=4711))
    with desk.storage.write() as tx:
        tx.run(update(contents).values(course="", learner="", problem=""))
    desk.clock.advance(61)
    remove_leftovers(desk.storage, files)
    assert _place(desk.storage, submission_id)[:2] == (COURSE, "4711")
    assert _place(desk.storage, submission_id)[2].startswith("block-v1:")


def _place(storage: Storage, submission_id: int) -> tuple[str, str, str]:
    statement = text("SELECT course, learner, problem FROM contents WHERE submission_id = :of")
    with storage.read() as tx:
        row = tx.one(statement, of=submission_id)
    assert row is not None
    return row.course, row.learner, row.problem


DYING = """
    import io, os, signal, sys
    from pathlib import Path
    from xqueue_server.files.local import LocalFiles

    files = LocalFiles(Path(sys.argv[1]))
    print(files.save(io.BytesIO(b"code"), limit_bytes=100)[0], flush=True)
    os.kill(os.getpid(), signal.SIGKILL)  # before the submission is stored
"""


def test_what_a_process_has_saved_before_it_was_killed_goes(
    desk: Desk, files: LocalFiles, tomorrow: LocalFiles, tmp_path: Path
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(DYING), str(tmp_path / "files")],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env=os.environ,
    )
    assert killed.returncode == -9, killed.stderr
    blob = killed.stdout.strip()
    assert is_there(files, blob)
    assert remove_leftovers(desk.storage, tomorrow) == 1
    assert not is_there(files, blob)
