"""What holds for every command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tests.cli.commands import Leaf, leaves
from tests.cli.stored import a_queue, a_submission
from xqueue_server.cli.main import COMMANDS, main
from xqueue_server.storage import Storage

SOURCES = Path(__file__).parents[2]
READS = {"list", "show", "held", "status", "backlog", "doctor", "plan"}
DOCUMENTS = {"csv", "export", "marks", "staff"}
"""Their output is a file of a kind of its own."""
ACTS = {
    *("add", "set", "remove", "release", "give-up", "replay", "upgrade", "serve", "deliver"),
    *("grant", "revoke", "set-password", "set-email", "enable", "disable", "create"),
    *("publish", "activate", "default", "limits", "isolation", "allow-legacy", "forbid-legacy"),
    *("import-django", "notify", "pause", "resume", "weight", "prioritise", "regrade", "cancel"),
    *("push", "claim", "unclaim", "allow", "rotate", "grant-staff", "revoke-staff"),
    *("extend", "terminate", "reset", "review", "mark", "verify", "accept", "refuse"),
    *(
        "check",
        "check-worker",
        "scale",
        "drain",
        "forget",
        "sweep",
        "events",
        "retention",
        "backup",
        "erase",
    ),
}


@pytest.mark.parametrize("leaf", leaves(), ids=str)
def test_every_command_acts_or_reads_and_then_has_json_or_writes_a_document(leaf: Leaf) -> None:
    kinds = [leaf.verb in kind for kind in (READS, ACTS, DOCUMENTS)]
    assert kinds.count(True) == 1, "say which of them it is"
    if leaf.verb in READS:
        assert "--json" in leaf.options


@pytest.mark.parametrize("leaf", leaves(), ids=str)
def test_every_command_says_what_it_does(leaf: Leaf) -> None:
    result = CliRunner().invoke(main, [*leaf.words, "--help"])
    assert result.exit_code == 0
    assert leaf.command.help


def test_every_noun_is_listed_in_the_help() -> None:
    shown = CliRunner().invoke(main, ["--help"]).stdout
    assert all(f"  {name} " in shown for name in COMMANDS)


def test_the_version_is_shown() -> None:
    assert "xqueue-server, version" in CliRunner().invoke(main, ["--version"]).stdout


def test_an_unknown_command_is_wrong_usage() -> None:
    assert CliRunner().invoke(main, ["nonsense"]).exit_code == 2


@pytest.mark.parametrize(
    "words",
    [
        ("serve", "--workers", "0"),
        ("serve", "--keepalive-s", "-1"),
        ("deliver", "--concurrency", "0"),
        ("deliver", "--per-origin", "0"),
    ],
)
def test_a_process_that_could_do_nothing_is_wrong_usage(words: tuple[str, ...]) -> None:
    assert CliRunner().invoke(main, words).exit_code == 2


def test_a_wrong_setting_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XQUEUE_TYPO", "1")
    result = CliRunner().invoke(main, ["queue", "list"])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: XQUEUE_TYPO is not a setting")
    assert result.stderr.count("\n") == 1


def test_a_database_that_is_away_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XQUEUE_SECRET_KEY", "s" * 32)
    monkeypatch.setenv("XQUEUE_DATABASE_URL", "postgresql://u:hunter2@127.0.0.1:1/x")
    result = CliRunner().invoke(main, ["queue", "list"])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: The database can not be used now: ")
    assert result.stderr.count("\n") == 1
    assert "hunter2" not in result.output


def test_a_user_without_a_name_is_recorded_by_number(
    run: Any, run_json: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nameless() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr("getpass.getuser", nameless)
    run("queue", "add", "q")
    assert run_json("event", "list")[0]["actor"] == f"operator uid {os.getuid()}"


def test_a_reader_that_goes_away_is_no_error_to_shout_about(
    environment: dict[str, str], storage: Storage
) -> None:
    a_queue(storage)
    for _ in range(50):
        a_submission(storage)
    process = subprocess.Popen(
        [sys.executable, "-m", "xqueue_server.cli.main", "event", "list", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=SOURCES,
        env=os.environ | environment,
    )
    assert process.stdout
    process.stdout.close()
    assert process.stderr
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait(30)


def test_the_command_starts_without_the_web_server_and_the_migrations() -> None:
    heavy = "{'flask', 'alembic', 'gunicorn', 'requests', 'rq', 'redis'}"
    program = (
        "import sys; from xqueue_server.cli import queue, account, submission, callback, doctor;"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=SOURCES
    )
    assert shown.stdout == "[]\n"


def test_the_main_command_is_what_pyproject_installs() -> None:
    assert isinstance(main, click.Group)
    assert 'xqueue-server = "xqueue_server.cli.main:main"' in (
        SOURCES / "pyproject.toml"
    ).read_text(encoding="utf-8")
