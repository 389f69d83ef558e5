"""`xqueue-server db backup`."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from xqueue_server.cli.main import main
from xqueue_server.storage import Storage, accounts, open_storage


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XQUEUE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("XQUEUE_SECRET_KEY", "s" * 32)


@pytest.fixture
def sqlite(
    tmp_path: Path, migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Storage]:
    """The database that the settings name."""
    shutil.copyfile(migrated_sqlite, tmp_path / "xqueue.db")
    url = f"sqlite:///{tmp_path}/xqueue.db"
    monkeypatch.setenv("XQUEUE_DATABASE_URL", url)
    with closing(open_storage(url)) as storage:
        yield storage


def backup(target: Path, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["db", "backup", str(target)], catch_exceptions=False)
    assert result.exit_code == exit_code, result.output
    return result


def names_in(path: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [name for (name,) in connection.execute("SELECT name FROM accounts ORDER BY id")]


def add(storage: Storage, name: str) -> None:
    with storage.write() as tx:
        accounts.add(tx, name=name, password_hash="hash", grants=[], actor="test")


def test_all_that_is_committed_is_in_one_file_and_nothing_else(
    sqlite: Storage, tmp_path: Path
) -> None:
    add(sqlite, "there")
    target = tmp_path / "copies" / "backup.db"
    target.parent.mkdir()
    with sqlite.write() as tx:  # somebody is writing all the time
        accounts.add(tx, name="not-yet", password_hash="hash", grants=[], actor="test")
        assert "now copy the uploads in" in backup(target).stdout
    assert names_in(target) == ["there"]
    assert [path.name for path in target.parent.iterdir()] == ["backup.db"]


def test_a_backup_is_for_its_owner_alone(sqlite: Storage, tmp_path: Path) -> None:
    backup(tmp_path / "backup.db")
    assert (tmp_path / "backup.db").stat().st_mode & 0o777 == 0o600


def test_nothing_is_overwritten(sqlite: Storage, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    target.write_text("of yesterday")
    refused = backup(target, exit_code=1)
    assert (
        refused.stderr == f"Error: {target} exists, and nothing is overwritten; give another name\n"
    )
    assert target.read_text() == "of yesterday"


def test_a_folder_that_is_not_there_is_named(sqlite: Storage, tmp_path: Path) -> None:
    refused = backup(tmp_path / "none" / "backup.db", exit_code=1)
    assert "can not make" in refused.stderr
    assert "No such file or directory" in refused.stderr


def test_an_empty_database_is_no_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sqlite: Storage
) -> None:
    monkeypatch.setenv("XQUEUE_DATABASE_URL", f"sqlite:///{tmp_path}/wrong.db")
    assert "This database is empty" in backup(tmp_path / "backup.db", exit_code=1).stderr
    assert not (tmp_path / "backup.db").exists()


def test_postgresql_has_its_own_tools(
    migrated_postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XQUEUE_DATABASE_URL", migrated_postgres)
    assert "pg_dump --format=custom" in backup(tmp_path / "backup.db", exit_code=1).stderr
    assert not (tmp_path / "backup.db").exists()
