"""Moments as operators write them: ISO 8601, in UTC unless they say otherwise."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from xqueue_server.cli.output import when


class Moment(click.ParamType[datetime]):
    """A moment of the future or the past. One without an offset is taken for UTC, and that is
    said: an exam an hour early helps nobody."""

    name = "iso 8601"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not like 2026-11-20T18:00+01:00", param, ctx)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
            click.echo(f"{value} has no offset: taken for UTC, {when(moment)}", err=True)
        if not 1970 < moment.year < 9999:
            self.fail(f"{value!r} is not a moment of this time", param, ctx)
        return moment.astimezone(UTC)
