"""The flags that say what is graded, shared by `poll` and `run`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from grader_worker.assignment import Assignment, ServedQueue
from grader_worker.errors import SettingsError
from grader_worker.local_grader import local_assignment
from grader_worker.published.grader_cache import default_cache_dir
from grader_worker.published.publications import Publications
from grader_worker.sandboxd.socket_path import SOCKET_VARIABLE, default_socket_path
from grader_worker.server_account import ServerAccount, read_basic_auth, read_secret
from grader_worker.settings import WorkerSettings, load_settings

_FILE = click.Path(path_type=Path, dir_okay=False)

SOCKET_OPTION = click.option(
    "--socket",
    type=_FILE,
    envvar=SOCKET_VARIABLE,
    help="Where sandboxd listens [default: xqueue/sandboxd.sock in $XDG_RUNTIME_DIR or /run].",
)

_OPTIONS = (
    click.option("--config", type=_FILE, help="workers.toml, in place of the flags below."),
    click.option("--server", metavar="URL", help="The XQueue server."),
    click.option("--queue", "queues", multiple=True, help="Queue to grade; may be repeated."),
    click.option("--username", help="Account on the server."),
    click.option(
        "--password-file",
        type=_FILE,
        envvar="GRADER_WORKER_PASSWORD_FILE",
        help="File with the account's password.",
    ),
    click.option(
        "--grader",
        metavar="DIR|IMAGE",
        help="Grader of the queues [default: what course teams publish on the server].",
    ),
    click.option("--concurrency", type=click.IntRange(1), help="Gradings at once per queue [1]."),
    click.option("--basic-auth-file", type=_FILE, help="user:password of a proxy in front."),
    click.option("--ca-bundle", type=_FILE, help="Certificates to trust for the server."),
    SOCKET_OPTION,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentFlags:
    """As given; `settings()` reads and checks them."""

    config: Path | None
    server: str | None
    queues: tuple[str, ...]
    username: str | None
    password_file: Path | None
    grader: str | None
    concurrency: int | None
    basic_auth_file: Path | None
    ca_bundle: Path | None
    socket: Path | None

    def settings(self) -> WorkerSettings:
        """Raises SettingsError."""
        given = self._given()
        if self.config:
            if given:
                raise SettingsError(f"--config replaces {', '.join(given)}")
            return load_settings(self.config)
        return WorkerSettings(served=self._served())

    def publications(self, settings: WorkerSettings) -> Publications:
        return Publications(settings.served, default_cache_dir(os.environ))

    def socket_path(self, settings: WorkerSettings) -> Path:
        return self.socket or settings.socket or default_socket_path(os.environ)

    def _given(self) -> list[str]:
        """Without --password-file, which may come from the environment of a whole host."""
        flags = {
            "--server": self.server,
            "--queue": self.queues,
            "--username": self.username,
            "--grader": self.grader,
            "--concurrency": self.concurrency,
            "--basic-auth-file": self.basic_auth_file,
            "--ca-bundle": self.ca_bundle,
        }
        return [flag for flag, value in flags.items() if value]

    def _served(self) -> tuple[ServedQueue, ...]:
        if not (self.server and self.queues and self.username):
            raise SettingsError("give --server, --queue and --username, or --config")
        if not self.password_file:
            raise SettingsError("give --password-file")
        account = ServerAccount(
            url=self.server,
            username=self.username,
            password=read_secret(self.password_file),
            basic_auth=read_basic_auth(self.basic_auth_file) if self.basic_auth_file else None,
            ca_bundle=self.ca_bundle,
        )
        return tuple(
            ServedQueue(
                account=account,
                name=queue,
                assignment=self._assignment(queue),
                concurrency=self.concurrency or 1,
            )
            for queue in dict.fromkeys(self.queues)
        )

    def _assignment(self, queue: str) -> Assignment | None:
        if self.grader is None:
            return None
        return local_assignment(queue, self.grader, cache_dir=default_cache_dir(os.environ))


def assignment_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the flags; the command gets them as `flags`, and SettingsError ends it politely."""

    def with_flags(**values: Any) -> None:
        own = AssignmentFlags.__dataclass_fields__
        flags = AssignmentFlags(**{name: values.pop(name) for name in own})
        try:
            command(flags=flags, **values)
        except SettingsError as error:
            raise click.ClickException(str(error)) from error

    with_flags.__name__ = command.__name__
    with_flags.__doc__ = command.__doc__
    for option in reversed(_OPTIONS):
        option(with_flags)
    return with_flags
