"""`xqueue-server callback`: what the LMS was told, is to be told, or could not be told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from xqueue_server.cli.callback_view import show_attempts, show_callbacks, view
from xqueue_server.cli.environment import actor, database
from xqueue_server.cli.output import json_option, show_facts, show_json, show_section, show_table
from xqueue_server.cli.paging import ROW_ID, page_options, tell_of_older
from xqueue_server.cli.selection_options import (
    asks_first,
    chosen,
    chosen_for_all,
    is_confirmed,
    selection_options,
    show_done,
)
from xqueue_server.models.callback import CallbackState
from xqueue_server.models.scope import EVERYTHING
from xqueue_server.models.selection import Selection
from xqueue_server.settings import origin_of
from xqueue_server.storage import callbacks

FIRST_REPLY_COUNTS = (
    "The LMS takes the first reply to a submission for good: a replay of one that it has taken "
    "already is ignored there."
)


class IsoMoment(click.ParamType[datetime]):
    """An ISO 8601 date or moment; UTC unless it says otherwise."""

    name = "iso 8601"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not like 2026-11-20T18:00 or 2026-11-20", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Origin(click.ParamType[str]):
    """`scheme://host[:port]` of an LMS, in the form in which it is stored."""

    name = "origin"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        origin = origin_of(str(value))
        if origin is None:
            self.fail(f"{value!r} is not like https://lms.example.org", param, ctx)
        return origin


@click.group()
def callback() -> None:
    """Look at messages to the LMS, and send dead ones again."""


@callback.command("list")
@click.option("--state", type=click.Choice([s.value for s in CallbackState]))
@click.option("--origin", type=Origin(), help="Only to this LMS, e.g. https://lms.example.org.")
@page_options
@json_option
def list_callbacks(
    state: str | None, origin: str | None, limit: int, before: int | None, as_json: bool
) -> None:
    """List callbacks, newest first."""
    wanted = CallbackState(state) if state else None
    with database() as storage, storage.read() as tx:
        found = callbacks.latest(tx, state=wanted, origin=origin, limit=limit, before=before)
    if as_json:
        show_json(found)
    else:
        show_callbacks(found)
        tell_of_older([c.id for c in found], limit)


@callback.command()
@click.argument("callback_id", metavar="ID", type=ROW_ID)
@json_option
def show(callback_id: int, as_json: bool) -> None:
    """Show one callback and every try to send it."""
    with database() as storage, storage.read() as tx:
        found = view(tx, callbacks.get(tx, callback_id))
    if as_json:
        show_json(found.as_object())
        return
    show_facts(
        [(name.replace("_", " "), v) for name, v in found.as_object().items() if name != "attempts"]
    )
    show_section("Tries", lambda: show_attempts(found.attempts))


@callback.command()
@json_option
def backlog(as_json: bool) -> None:
    """Count what is pending or dead for each LMS."""
    with database() as storage, storage.read() as tx:
        found = callbacks.backlog(tx)
    if as_json:
        show_json(found)
    else:
        rows = [(b.origin, b.state, b.count, b.oldest_at) for b in found]
        show_table(["ORIGIN", "STATE", "COUNT", "OLDEST"], rows)


@callback.command()
@click.argument("callback_id", metavar="[ID]", type=ROW_ID, required=False)
@click.option("--origin", type=Origin(), help="All dead ones to this LMS.")
@selection_options
@asks_first
def replay(
    callback_id: int | None, origin: str | None, dry_run: bool, yes: bool, **filters: Any
) -> None:
    """Send the dead callback ID again, or all dead ones to an origin, or of some submissions.

    With --origin, --since means those that died since then. Without an ID and --origin, the other
    options say of which submissions the dead callbacks are meant.

    The LMS takes the first reply to a submission for good: a replay of one that it has taken
    already is ignored there.
    """
    since = IsoMoment().convert(filters["since"], None, None) if filters["since"] else None
    others = not chosen({**filters, "since": None} if origin else filters).is_everything
    if (callback_id is not None) + (origin is not None) + others != 1:
        raise click.UsageError(
            "Give either an ID, or --origin (with --since if you like), or options that say which "
            "submissions are meant."
        )
    if others:
        _replay_selected(chosen_for_all(filters), dry_run=dry_run, yes=yes)
        return
    if dry_run:
        raise click.UsageError("--dry-run is for options that say which submissions are meant.")
    count = _replay_one(callback_id) if callback_id else _replay_all(origin or "", since)
    click.echo(f"{count} callback{'' if count == 1 else 's'} will be sent again at once.")
    click.echo(FIRST_REPLY_COUNTS)


def _replay_selected(selection: Selection, *, dry_run: bool, yes: bool) -> None:
    from xqueue_server.repair import bulk

    with database() as storage:
        count = bulk.matching(storage, bulk.Act.REPLAY, selection, EVERYTHING)
        what = "told to the LMS again"
        if not is_confirmed(count, what, dry_run=dry_run, yes=yes):
            return
        done = bulk.replay(storage, selection, EVERYTHING, confirmed=count, actor=actor())
    show_done(done, "will be told to the LMS again at once")
    click.echo(FIRST_REPLY_COUNTS)


def _replay_one(callback_id: int) -> int:
    with database() as storage, storage.write() as tx:
        callbacks.replay(tx, callback_id, actor=actor())
    return 1


def _replay_all(origin: str, since: datetime | None) -> int:
    from xqueue_server.callbacks import delivery  # brings the HTTP client along

    with database() as storage:
        return delivery.replay_origin(storage, origin, actor=actor(), since=since)
