"""An installation as its operator runs it: our programs, started and managed by their commands."""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deploy.demo.capa import CapaClient
from deploy.demo.processes import (
    LongRunning,
    answers_http,
    command,
    free_port,
    listens_at,
    run_to_end,
    stop_all,
)

QUEUE = "python"
PASSWORD = "a password with spaces, ünïcode and \U0001f511"
START_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Somebody with the kit, a token and no other access."""

    url: str
    token_file: Path

    def graders(self, *arguments: str) -> str:
        """Raises ProcessFailed."""
        settings = {"GRADERS_SERVER": self.url, "GRADERS_TOKEN_FILE": str(self.token_file)}
        return run_to_end(command("graders", *arguments), settings=settings)


class Site:
    """Nothing of it runs after the `with` block."""

    def __init__(
        self, directory: Path, *, database_url: str, lms_origin: str, redis_url: str = ""
    ) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self._directory = directory
        self._processes: list[LongRunning] = []
        self._settings = {
            "XQUEUE_DATABASE_URL": database_url,
            "XQUEUE_DATA_DIR": str(directory / "data"),
            "XQUEUE_SECRET_KEY": secrets.token_hex(32),
            "XQUEUE_PUBLIC_URL": self.url,
            "XQUEUE_LMS_ORIGINS": lms_origin,
            "XQUEUE_REDIS_URL": redis_url,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        stop_all(self._processes)

    # -- the server ------------------------------------------------------------------------------

    @property
    def settings(self) -> Mapping[str, str]:
        """The server's, as they stand in its environment."""
        return self._settings

    def prepare(self) -> None:
        self.command("db", "upgrade")
        self.command("queue", "add", QUEUE)
        for name in ("lms", "grader"):
            account = ("account", "add", name, "--role", name, "--queue", QUEUE)
            self.command(*account, "--password-stdin", stdin=PASSWORD)
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(PASSWORD)

    def start_server(self, *, workers: int = 2) -> None:
        """The web processes, and the sweeper."""
        bind = ("--bind", self.url.removeprefix("http://"), "--workers", str(workers))
        server = self._start("serve", command("xqueue-server", "serve", *bind))
        self._start("sweep", command("xqueue-server", "sweep"))
        server.wait_until(lambda: answers_http(f"{self.url}/readyz"), START_S)

    def start_deliver(self, *, constants: Mapping[str, object] | None = None) -> LongRunning:
        """`constants` shorten what a test would wait for; see `tests.crash.dying`."""
        if not constants:
            return self._start("deliver", command("xqueue-server", "deliver"))
        given = [f"--set={name}={value!r}" for name, value in constants.items()]
        launcher = [sys.executable, "-m", "tests.crash.dying", *given]
        return self._start("deliver", [*launcher, "--", "xqueue-server", "deliver"])

    def command(self, *arguments: str, stdin: str = "") -> str:
        argv = command("xqueue-server", *arguments)
        return run_to_end(argv, settings=self._settings, stdin=stdin)

    def ask(self, *arguments: str) -> Any:
        return json.loads(self.command(*arguments, "--json"))

    def capa(self) -> CapaClient:
        return CapaClient(url=self.url, username="lms", password=PASSWORD, read_timeout_s=START_S)

    # -- the course team -------------------------------------------------------------------------

    def author(self) -> Author:
        """With a token for the queue."""
        self.command(
            "account",
            "add",
            "author",
            "--role",
            "author",
            "--queue",
            QUEUE,
            "--password-stdin",
            stdin=PASSWORD,
        )
        token = self._directory / "author-token"
        self.command(
            *("token", "create", "--account", "author", "--role", "author"),
            *("--queue", QUEUE, "--out", str(token)),
        )
        return Author(url=self.url, token_file=token)

    # -- the grading host ------------------------------------------------------------------------

    @property
    def socket(self) -> Path:
        return self._directory / "sandboxd.sock"

    def start_sandboxd(self, backend: str, *options: str) -> LongRunning:
        arguments = ("sandboxd", "--backend", backend, "--socket", str(self.socket), *options)
        sandboxd = self._start("sandboxd", command("grader-worker", *arguments))
        sandboxd.wait_until(lambda: listens_at(self.socket), START_S)
        return sandboxd

    def start_worker(self, verb: str, *options: str, grader: str | None = None) -> LongRunning:
        """Without a grader, what course teams publish."""
        account = ("--server", self.url, "--queue", QUEUE, "--username", "grader")
        files = ("--password-file", str(self._password_file), "--socket", str(self.socket))
        given = ("--grader", grader) if grader else ()
        argv = command("grader-worker", verb, *options, *account, *files, *given)
        return self._start("worker", argv)

    @property
    def _password_file(self) -> Path:
        return self._directory / "grader-password"

    def _start(self, name: str, argv: list[str]) -> LongRunning:
        cache = {"GRADER_WORKER_CACHE": str(self._directory / "cache")}
        settings = self._settings if name in ("serve", "deliver", "sweep") else cache
        log_path = self._directory / f"{name}.log"
        process = LongRunning(name, argv, settings=settings, log_path=log_path)
        self._processes.append(process)
        return process


def kill(process: LongRunning) -> None:
    """kill -9, with everything in its process group."""
    os.killpg(process.pid, signal.SIGKILL)
    process.stop()
