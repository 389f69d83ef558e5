"""`xqueue-server db`, from an empty database on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.support import postgres
from xqueue_server.cli.main import main


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/new/xqueue.db"
        return
    request.getfixturevalue("postgres_url")  # skips where there is none, and cleans up after us
    with postgres.database() as url:
        yield url


@pytest.fixture(autouse=True)
def _environment(empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XQUEUE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("XQUEUE_DATABASE_URL", empty_database_url)
    monkeypatch.setenv("XQUEUE_SECRET_KEY", "s" * 32)


def run(*args: str, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(main, args, catch_exceptions=False)
    assert result.exit_code == exit_code, result.output
    return result


def status(exit_code: int) -> Any:
    return json.loads(run("db", "status", "--json", exit_code=exit_code).stdout)


def test_an_empty_database_is_upgraded_once() -> None:
    before = status(exit_code=1)
    assert (before["current"], before["up_to_date"]) == (None, False)
    assert "Upgraded to" in run("db", "upgrade").stdout
    after = status(exit_code=0)
    assert after["current"] == after["head"] != None  # noqa: E711
    assert "already" in run("db", "upgrade").stdout
    assert "up_to_date  yes" in run("db", "status").stdout


def test_other_commands_say_what_to_do_before_the_upgrade() -> None:
    for args in (("queue", "add", "q"), ("account", "list"), ("submission", "show", "1")):
        refused = run(*args, exit_code=1)
        assert "run `xqueue-server db upgrade`" in refused.stderr
        assert refused.stderr.count("\n") == 1


def test_other_commands_work_after_the_upgrade() -> None:
    run("db", "upgrade")
    run("queue", "add", "q")
    assert json.loads(run("queue", "list", "--json").stdout)[0]["name"] == "q"
