"""`xqueue-server account`: who may use the server, and on which queues."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import click

from xqueue_server.accounts import passwords
from xqueue_server.cli.django_accounts import DjangoAccount, read_django_accounts
from xqueue_server.cli.environment import actor, database
from xqueue_server.cli.grant_options import (
    course_grants_of,
    grant_options,
    grant_options_with_courses,
    grants_of,
)
from xqueue_server.cli.output import json_option, show_facts, show_json, show_table
from xqueue_server.cli.password_input import new_password, password_option
from xqueue_server.models.account import ALL_QUEUES, Account, Grant
from xqueue_server.storage import Transaction, accounts, course_grants
from xqueue_server.storage.course_grants import CourseGrant


@click.group()
def account() -> None:
    """Add, change and look at accounts of LMSes, graders and operators."""


@account.command()
@click.argument("name")
@grant_options_with_courses
@click.option("--email", help="By which an LMS knows the person.")
@password_option
def add(
    name: str,
    roles: tuple[str, ...],
    queue_names: tuple[str, ...],
    all_queues: bool,
    courses: tuple[str, ...],
    email: str | None,
    password_stdin: bool,
) -> None:
    """Add the account NAME with its roles, and queues or courses."""
    on_courses = course_grants_of(roles, courses, all_queues or bool(queue_names))
    grants = [] if on_courses else grants_of(roles, queue_names, all_queues)
    password_hash = passwords.hash_password(new_password(password_stdin))
    with database() as storage, storage.write() as tx:
        accounts.add(
            tx,
            name=name,
            password_hash=password_hash,
            grants=grants,
            actor=actor(),
            email=email,
        )
        for each in on_courses:
            course_grants.grant(tx, name, each, actor=actor())
    click.echo(f"Added account {name}")


@account.command("list")
@json_option
def list_accounts(as_json: bool) -> None:
    """List accounts and their grants."""
    with database() as storage, storage.read() as tx:
        found = accounts.all_accounts(tx)
        on = course_grants.of_all(tx)
    if as_json:
        show_json([_as_object(a, on.get(a.id, ())) for a in found])
    else:
        show_table(
            ["NAME", "ACTIVE", "GRANTS"],
            [(a.name, a.active, _grants(a, on.get(a.id, ()))) for a in found],
        )


@account.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show the account NAME, and the existing queues that it may use over the wire."""
    with database() as storage, storage.read() as tx:
        found = accounts.get(tx, name)
        usable = accounts.valid_queue_names(tx, found)
        on_courses = course_grants.of_account(tx, found.id)
    if as_json:
        show_json(_as_object(found, on_courses) | {"queues": usable})
        return
    show_facts(
        [
            ("name", found.name),
            ("e-mail", found.email),
            ("active", found.active),
            ("grants", _grants(found, on_courses)),
            ("queues", ", ".join(usable)),
        ]
    )


@account.command()
@click.argument("name")
@grant_options_with_courses
def grant(
    name: str,
    roles: tuple[str, ...],
    queue_names: tuple[str, ...],
    all_queues: bool,
    courses: tuple[str, ...],
) -> None:
    """Give the account NAME more roles on queues or courses."""
    on_courses = course_grants_of(roles, courses, all_queues or bool(queue_names))
    grants = [] if on_courses else grants_of(roles, queue_names, all_queues)
    with database() as storage, storage.write() as tx:
        if grants:
            accounts.grant(tx, name, grants, actor=actor())
        for each in on_courses:
            course_grants.grant(tx, name, each, actor=actor())
        click.echo(f"Account {name} has: {_held(tx, name)}")


@account.command()
@click.argument("name")
@grant_options_with_courses
def revoke(
    name: str,
    roles: tuple[str, ...],
    queue_names: tuple[str, ...],
    all_queues: bool,
    courses: tuple[str, ...],
) -> None:
    """Take roles on queues or courses back from the account NAME, from its next request on."""
    on_courses = course_grants_of(roles, courses, all_queues or bool(queue_names))
    grants = [] if on_courses else grants_of(roles, queue_names, all_queues)
    with database() as storage, storage.write() as tx:
        if grants:
            accounts.revoke(tx, name, grants, actor=actor())
        for each in on_courses:
            course_grants.revoke(tx, name, each, actor=actor())
        click.echo(f"Account {name} has: {_held(tx, name) or 'no grants'}")


def _held(tx: Transaction, name: str) -> str:
    found = accounts.get(tx, name)
    return _grants(found, course_grants.of_account(tx, found.id))


@account.command("set-password")
@click.argument("name")
@password_option
def set_password(name: str, password_stdin: bool) -> None:
    """Set the password of the account NAME; its sessions end at once."""
    password_hash = passwords.hash_password(new_password(password_stdin))
    with database() as storage, storage.write() as tx:
        accounts.set_password(tx, name, password_hash, actor=actor())
    click.echo(f"Set the password of account {name}")


@account.command("set-email")
@click.argument("name")
@click.argument("email", required=False)
@click.option("--none", "is_none", is_flag=True, help="Take it away.")
def set_email(name: str, email: str | None, is_none: bool) -> None:
    """Set the e-mail address by which an LMS knows who reviews as the account NAME."""
    if (email is None) != is_none:
        raise click.UsageError("Give an address or --none, one of the two.")
    with database() as storage, storage.write() as tx:
        accounts.set_email(tx, name, email, actor=actor())
    click.echo(f"{'Removed' if is_none else 'Set'} the e-mail address of account {name}")


@account.command()
@click.argument("name")
def disable(name: str) -> None:
    """Refuse the account NAME from now on; its sessions end at once."""
    with database() as storage, storage.write() as tx:
        accounts.set_active(tx, name, False, actor=actor())
    click.echo(f"Disabled account {name}")


@account.command()
@click.argument("name")
def enable(name: str) -> None:
    """Let the account NAME sign in again."""
    with database() as storage, storage.write() as tx:
        accounts.set_active(tx, name, True, actor=actor())
    click.echo(f"Enabled account {name}")


@account.command()
@click.argument("name")
def remove(name: str) -> None:
    """Remove the account NAME and its grants; its sessions end at once."""
    with database() as storage, storage.write() as tx:
        accounts.remove(tx, name, actor=actor())
    click.echo(f"Removed account {name}")


@account.command("import-django")
@click.option(
    "--file",
    "path",
    required=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help='JSON: a list of {"username", "password"}, or what `manage.py dumpdata auth.user` wrote.',
)
@grant_options
@click.pass_context
def import_django(
    ctx: click.Context,
    path: Path,
    roles: tuple[str, ...],
    queue_names: tuple[str, ...],
    all_queues: bool,
) -> None:
    """Take over accounts of the reference server with their passwords.

    Each gets the roles and queues given here. Accounts that exist already are left as they are.
    Exit code 1 if any could not be taken over.
    """
    grants = grants_of(roles, queue_names, all_queues)
    found = read_django_accounts(path)
    with database() as storage, storage.write() as tx:
        problems = [_import(tx, entry, grants) for entry in found]
    if any(problems):
        ctx.exit(1)


def _import(tx: Transaction, entry: DjangoAccount, grants: Sequence[Grant]) -> bool:
    """Take one account over and say so; whether that was impossible."""
    problem = entry.problem()
    if problem:
        click.echo(f"Can not import {entry.username!r}: {problem}", err=True)
    elif accounts.by_name(tx, entry.username):
        click.echo(f"Account {entry.username} exists already, left as it is")
    else:
        accounts.add(
            tx,
            name=entry.username,
            password_hash=entry.password_hash,
            grants=grants,
            actor=actor(),
        )
        if not entry.active:
            accounts.set_active(tx, entry.username, False, actor=actor())
        click.echo(f"Imported account {entry.username}")
    return problem is not None


def _as_object(account: Account, on_courses: Sequence[CourseGrant]) -> dict[str, object]:
    """Without the hash: it is nobody's business and would end up in logs."""
    return {
        "id": account.id,
        "name": account.name,
        "email": account.email,
        "active": account.active,
        "grants": sorted(account.grants, key=lambda g: (g.role, g.queue)),
        "course_grants": list(on_courses),
    }


def _grants(account: Account, on_courses: Sequence[CourseGrant]) -> str:
    """For each queue or course its roles, e.g. `grader+lms on all queues; operator on q`."""
    roles = defaultdict(list)
    for given in sorted(account.grants, key=lambda g: (g.queue, g.role)):
        roles[given.queue].append(given.role)
    held = {"all queues" if queue == ALL_QUEUES else queue: of for queue, of in roles.items()}
    for each in on_courses:
        held.setdefault(f"course {each.course}", []).append(each.role)
    return "; ".join(f"{'+'.join(of)} on {where}" for where, of in held.items())
