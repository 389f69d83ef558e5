"""`xqueue-server provider`: proctoring providers that attempts of our own are told to."""

from __future__ import annotations

from pathlib import Path

import click

from proctoring_hooks.providers import plugins
from proctoring_hooks.providers.base import BadSettings, Entry
from xqueue_server.cli.environment import actor
from xqueue_server.cli.exam_store import exam_store
from xqueue_server.cli.lms import NAME
from xqueue_server.cli.output import json_option, show_json, show_table
from xqueue_server.cli.secret_files import read_secrets
from xqueue_server.errors import InvalidRequest, NotFound
from xqueue_server.storage import events


@click.group()
def provider() -> None:
    """Enter, list and remove proctoring providers. Secrets come from files, and are never shown."""


@provider.command()
@click.argument("name")
@click.option("--plugin", required=True, help="null, mock, rest, software_secure, or another.")
@click.option("--setting", "settings", multiple=True, metavar="KEY=VALUE", help="Repeatable.")
@click.option(
    "--secret-file", "secrets", multiple=True, metavar="KEY=FILE", help="Repeatable; -: stdin."
)
def add(name: str, plugin: str, settings: tuple[str, ...], secrets: tuple[str, ...]) -> None:
    """Enter the provider NAME, or replace what is entered of it."""
    if not NAME.fullmatch(name):
        raise click.BadParameter("NAME has up to 64 small letters, digits and . _ -")
    paths = {key: Path(path) for key, path in _pairs(secrets, "--secret-file")}
    entry = Entry(
        name=name,
        plugin=plugin,
        settings=dict(_pairs(settings, "--setting")),
        secrets=read_secrets(**paths),
    )
    try:
        plugins.load(entry)
    except BadSettings as error:
        raise InvalidRequest(str(error)) from error
    with exam_store() as store, store.write() as session:
        session.recipients.put_provider(entry)
        detail = f"plugin={plugin}, {', '.join(sorted((*entry.settings, *entry.secrets)))}"
        events.append(
            session.tx, subject=f"provider {name}", actor=actor(), why="entered", detail=detail
        )
    click.echo(f"Entered provider {name}")


def _pairs(given: tuple[str, ...], option: str) -> list[tuple[str, str]]:
    pairs = [(key, value) for key, _, value in (each.partition("=") for each in given)]
    if any(not key.isidentifier() or not value for key, value in pairs):
        raise click.UsageError(f"{option} is written KEY=…")
    return pairs


@provider.command("list")
@json_option
def list_providers(as_json: bool) -> None:
    """List the providers that are entered."""
    with exam_store() as store, store.read() as session:
        found = session.recipients.providers()
    if as_json:
        show_json(
            [
                {
                    "name": e.name,
                    "plugin": e.plugin,
                    "settings": e.settings,
                    "secrets": sorted(e.secrets),
                }
                for e in found
            ]
        )
        return
    show_table(
        ["NAME", "PLUGIN", "BASE URL", "SECRETS"],
        [
            (e.name, e.plugin, e.settings.get("base_url"), ", ".join(sorted(e.secrets)))
            for e in found
        ],
    )


@provider.command()
@click.argument("name")
def remove(name: str) -> None:
    """Remove the provider NAME, if no active exam has it."""
    with exam_store() as store, store.write() as session:
        if not session.recipients.drop_provider(name):
            raise NotFound(f"No provider {name}")
        events.append(session.tx, subject=f"provider {name}", actor=actor(), why="removed")
    click.echo(f"Removed provider {name}")
