"""The command `xqueue-server`: finds the module of a noun or process when it is asked for.

Exit codes: 0 done, 1 refused or failed (one line on stderr says why), 2 wrong usage.
"""

from __future__ import annotations

import importlib
from typing import Any, NoReturn

import click

from xqueue_server.errors import XQueueError
from xqueue_server.version import version

COMMANDS = {
    "account": "xqueue_server.cli.account",
    "attempt": "xqueue_server.cli.attempt",
    "callback": "xqueue_server.cli.callback",
    "db": "xqueue_server.cli.db",
    "deadline": "xqueue_server.cli.deadline",
    "deliver": "xqueue_server.cli.deliver",
    "doctor": "xqueue_server.cli.doctor",
    "event": "xqueue_server.cli.event",
    "events": "xqueue_server.cli.events",
    "exam": "xqueue_server.cli.exam",
    "fault": "xqueue_server.cli.fault",
    "grader": "xqueue_server.cli.grader",
    "incident": "xqueue_server.cli.incident",
    "learner": "xqueue_server.cli.learner",
    "lms": "xqueue_server.cli.lms",
    "plan": "xqueue_server.cli.plan",
    "proctoring": "xqueue_server.cli.proctoring",
    "provider": "xqueue_server.cli.provider",
    "queue": "xqueue_server.cli.queue",
    "regrade": "xqueue_server.cli.regrade",
    "retention": "xqueue_server.cli.retention",
    "serve": "xqueue_server.cli.serve",
    "submission": "xqueue_server.cli.submission",
    "subscriber": "xqueue_server.cli.subscriber",
    "sweep": "xqueue_server.cli.sweep",
    "token": "xqueue_server.cli.token",
    "worker": "xqueue_server.cli.worker",
}
"""Command -> the module that holds it, under the command's own name."""


class LazyCommands(click.Group):
    """Imports a command's module when it is used, and turns our errors into one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(COMMANDS[cmd_name]), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except XQueueError as error:
            _refuse(error)


def _refuse(error: XQueueError) -> NoReturn:
    raise click.ClickException(" ".join(str(error).split())) from error


@click.group(
    cls=LazyCommands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Settings come from the environment: see `xqueue-server doctor --settings`.",
)
@click.version_option(version(), prog_name="xqueue-server")
def main() -> None:
    """The XQueue server and everything to operate it."""


if __name__ == "__main__":
    main(prog_name="xqueue-server")
