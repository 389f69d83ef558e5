"""`xqueue-server token`: secrets with which programs use the API for an account."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path

import click

from xqueue_server.cli.environment import actor, database
from xqueue_server.cli.grant_options import grant_options, grants_of
from xqueue_server.cli.output import json_option, show_json, show_table, when
from xqueue_server.cli.paging import ROW_ID
from xqueue_server.instant import to_datetime
from xqueue_server.models.account import Grant
from xqueue_server.models.api_token import ApiToken, new_token, token_hash
from xqueue_server.storage import tokens

_LIFETIME = re.compile(r"([1-9]\d{0,3})([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_LONGEST = timedelta(days=366)


@click.group()
def token() -> None:
    """Make, list and revoke API tokens."""


def _lifetime(_ctx: click.Context, _param: click.Parameter, text: str) -> timedelta:
    found = _LIFETIME.fullmatch(text)
    lifetime = int(found[1]) * _UNITS[found[2]] if found else None
    if lifetime is None or lifetime > _LONGEST:
        raise click.BadParameter("like 12h, 30d or 8w; at most 366d")
    return lifetime


@token.command()
@click.option("--account", required=True, metavar="NAME", help="For whom it acts.")
@grant_options
@click.option(
    "--expires", callback=_lifetime, default="90d", show_default=True, help="Hours, days, weeks."
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the secret to this new file (mode 0600) instead of showing it.",
)
def create(
    account: str,
    roles: tuple[str, ...],
    queue_names: tuple[str, ...],
    all_queues: bool,
    expires: timedelta,
    out: Path | None,
) -> None:
    """Make a token for an account that has these roles itself, and show the secret, once.

    The server keeps only its hash. The token never allows more than the account may do.
    """
    scopes = grants_of(roles, queue_names, all_queues)
    secret = new_token()
    with database() as storage:
        expires_at = to_datetime(storage.now_us()) + expires
        with storage.write() as tx:
            token_id = tokens.add(
                tx,
                account,
                scopes,
                hashed=token_hash(secret),
                expires_at=expires_at,
                actor=actor(),
            )
            if out is not None:
                _write_private(out, secret)  # a token that could not be written is none
    click.echo(f"Token {token_id} of account {account}, until {when(expires_at)}", err=True)
    click.echo(f"Written to {out}" if out else secret)


def _write_private(path: Path, secret: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise click.ClickException(f"can not make {path}: {error.strerror}") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{secret}\n")


@token.command("list")
@json_option
def list_tokens(as_json: bool) -> None:
    """List tokens, without their secrets."""
    with database() as storage, storage.read() as tx:
        found = tokens.all_tokens(tx)
    if as_json:
        show_json(found)
        return
    show_table(
        ["ID", "ACCOUNT", "SCOPES", "CREATED", "BY", "EXPIRES", "LAST USED", "REVOKED"],
        [_line(t) for t in found],
    )


@token.command()
@click.argument("token_id", metavar="ID", type=ROW_ID)
def revoke(token_id: int) -> None:
    """Refuse the token ID from now on."""
    with database() as storage, storage.write() as tx:
        tokens.revoke(tx, token_id, actor=actor())
    click.echo(f"Revoked token {token_id}")


def _line(found: ApiToken) -> tuple[object, ...]:
    return (
        found.id,
        found.account,
        ", ".join(_shown(scope) for scope in found.scopes),
        found.created_at,
        found.created_by,
        found.expires_at,
        found.last_used_at,
        found.revoked_at,
    )


def _shown(scope: Grant) -> str:
    return f"{scope.role} on {scope.queue}"
