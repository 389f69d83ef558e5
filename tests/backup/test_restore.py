"""A backup that is taken under load gives back all that was acknowledged before it began."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from deploy.demo.lms import StandInLms
from deploy.demo.processes import ROOT
from tests.support import postgres
from tests.support.installation import Installation
from tests.support.services import missing_service
from tests.support.traffic import Acknowledged, Traffic, assert_each_graded_once
from tests.worker.fakes import eventually
from xqueue_server.files.local import LocalFiles
from xqueue_server.models.submission import SubmissionState
from xqueue_server.storage import open_storage, submissions

EACH = 10
_IDS = text("SELECT id FROM submissions WHERE callback_url = :url")
DELIVER_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A database before and after, and how an operator copies the one to the other."""

    url: str
    restored_url: str
    back_up: Callable[[Installation], object]
    restore: Callable[[], None]


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "sqlite":
        backup, restored = tmp_path / "backup.db", tmp_path / "restored" / "data" / "xqueue.db"

        def restore() -> None:
            restored.parent.mkdir(parents=True)
            shutil.copyfile(backup, restored)

        yield Place(
            url=f"sqlite:///{tmp_path}/xqueue.db",
            restored_url=f"sqlite:///{restored}",
            back_up=lambda server: server.command("db", "backup", str(backup)),
            restore=restore,
        )
        return
    request.getfixturevalue("postgres_url")  # removes the role in the end
    if not shutil.which("pg_dump"):
        missing_service("pg_dump")
    dump = tmp_path / "xqueue.dump"
    with postgres.database() as url, postgres.database() as restored_url:
        yield Place(
            url=url,
            restored_url=restored_url,
            back_up=lambda _: client("pg_dump", url, "--format=custom", f"--file={dump}"),
            restore=lambda: client(
                "pg_restore", restored_url, "--no-owner", "--exit-on-error", str(dump)
            ),
        )


def client(program: str, url: str, *arguments: str) -> None:
    """PostgreSQL's own programs; the password is not for everybody to see."""
    parts = make_url(url)
    where = (f"--host={parts.host}", f"--username={parts.username}", f"--dbname={parts.database}")
    password = {"PGPASSWORD": str(parts.password)}
    subprocess.run([program, *where, *arguments], check=True, env=os.environ | password)


@pytest.fixture
def lms() -> Iterator[StandInLms]:
    with StandInLms() as started:
        yield started


@pytest.fixture
def installations() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def install(stack: ExitStack, *arguments: object, lms: StandInLms) -> Installation:
    directory, url = arguments
    assert isinstance(directory, Path)
    made = Installation(directory, str(url), lms_origin=lms.origin, sources=ROOT)
    stack.callback(made.stop)
    return made


def test_nothing_that_was_acknowledged_before_the_backup_is_missing_after_a_restore(
    place: Place, lms: StandInLms, installations: ExitStack, tmp_path: Path
) -> None:
    first = install(installations, tmp_path / "first", place.url, lms=lms)
    first.set_up()
    first.start("serve")
    with Traffic(lms, submit_at=[first.url] * 2, grade_at=[first.url]) as traffic:
        traffic.flow(EACH)
        before = traffic.acknowledged()
        place.back_up(first)
        # The database first: what it names was stored before it.
        shutil.copytree(first.data_dir / "files", tmp_path / "files")
        traffic.flow(EACH)
        traffic.submit_no_more()
        first.start("deliver")  # some grades have reached the LMS and will come again
        eventually(lambda: len(lms.callbacks) >= EACH, DELIVER_S)
    first.stop()
    shutil.rmtree(first.data_dir)

    place.restore()
    second = install(installations, tmp_path / "restored", place.restored_url, lms=lms)
    second.data_dir.mkdir(exist_ok=True)
    shutil.copytree(tmp_path / "files", second.data_dir / "files")
    assert_is_there(lms, place.restored_url, second.data_dir, before)
    for name in ("serve", "deliver", "sweep"):
        second.start(name)
    with Traffic(lms, submit_at=[second.url], grade_at=[second.url], first_user=10_000) as later:
        later.flow(EACH)
        later.submit_no_more()
        learners = [*before.submitted, *later.acknowledged().submitted]
        assert_each_graded_once(lms, learners)
    assert '"fail"' not in second.command("doctor", "--json")


def assert_is_there(lms: StandInLms, url: str, data_dir: Path, before: Acknowledged) -> None:
    files = LocalFiles(data_dir / "files")
    assert len(before.submitted) >= EACH
    assert len(before.graded) >= EACH
    with closing(open_storage(url)) as storage, storage.read() as tx:
        for where in before.submitted:
            (found,) = tx.all(_IDS, url=lms.callback_url(where).encode())
            (upload,) = submissions.contents_of(tx, found.id).files
            with files.open(upload.blob) as source:
                assert source.read() == where.user_id.encode()
        for submission_id in before.graded:
            graded = submissions.find(tx, submission_id)
            assert graded is not None
            assert graded.state is SubmissionState.GRADED
