"""The product's processes on one machine, in one data directory."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.demo.processes import (
    ROOT,
    LongRunning,
    answers_http,
    command,
    free_port,
    listens_at,
    run_to_end,
    stop_all,
)

QUEUE = "demo"
GRADER = ROOT / "graders" / "examples" / "functions"
START_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    name: str
    password: str = field(repr=False)


class DemoStack:
    """Server, delivery, sweeper, sandbox and worker with bubblewrap. Leaves no process behind.

    `on_failure` is called from another thread when a process ends that should not.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = 0,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self.data_dir = data_dir
        self.url = f"http://127.0.0.1:{free_port(port)}"
        self.lms_account = Account(name="lms", password=secrets.token_urlsafe(12))
        self.grader_account = Account(name="grader", password=secrets.token_urlsafe(12))
        self.admin_account = Account(name="admin", password=secrets.token_urlsafe(12))
        self._on_failure = on_failure
        self._processes: list[LongRunning] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Raises ProcessFailed, with the log of the program that did not start."""
        self._prepare_database()
        self._start_server()
        self._start_worker()

    def stop(self) -> None:
        stop_all(self._processes)

    def failed_process(self) -> LongRunning | None:
        return next((p for p in self._processes if p.has_ended), None)

    def held_submission(self) -> str | None:
        """All about a submission that waits for people: here that means a broken grader."""
        held = json.loads(self._server_command("submission", "list", "--state", "held", "--json"))
        if not held:
            return None
        return self._server_command("submission", "show", str(held[0]["id"]))

    def log_tails(self) -> str:
        return "\n".join(f"{p.name}:\n{p.log_tail(8)}" for p in self._processes)

    @property
    def settings(self) -> dict[str, str]:
        """The environment of the server's commands."""
        return {
            "XQUEUE_MODE": "demo",
            "XQUEUE_DATA_DIR": str(self.data_dir),
            "XQUEUE_PUBLIC_URL": self.url,
        }

    def _prepare_database(self) -> None:
        self._server_command("db", "upgrade")
        self._server_command("queue", "add", QUEUE)
        self._add_account(self.lms_account, "lms", "--queue", QUEUE)
        self._add_account(self.grader_account, "grader", "--queue", QUEUE)
        self._add_account(self.admin_account, "admin", "--all-queues")

    def _add_account(self, account: Account, role: str, *queues: str) -> None:
        self._server_command(
            "account",
            "add",
            account.name,
            "--role",
            role,
            *queues,
            "--password-stdin",
            stdin=account.password,
        )

    def _start_server(self) -> None:
        bind = self.url.removeprefix("http://")
        server = self._start("xqueue-server", "serve", "--bind", bind, "--workers", "1")
        self._start("xqueue-server", "deliver")
        self._start("xqueue-server", "sweep")
        server.wait_until(lambda: answers_http(f"{self.url}/xqueue/status/"), START_S)

    def _start_worker(self) -> None:
        socket_path = self.data_dir / "sandboxd.sock"
        sandboxd = self._start(
            "grader-worker", "sandboxd", "--backend", "bubblewrap", "--socket", str(socket_path)
        )
        sandboxd.wait_until(lambda: listens_at(socket_path), START_S)
        self._start(
            "grader-worker",
            "poll",
            *("--server", self.url, "--queue", QUEUE),
            *("--username", self.grader_account.name),
            *("--password-file", str(self._password_file())),
            *("--grader", str(GRADER), "--socket", str(socket_path)),
        )

    def _password_file(self) -> Path:
        path = self.data_dir / "grader-password"
        path.touch(mode=0o600)
        path.write_text(self.grader_account.password)
        return path

    def _server_command(self, *arguments: str, stdin: str = "") -> str:
        return run_to_end(command("xqueue-server", *arguments), settings=self.settings, stdin=stdin)

    def _start(self, program: str, verb: str, *arguments: str) -> LongRunning:
        settings = self.settings if program == "xqueue-server" else {}
        process = LongRunning(
            f"{program} {verb}",
            command(program, verb, *arguments),
            settings=settings,
            log_path=self.data_dir / f"{verb}.log",
            on_end=self._on_failure,
        )
        self._processes.append(process)
        return process
