"""The command line as a function: arguments in, what it printed and its exit code out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
from click.testing import CliRunner, Result

from xqueue_server.cli.main import main
from xqueue_server.storage import Storage

SOURCES = Path(__file__).parents[2]


class Run(Protocol):
    def __call__(self, *args: str, input: str | None = None, exit_code: int = 0) -> Result:
        """Run a command in this process; fails unless it ends with `exit_code`."""


class RunProcess(Protocol):
    def __call__(self, *args: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command as an operator does, in a process of its own."""


@pytest.fixture
def environment(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Settings that lead to `database_url`."""
    settings = {
        "XQUEUE_DATA_DIR": str(tmp_path),
        "XQUEUE_DATABASE_URL": database_url,
        "XQUEUE_SECRET_KEY": "s" * 32,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return settings


@pytest.fixture
def run(environment: dict[str, str], storage: Storage) -> Run:
    def run(*args: str, input: str | None = None, exit_code: int = 0) -> Result:
        result = CliRunner().invoke(main, args, input=input, catch_exceptions=False)
        assert result.exit_code == exit_code, result.output
        return result

    return run


@pytest.fixture
def run_json(run: Run) -> Callable[..., Any]:
    return lambda *args: json.loads(run(*args, "--json").stdout)


@pytest.fixture
def run_process(environment: dict[str, str], storage: Storage) -> RunProcess:
    def run_process(*args: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "xqueue_server.cli.main", *args],
            input=input or "",
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=SOURCES,
            env=os.environ | environment,
        )

    return run_process
