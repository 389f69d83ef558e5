"""Reading a new password: never from the command line, where every process can see it."""

from __future__ import annotations

import sys

import click

password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input (one line)."
)


def new_password(from_stdin: bool) -> str:
    """From standard input, or asked for twice at a terminal."""
    if from_stdin:
        return _one_line(sys.stdin.read())
    if not sys.stdin.isatty():
        raise click.UsageError("Give the password on standard input, with --password-stdin.")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))


def _one_line(text: str) -> str:
    password = text.removesuffix("\n").removesuffix("\r")
    if "\n" in password:
        raise click.ClickException("The password on standard input must be a single line")
    return password
