"""`xqueue-server subscriber`: who is told of attempts by signed webhook."""

from __future__ import annotations

from pathlib import Path

import click

from proctoring_hooks.store import SecretSubscriber
from xqueue_server.cli.environment import actor
from xqueue_server.cli.exam_store import exam_store
from xqueue_server.cli.lms import NAME
from xqueue_server.cli.output import json_option, show_json, show_table
from xqueue_server.cli.secret_files import read_secrets, secret_option
from xqueue_server.errors import InvalidRequest, NotFound
from xqueue_server.settings import origin_of
from xqueue_server.storage import events
from xqueue_server.transport import signing


@click.group()
def subscriber() -> None:
    """Enter, list and remove webhooks of attempts. Their secrets are never shown."""


@subscriber.command()
@click.argument("name")
@click.option("--lms", required=True, help="Whose attempts.")
@click.option("--course", default="", help="Only of this course. [default: all]")
@click.option("--url", required=True, help="Where the messages are posted to.")
@secret_option(
    "secret",
    "the secret that messages are signed with; while it is changed, the new and the old one",
    required=True,
)
@click.option(
    "--send-user-id",
    is_flag=True,
    help="Send the LMS's number of the learner, too: personal data. [default: the obscured id]",
)
def add(name: str, lms: str, course: str, url: str, secret_file: Path, send_user_id: bool) -> None:
    """Enter the subscriber NAME, or replace what is entered of it."""
    if not NAME.fullmatch(name):
        raise click.BadParameter("NAME has up to 64 small letters, digits and . _ -")
    if origin_of(url) is None:
        raise InvalidRequest("--url must be like https://example.org/hook")
    secret = read_secrets(secret=secret_file)["secret"]
    try:
        signing.read_secrets(secret)
    except ValueError as error:
        raise InvalidRequest(f"{error}") from None
    given = SecretSubscriber(name=name, url=url, secret=secret, sends_user_id=send_user_id)
    with exam_store() as store, store.write() as session:
        session.lms(lms)
        session.recipients.put_subscriber(given, lms=lms, course_id=course)
        detail = (
            f"lms={lms}, course={course or 'all'}, origin={origin_of(url)}, "
            f"user ids={'yes' if send_user_id else 'no'}"
        )
        events.append(
            session.tx, subject=f"subscriber {name}", actor=actor(), why="entered", detail=detail
        )
    click.echo(f"Entered subscriber {name}")


@subscriber.command("list")
@json_option
def list_subscribers(as_json: bool) -> None:
    """List the subscribers that are entered, by where they are."""
    with exam_store() as store, store.read() as session:
        found = session.recipients.subscribers()
    if as_json:
        show_json(found)
        return
    show_table(
        ["NAME", "LMS", "COURSE", "ORIGIN", "USER IDS"],
        [(e.name, e.lms, e.course_id or "all", e.origin, e.sends_user_id) for e in found],
    )


@subscriber.command()
@click.argument("name")
def remove(name: str) -> None:
    """Remove the subscriber NAME; what is on its way to it becomes a dead letter."""
    with exam_store() as store, store.write() as session:
        if not session.recipients.drop_subscriber(name):
            raise NotFound(f"No subscriber {name}")
        events.append(session.tx, subject=f"subscriber {name}", actor=actor(), why="removed")
    click.echo(f"Removed subscriber {name}")
