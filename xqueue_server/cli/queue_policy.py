"""What a queue allows its graders, and where their faults are notified: verbs of `queue`."""

from __future__ import annotations

from typing import Any

import click

from xqueue_server import settings
from xqueue_server.cli.environment import actor, database
from xqueue_server.errors import Conflict
from xqueue_server.models.grader import FORGEABLE, ISOLATIONS
from xqueue_server.models.manifest_rules import RUNTIMES
from xqueue_server.storage import policies
from xqueue_server.storage.policies import Policy

LEGACY_WARNING = (
    "FORGEABLE: in such a grader learners' code runs as one with it and can write its own grade."
)
CHOOSABLE = tuple(word for word in ISOLATIONS if word != FORGEABLE)
MB = 1024 * 1024


@click.command()
@click.argument("name")
@click.option("--wall-s", "max_wall_s", type=click.FloatRange(1, 86_400), help="One whole run.")
@click.option("--memory-mb", type=click.IntRange(16, 1024 * 1024))
@click.option("--cpus", "max_cpus", type=click.FloatRange(0.1, 1024))
@click.option("--pids", "max_pids", type=click.IntRange(4, 100_000))
@click.option(
    "--output-bytes",
    "max_output_bytes",
    type=click.IntRange(1024, 1024 * MB),
    help="One execution of the learner's code.",
)
@click.option("--reset", is_flag=True, help="First go back to the settings' ceilings.")
def limits(name: str, memory_mb: int | None, reset: bool, **given: float | None) -> None:
    """Set the most that a grader published on the queue NAME may ask for.

    Versions that are published already stay in use; going back to one is checked again.
    """
    terms: dict[str, Any] = {k: v for k, v in given.items() if v is not None or reset}
    if memory_mb is not None or reset:
        terms["max_memory_bytes"] = None if memory_mb is None else memory_mb * MB
    if not terms:
        raise click.UsageError("Give at least one option.")
    with database() as storage, storage.write() as tx:
        policies.change(tx, name, actor=actor(), why="limits", **terms)
    click.echo(f"Changed the limits of queue {name}")


@click.command("allow-legacy")
@click.argument("name")
@click.option("--reason", required=True, help="Why; shown wherever the queue is listed.")
def allow_legacy(name: str, reason: str) -> None:
    """Let graders with isolation "none" be published on the queue NAME.

    FORGEABLE: in such a grader learners' code runs as one with it and can write its own grade.
    """
    if not reason.strip():
        raise click.UsageError("Give a reason.")
    with database() as storage, storage.write() as tx:
        policies.change(tx, name, actor=actor(), why="legacy allowed", legacy_reason=reason.strip())
    click.echo(f'Queue {name} allows isolation "none". {LEGACY_WARNING}')


@click.command("forbid-legacy")
@click.argument("name")
def forbid_legacy(name: str) -> None:
    """Refuse isolation "none" on the queue NAME again, also for what is published."""
    with database() as storage, storage.write() as tx:
        policies.change(tx, name, actor=actor(), why="legacy forbidden", legacy_reason=None)
    click.echo(f'Queue {name} refuses isolation "none"')


@click.command()
@click.argument("name")
@click.argument(
    "chosen",
    metavar="[split-uid|split-container|box]",
    required=False,
    default=None,
    type=click.Choice(CHOOSABLE),
)
@click.option("--runtime", type=click.Choice(RUNTIMES), help="With split-container.")
@click.option("--author-decides", is_flag=True, help="Choose nothing any more.")
def isolation(name: str, chosen: str | None, runtime: str | None, author_decides: bool) -> None:
    """Choose the isolation of published graders of the queue NAME, from the next lease on.

    It holds for those whose author demands none. Image graders do not run in a box: on such a
    queue they keep the default.
    """
    if author_decides == bool(chosen):
        raise click.UsageError(f"Give one of {', '.join(CHOOSABLE)}, or --author-decides.")
    if runtime and chosen != "split-container":
        raise click.UsageError("--runtime goes with split-container.")
    with database() as storage, storage.write() as tx:
        policy = policies.change(
            tx, name, actor=actor(), why="isolation", isolation=chosen, runtime=runtime
        )
    told = isolation_of(policy) or "the default of each host"
    click.echo(f"Graders of queue {name} that demand no isolation run with {told}")


@click.command()
@click.argument("name")
@click.option("--webhook", metavar="URL", help="POST there, signed; prints the secret.")
@click.option("--email", metavar="ADDRESS", help="Send e-mail there (see XQUEUE_SMTP_SERVER).")
@click.option("--off", is_flag=True, help="Notify nobody any more.")
def notify(name: str, webhook: str | None, email: str | None, off: bool) -> None:
    """Tell somebody of each new kind of fault of the queue NAME, once.

    Replaces what was set before. Nothing that learners or graders wrote is sent.
    """
    if off == bool(webhook or email):
        raise click.UsageError("Give --webhook or --email (or both), or --off.")
    loaded = settings.load()
    if webhook:
        _check_webhook(webhook, loaded)
    if email:
        _check_email(email, loaded)
    with database(loaded) as storage, storage.write() as tx:
        policies.change(tx, name, actor=actor(), why="notify", webhook_url=webhook, email=email)
    click.echo(f"Faults of queue {name} are notified to: {_targets(webhook, email)}")
    if webhook:
        _show_secret(name, webhook, loaded)


def _check_webhook(url: str, loaded: settings.Settings) -> None:
    origin = settings.origin_of(url)
    if origin is None or not url.isprintable() or " " in url:
        raise click.UsageError("--webhook must be an http(s) URL without a user name")
    if not origin.startswith("https://") and origin not in loaded.webhook_origins:
        raise Conflict(f"{origin} is not https; allow it with XQUEUE_WEBHOOK_ORIGINS")


def _check_email(address: str, loaded: settings.Settings) -> None:
    local, at, domain = address.rpartition("@")
    if not (local and at and domain) or not address.isprintable() or " " in address:
        raise click.UsageError("--email must be an address like staff@example.org")
    if loaded.mail is None:
        raise Conflict("No mail server is set: set XQUEUE_SMTP_SERVER and XQUEUE_SMTP_FROM first")


def _show_secret(name: str, webhook: str, loaded: settings.Settings) -> None:
    from xqueue_server.authoring.notifying import shown_secret, webhook_secret

    secret = webhook_secret(loaded.secret_key, name, webhook)
    click.echo(f"Its secret (the same for this queue and URL, always): {shown_secret(secret)}")


def _targets(webhook: str | None, email: str | None) -> str:
    return ", ".join(filter(None, (webhook, email))) or "nobody"


def policy_facts(policy: Policy) -> list[tuple[str, object]]:
    """What `queue show` says of it."""
    return [
        ("grader wall limit", policy.max_wall_s),
        ("grader memory limit", policy.max_memory_bytes),
        ("grader cpus limit", policy.max_cpus),
        ("grader pids limit", policy.max_pids),
        ("grader output limit", policy.max_output_bytes),
        ("isolation", isolation_of(policy)),
        ("isolation none", forgeable_mark(policy)),
        ("faults notified to", _targets(policy.webhook_url, policy.email)),
    ]


def isolation_of(policy: Policy | None) -> str | None:
    """What the operator chose."""
    return str(policy.queue_isolation) if policy and policy.queue_isolation else None


def forgeable_mark(policy: Policy | None) -> str | None:
    if policy is None or policy.legacy_reason is None:
        return None
    return f"FORGEABLE, allowed: {policy.legacy_reason}"


COMMANDS = (limits, isolation, allow_legacy, forbid_legacy, notify)
