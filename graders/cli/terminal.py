"""What a server answered, on a terminal: some of these texts were chosen by learners or hosts."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from graders.reply.text import tame


def say(text: str) -> None:
    """Lines stay lines; no text steers the terminal."""
    click.echo(tame(text))


def one_line(text: object) -> str:
    """For a field within a line: it can not begin a line of its own."""
    return " ".join(str(text).split())


def when(instant: str) -> str:
    """An instant of the API, to the minute in UTC."""
    try:
        moment = datetime.fromisoformat(instant)
    except ValueError:
        return one_line(instant)
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
