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
from grader_worker.pool import MOST_WORKERS, Bounds, Pool
from grader_worker.published.grader_cache import default_cache_dir
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
    click.option(
        "--concurrency",
        type=click.IntRange(1, MOST_WORKERS),
        help="Gradings at once per queue [1].",
    ),
    click.option(
        "--together",
        is_flag=True,
        help="The queues share the workers, in the server's order; else each has its own.",
    ),
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
    together: bool
    basic_auth_file: Path | None
    ca_bundle: Path | None
    socket: Path | None

    def settings(self, *, autoscale: Bounds | None = None) -> WorkerSettings:
        """`autoscale` is a flag of `run` alone. Raises SettingsError."""
        given = [*self._given(), *(["--autoscale"] if autoscale else [])]
        if self.config:
            if given:
                raise SettingsError(f"--config replaces {', '.join(given)}")
            return load_settings(self.config)
        return WorkerSettings(pools=self._pools(autoscale))

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
            "--together": self.together,
            "--basic-auth-file": self.basic_auth_file,
            "--ca-bundle": self.ca_bundle,
        }
        return [flag for flag, value in flags.items() if value]

    def _pools(self, autoscale: Bounds | None) -> tuple[Pool, ...]:
        served = self._served()
        groups = [served] if self.together else [(queue,) for queue in served]
        return tuple(
            Pool(
                name="+".join(queue.name for queue in queues),
                queues=queues,
                concurrency=self.concurrency or 1,
                autoscale=autoscale,
            )
            for queues in groups
        )

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
