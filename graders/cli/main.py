"""The command `graders`: finds the module of a verb when it is asked for.

Exit codes: 0 done, 1 refused or failed (stderr says why), 2 wrong usage.
"""

from __future__ import annotations

import importlib
from importlib import metadata
from typing import Any

import click

from graders.errors import KitError

VERBS = {
    "new": "graders.cli.new",
    "try": "graders.cli.try_answer",
    "check": "graders.cli.check",
    "build": "graders.cli.build",
    "publish": "graders.cli.publish",
    "studio": "graders.cli.studio",
    "versions": "graders.cli.versions",
    "rollback": "graders.cli.rollback",
    "faults": "graders.cli.faults",
}
"""Verb -> the module that has it under the name `command`. Each imports no more than it needs, so
that `graders new` works where no sandbox does."""


class LazyVerbs(click.Group):
    """Imports a verb's module when it is used, and turns our errors into sentences."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(VERBS[cmd_name]).command
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KitError as error:
            raise click.ClickException(str(error)) from error


def _version() -> str:
    try:
        return metadata.version("xqueue-grader")
    except metadata.PackageNotFoundError:
        return "unknown"


@click.group(cls=LazyVerbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(_version(), prog_name="graders")
def main() -> None:
    """Write, try, check and publish the graders of a course.

    A grader is a directory with a file grader.yaml; begin one with `graders new`.
    """
