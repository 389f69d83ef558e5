"""`xqueue-server doctor`."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.proctoring.conftest import EXAM, LMS, SECRET_KEY
from xqueue_server.cli.environment import database
from xqueue_server.cli.main import main
from xqueue_server.settings import MB, SETTINGS
from xqueue_server.storage import beats, engine
from xqueue_server.storage.proctoring import ProctoringStore

HEALTHY = {
    "XQUEUE_LMS_ORIGINS": "https://lms.example.org",
    "XQUEUE_PUBLIC_URL": "https://xqueue.example.org",
}


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (HEALTHY | {"XQUEUE_DATA_DIR": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)


def run(*args: str, exit_code: int = 0, input: str | None = None) -> Result:
    result = CliRunner().invoke(main, args, input=input, catch_exceptions=False)
    assert result.exit_code == exit_code, result.output
    return result


def findings(exit_code: int = 0) -> dict[str, Any]:
    found = json.loads(run("doctor", "--json", exit_code=exit_code).stdout)
    return {each["what"]: each for each in found}


def verdict(what: str, exit_code: int = 0) -> str:
    return str(findings(exit_code)[what]["verdict"])


@pytest.fixture
def migrated() -> None:
    run("db", "upgrade")


def test_a_database_that_is_not_there_is_not_created_by_looking(tmp_path: Path) -> None:
    found = findings(exit_code=1)["database"]
    assert found["verdict"] == "fail"
    assert found["to_do"] == "run: xqueue-server db upgrade"
    assert not (tmp_path / "xqueue.db").exists()


def test_a_database_that_is_not_migrated_fails(tmp_path: Path) -> None:
    (tmp_path / "xqueue.db").touch()
    assert "db upgrade" in findings(exit_code=1)["database"]["to_do"]


@pytest.mark.usefixtures("migrated")
def test_a_server_without_queues_and_accounts_is_warned() -> None:
    assert (verdict("queues"), verdict("accounts")) == ("warn", "warn")


@pytest.mark.usefixtures("migrated")
def test_a_healthy_server_is_all_ok() -> None:
    run("queue", "add", "q")
    options = ("--role", "lms", "--all-queues", "--password-stdin")
    run("account", "add", "lms", *options, input="secret")
    with database() as storage, storage.write() as tx:
        beats.beat(tx, "deliver", "here")
        beats.beat(tx, "sweep", "here")
    found = findings()
    assert {each["verdict"] for each in found.values()} == {"ok"}
    assert all(line.startswith("ok  ") for line in run("doctor").stdout.splitlines())


@pytest.mark.usefixtures("migrated")
def test_the_process_that_consoles_listen_to_is_missed_only_where_there_are_exams() -> None:
    assert "events" not in findings()
    with database() as storage:
        with ProctoringStore(storage, SECRET_KEY).write() as session:
            session.lmses.add(LMS)
            session.exams.add(EXAM)
        assert findings()["events"]["to_do"] == "start: xqueue-server events"
        with storage.write() as tx:
            beats.beat(tx, "events", "here")
        assert verdict("events") == "ok"


@pytest.mark.usefixtures("migrated")
def test_no_lms_origin_fails_in_production_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XQUEUE_LMS_ORIGINS")
    assert verdict("LMS origins", exit_code=1) == "fail"
    monkeypatch.setenv("XQUEUE_MODE", "demo")
    assert verdict("LMS origins") == "ok"


@pytest.mark.usefixtures("migrated")
@pytest.mark.parametrize("url", ["http://127.0.0.1:8040", "http://localhost", "http://[::1]:80"])
def test_a_public_url_on_loopback_is_warned_in_production_only(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XQUEUE_PUBLIC_URL", url)
    assert verdict("public URL") == "warn"
    monkeypatch.setenv("XQUEUE_MODE", "demo")
    assert verdict("public URL") == "ok"


@pytest.mark.usefixtures("migrated")
def test_a_secret_key_that_others_can_read_is_warned(tmp_path: Path) -> None:
    assert verdict("secret key") == "ok"
    (tmp_path / "secret_key").chmod(0o644)
    found = findings()["secret key"]
    assert (found["verdict"], found["to_do"]) == ("warn", f"chmod 600 {tmp_path}/secret_key")


@pytest.mark.usefixtures("migrated")
def test_a_redis_that_does_not_answer_is_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    assert verdict("Redis") == "ok"
    monkeypatch.setenv("XQUEUE_REDIS_URL", "redis://:hunter2@127.0.0.1:1/0")
    found = findings()["Redis"]
    assert found["verdict"] == "warn"
    assert "hunter2" not in json.dumps(found)


@pytest.mark.usefixtures("migrated")
@pytest.mark.parametrize(("free", "expected"), [(500 * MB, "warn"), (50 * MB, "fail")])
def test_a_full_disk_shows(free: int, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr("xqueue_server.cli.checks.shutil.disk_usage", lambda _path: usage)
    assert verdict("data directory", exit_code=int(expected == "fail")) == expected


def test_a_data_directory_that_can_not_be_used_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XQUEUE_SECRET_KEY", "s" * 32)
    monkeypatch.setenv("XQUEUE_DATA_DIR", str(tmp_path / "not there"))
    assert "XQUEUE_DATA_DIR" in findings(exit_code=1)["data directory"]["to_do"]


@pytest.mark.usefixtures("migrated")
def test_a_broken_lms_access_file_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "access.toml"
    monkeypatch.setenv("XQUEUE_LMS_ACCESS_FILE", str(file))
    file.write_text('["https://lms.example.org"]\n')
    assert verdict("LMS access file") == "ok"
    file.write_text("[broken")
    assert verdict("LMS access file", exit_code=1) == "fail"


def test_a_database_server_that_is_away_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XQUEUE_SECRET_KEY", "s" * 32)
    monkeypatch.setenv("XQUEUE_DATABASE_URL", "postgresql://u:hunter2@127.0.0.1:1/x")
    found = findings(exit_code=1)["database"]
    assert found["verdict"] == "fail"
    assert "hunter2" not in json.dumps(found)


def test_a_database_url_that_is_none_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XQUEUE_SECRET_KEY", "s" * 32)
    monkeypatch.setenv("XQUEUE_DATABASE_URL", "postgresql://u:hunter2@h:port/x")
    found = findings(exit_code=1)["database"]
    assert found["found"] == "XQUEUE_DATABASE_URL is not an SQLAlchemy URL"


@pytest.mark.usefixtures("migrated")
def test_a_database_that_others_keep_locked_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "SQLITE_BUSY_TIMEOUT_MS", 10)
    with closing(sqlite3.connect(tmp_path / "xqueue.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "locked" in findings(exit_code=1)["database"]["found"]


def test_a_wrong_setting_fails_with_its_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XQUEUE_LMS_ORIGIN", "https://lms.example.org")
    shown = run("doctor", exit_code=1).stdout
    assert "XQUEUE_LMS_ORIGIN is not a setting; did you mean XQUEUE_LMS_ORIGINS?" in shown
    assert "nothing else was checked" in shown


def test_every_setting_is_listed_and_secrets_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "hunter2" * 5
    monkeypatch.setenv("XQUEUE_SECRET_KEY", secret)
    monkeypatch.setenv("XQUEUE_DATABASE_URL", f"postgresql://u:{secret}@127.0.0.1/x")
    monkeypatch.setenv("XQUEUE_REDIS_URL", f"redis://:{secret}@127.0.0.1/2")
    shown = run("doctor", "--settings").stdout
    listed = run("doctor", "--settings", "--json").stdout
    assert "hunter2" not in shown + listed
    assert all(name in shown for name in SETTINGS)
    by_name = {each["name"]: each for each in json.loads(listed)}
    assert set(by_name) == set(SETTINGS)
    assert by_name["XQUEUE_PUBLIC_URL"]["value"] == "https://xqueue.example.org"
    assert (by_name["XQUEUE_MAX_FILES"]["value"], by_name["XQUEUE_MAX_FILES"]["is_set"]) == (
        "20",
        False,
    )


def test_settings_are_listed_even_if_one_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XQUEUE_MODE", "fast")
    shown = run("doctor", "--settings", exit_code=1)
    assert "XQUEUE_MODE must be one of" in shown.stderr
    assert "fast" in shown.stdout
