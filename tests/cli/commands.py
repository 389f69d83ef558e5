"""The tree of commands, flattened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import click

from xqueue_server.cli.main import main


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A command that does something, with the words that lead to it."""

    words: tuple[str, ...]
    command: click.Command

    @property
    def verb(self) -> str:
        return self.words[-1]

    @property
    def options(self) -> list[str]:
        """The long options, without --help."""
        return [
            name
            for parameter in self.command.params
            if isinstance(parameter, click.Option)
            for name in parameter.opts
        ]

    def __str__(self) -> str:
        return " ".join(("xqueue-server", *self.words))


def leaves() -> list[Leaf]:
    return list(_leaves(main, ()))


def _leaves(command: click.Command, words: tuple[str, ...]) -> Iterator[Leaf]:
    if not isinstance(command, click.Group):
        yield Leaf(words=words, command=command)
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner
        yield from _leaves(inner, (*words, name))
