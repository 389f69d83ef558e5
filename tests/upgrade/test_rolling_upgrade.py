"""From the previous version to this one, program by program, while learners go on submitting."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from sqlalchemy import text

from deploy.demo.lms import StandInLms
from deploy.demo.processes import ProcessFailed
from tests.support import postgres
from tests.support.installation import Installation
from tests.support.traffic import FLOW_S, Traffic, assert_each_graded_once
from tests.worker.fakes import eventually
from xqueue_server.storage import Storage, migration, open_storage

PREVIOUS = Path(__file__).parent / "xqueue_server-0.1.0.zip"
EACH = 5
"""Submissions from each learner, and results from each grader, in each phase."""


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/xqueue.db"
        return
    request.getfixturevalue("postgres_url")  # removes the role in the end
    with postgres.database() as url:
        yield url


@pytest.fixture
def lms() -> Iterator[StandInLms]:
    with StandInLms() as started:
        yield started


@pytest.fixture
def previous_sources(tmp_path: Path) -> Path:
    with zipfile.ZipFile(PREVIOUS) as archive:
        archive.extractall(tmp_path / "previous")
    return tmp_path / "previous"


@pytest.fixture
def old(
    tmp_path: Path, empty_url: str, lms: StandInLms, previous_sources: Path
) -> Iterator[Installation]:
    """Set up by the previous version, nothing of it running."""
    made = Installation(
        tmp_path / "old", empty_url, lms_origin=lms.origin, sources=previous_sources
    )
    with ExitStack() as stack:
        stack.callback(made.stop)
        made.set_up()
        yield made


@pytest.fixture
def new(tmp_path: Path, empty_url: str, lms: StandInLms) -> Iterator[Installation]:
    made = Installation(tmp_path / "new", empty_url, lms_origin=lms.origin)
    made.settings["XQUEUE_DATA_DIR"] = str(tmp_path / "old" / "data")  # uploads are shared
    with ExitStack() as stack:
        stack.callback(made.stop)
        yield made


def revision(url: str) -> str | None:
    with closing(open_storage(url)) as storage:
        return migration.current(storage)


def test_nothing_is_lost_or_doubled_while_two_versions_work_on_one_database(
    old: Installation, new: Installation, lms: StandInLms, empty_url: str
) -> None:
    assert "retention" not in old.command("--help"), "this is the previous version"
    old.start("serve")
    old.start("deliver")
    assert revision(empty_url) == "0002"

    with Traffic(lms, submit_at=[old.url], grade_at=[old.url]) as of_old:
        of_old.flow(EACH)
        assert new.command("db", "upgrade", "--step", "before").startswith("Upgraded to")
        assert revision(empty_url) == migration.needed()
        of_old.flow(EACH)

    for name in ("serve", "deliver", "sweep"):
        new.start(name)
    both = [old.url, new.url]
    with Traffic(lms, submit_at=both, grade_at=both, first_user=10_000) as of_both:
        of_both.flow(EACH)
        eventually(old.is_ready)
        eventually(new.is_ready)
    old.assert_well()
    old.stop()
    assert new.command("db", "upgrade", "--step", "after").startswith("Upgraded to")
    assert revision(empty_url) == migration.head()

    with Traffic(lms, submit_at=[new.url], grade_at=[new.url], first_user=20_000) as of_new:
        of_new.flow(EACH)
        of_new.submit_no_more()
        phases = [phase.acknowledged().submitted for phase in (of_old, of_both, of_new)]
        assert_each_graded_once(lms, [where for phase in phases for where in phase])
    new.assert_well()
    with closing(open_storage(empty_url)) as storage:
        assert_nothing_lost_or_doubled(storage, submissions=sum(map(len, phases)))
    assert '"fail"' not in new.command("doctor", "--json")


def test_a_program_of_the_previous_version_does_not_start_on_a_database_that_it_can_not_use(
    old: Installation, new: Installation, empty_url: str
) -> None:
    new.command("db", "upgrade")
    for program in ("serve", "deliver"):
        with pytest.raises(ProcessFailed, match="Error: the database is not migrated"):
            old.command(program)
    assert "already" in old.command("db", "upgrade"), "it does not go back"
    assert revision(empty_url) == migration.head()


def test_a_program_of_this_version_names_a_database_that_is_too_new_for_it(
    new: Installation, empty_url: str
) -> None:
    new.command("db", "upgrade")
    with closing(open_storage(empty_url)) as storage, storage.write() as tx:
        tx.run(text("UPDATE alembic_version SET version_num = '9999'"))
        tx.run(text("UPDATE schema_compatibility SET works_from = '9999'"))
    said = "Error: the database is of a later version .revision 9999. that this one can not work"
    for program in ("serve", "deliver", "sweep"):
        with pytest.raises(ProcessFailed, match=said):
            new.command(program)


def assert_nothing_lost_or_doubled(storage: Storage, *, submissions: int) -> None:
    """Each has one accepted result and one callback, which was delivered."""
    counts = {
        "submissions": "SELECT count(*) FROM submissions WHERE state = 'graded'",
        "all": "SELECT count(*) FROM submissions",
        "results": "SELECT count(DISTINCT submission_id) FROM results",
        "accepted": "SELECT count(*) FROM results WHERE disposition = 'accepted'",
        "all results": "SELECT count(*) FROM results",
        "callbacks": "SELECT count(DISTINCT submission_id) FROM callbacks",
        "delivered": "SELECT count(*) FROM callbacks WHERE state = 'delivered'",
        "all callbacks": "SELECT count(*) FROM callbacks",
    }

    def counted(*names: str) -> dict[str, object]:
        with storage.read() as tx:
            return {name: tx.scalar(text(counts[name])) for name in names}

    # The LMS has a grade before it is noted here that it has; by the next who delivers a minute
    # later, where the one before was stopped in between.
    eventually(lambda: counted("delivered") == {"delivered": submissions}, FLOW_S)
    assert counted(*counts) == dict.fromkeys(counts, submissions)
