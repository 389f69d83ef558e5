"""How results are shown: aligned columns for people, JSON for programs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead.")
NOTHING = "-"
FORGEABLE_MARK = "FORGEABLE"
"""Of what the learner's own code can have graded."""


def show_json(value: Any) -> None:
    """Dataclasses as objects, instants as ISO 8601 in UTC."""
    click.echo(json.dumps(value, default=_plain, indent=2))


def show_table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Columns wide enough for their widest cell; says so when there is nothing."""
    if not rows:
        click.echo("(none)")
        return
    lines = [list(headers), *[[cell(value) for value in row] for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headers))]
    for line in lines:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def show_facts(facts: Sequence[tuple[str, Any]]) -> None:
    """One fact in each line, names aligned."""
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        click.echo(f"{name.ljust(width)}  {cell(value)}")


def show_section(title: str, show: Callable[[], None]) -> None:
    click.echo(f"\n{title}")
    show()


def cell(value: Any) -> str:
    """One value as people read it, safe for a terminal: others chose some of these texts."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return when(value)
    return printable(str(value))


def printable(text: str) -> str:
    """Control characters escaped, so that no text can steer the terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def when(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def duration(seconds: float) -> str:
    """The two largest units that say it, e.g. `1 h 30 min`."""
    whole = round(seconds)
    parts = []
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def size(count: int) -> str:
    """Bytes, rounded to a unit that reads well."""
    amount = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TB"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    raise TypeError(f"{type(value).__name__} has no JSON form")
