"""`xqueue-server event`: the record of who changed what."""

from __future__ import annotations

import click

from xqueue_server.cli.environment import database
from xqueue_server.cli.event_table import show_events
from xqueue_server.cli.output import json_option, show_json
from xqueue_server.cli.paging import page_options, tell_of_older
from xqueue_server.storage import browsing


@click.group()
def event() -> None:
    """Look at the record of who changed what."""


@event.command("list")
@click.option("--subject", help='Exactly this one, e.g. "account lms", "queue q", "submission 7".')
@page_options
@json_option
def list_events(subject: str | None, limit: int, before: int | None, as_json: bool) -> None:
    """List changes of submissions, callbacks, queues and accounts, newest first."""
    with database() as storage, storage.read() as tx:
        found = browsing.latest_events(tx, subject=subject, limit=limit, before=before)
    if as_json:
        show_json(found)
    else:
        show_events(found)
        tell_of_older([e.id for e in found], limit)
