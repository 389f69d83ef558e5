"""The server's programs of one version, as processes on one database and one data directory."""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.demo.processes import ROOT, LongRunning, answers_http, free_port, run_to_end, stop_all

PASSWORD = "correct horse battery staple"
QUEUE = "cs101"
START = "from xqueue_server.cli.main import main; main(prog_name='xqueue-server')"
READY_S = 60.0
LEASE_S = 60
"""A lease that a backup has in it is nobody's; whoever restores it waits for its end."""


class Installation:
    """`sources` is the folder that `xqueue_server` lies in."""

    def __init__(
        self, directory: Path, database_url: str, *, lms_origin: str, sources: Path = ROOT
    ) -> None:
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.data_dir = directory / "data"
        self.url = f"http://127.0.0.1:{free_port()}"
        self.settings = {
            "XQUEUE_LMS_ORIGINS": lms_origin,
            "XQUEUE_DATA_DIR": str(self.data_dir),
            "XQUEUE_DATABASE_URL": database_url,
            "XQUEUE_SECRET_KEY": "0123456789abcdef" * 2,
            "XQUEUE_PUBLIC_URL": self.url,
            "PYTHONPATH": str(sources),
        }
        self._running: dict[str, LongRunning] = {}

    def set_up(self) -> None:
        """A migrated database with a queue, an LMS and a grader."""
        self.command("db", "upgrade")
        self.command("queue", "add", QUEUE, "--lease-s", str(LEASE_S))
        for name in ("lms", "grader"):
            words = ("account", "add", name, "--role", name, "--all-queues", "--password-stdin")
            self.command(*words, stdin=PASSWORD)

    def command(self, *arguments: str, stdin: str = "") -> str:
        """Raises: ProcessFailed, with what it said."""
        return run_to_end(_argv(*arguments), settings=self.settings, stdin=stdin)

    def start(self, name: str) -> LongRunning:
        """`serve` (waits until it is ready), `deliver` or `sweep`."""
        bind = ("--bind", self.url.removeprefix("http://"), "--workers", "1")
        started = LongRunning(
            name,
            _argv(name, *(bind if name == "serve" else ())),
            settings=self.settings,
            log_path=self.directory / f"{name}.log",
        )
        self._running[name] = started
        if name == "serve":
            started.wait_until(self.is_ready, READY_S)
        return started

    def is_ready(self) -> bool:
        return answers_http(f"{self.url}/readyz")

    def assert_well(self) -> None:
        for program in self._running.values():
            assert not program.has_ended, program.failure("ended")

    def stop(self) -> None:
        stop_all(list(self._running.values()))
        self._running.clear()


def _argv(*arguments: str) -> list[str]:
    """-P: what lies in the working directory is this tree, whatever version is meant."""
    return [sys.executable, "-P", "-c", START, *arguments]
