"""`xqueue-server grader`: published graders, for operators. Course teams use `graders publish`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from xqueue_server import settings
from xqueue_server.authoring import publishing
from xqueue_server.cli.environment import actor, database
from xqueue_server.cli.output import (
    FORGEABLE_MARK,
    json_option,
    show_facts,
    show_json,
    show_section,
    show_table,
)
from xqueue_server.errors import InvalidRequest
from xqueue_server.models.grader import MAX_BUNDLE_BYTES, Grader, GraderVersion, QueueIsolation
from xqueue_server.storage import Transaction, graders, policies, queues, readiness

OLD_DAYS = 90
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def grader() -> None:
    """Publish graders, look at them, go back to an earlier version."""


@grader.command("list")
@click.option("--queue", metavar="NAME")
@json_option
def list_graders(queue: str | None, as_json: bool) -> None:
    """List published graders."""
    with database() as storage, storage.read() as tx:
        names = [queues.get(tx, queue).name] if queue else [q.name for q in queues.all_queues(tx)]
        found = [_listed(tx, g) for name in names for g in graders.of_queue(tx, name)]
    if as_json:
        show_json([_as_object(listed) for listed in found])
        return
    show_table(
        ["QUEUE", "NAME", "ACTIVE", "LATEST", "DEFAULT", "ISOLATION", "BASE IMAGE", "MARK"],
        [_line(listed) for listed in found],
    )


@grader.command()
@click.argument("queue")
@click.argument("name")
@json_option
def show(queue: str, name: str, as_json: bool) -> None:
    """Show the grader NAME of QUEUE: its versions, and which hosts can run them."""
    with database() as storage, storage.read() as tx:
        found = _listed(tx, graders.get(tx, queue, name))
        versions = graders.versions_of(tx, queue, name)
        hosts = readiness.of_grader(tx, queue, name)
    if as_json:
        listed = [_version_object(v) for v in versions]
        show_json(_as_object(found) | {"versions": listed, "readiness": hosts})
        return
    show_facts(_facts(found))
    show_section("Versions", lambda: _show_versions(found.grader, versions))
    show_section(
        "Hosts",
        lambda: show_table(
            ["HOST", "VERSION", "READY", "PROBLEM", "AT", "BASE IMAGE"],
            [
                (h.host, h.version, h.is_ready, h.problem, h.at, image_age(h.image_created))
                for h in hosts
            ],
        ),
    )


@grader.command()
@click.argument("queue")
@click.option("--manifest", required=True, type=_FILE, help="JSON, as the kit compiles it.")
@click.option("--bundle", type=_FILE, help="The grader's directory, as the kit packs it.")
@click.option("--image", metavar="NAME@SHA256", help="Instead: an image pinned by its digest.")
@click.option("--no-activate", is_flag=True, help="Only store the version.")
def publish(
    queue: str, manifest: Path, bundle: Path | None, image: str | None, no_activate: bool
) -> None:
    """Publish a version of a grader on QUEUE."""
    content = _read_bundle(bundle) if bundle else None
    digest = hashlib.sha256(content).hexdigest() if content is not None else None
    publication = publishing.read_publication(
        {
            "queue": queue,
            "digest": digest and f"sha256:{digest}",
            "image": image,
            "manifest": _read_json(manifest),
            "activate": not no_activate,
        }
    )
    loaded = settings.load()
    with database(loaded) as storage, storage.write() as tx:
        if digest is not None and content is not None:
            publishing.keep_bundle(tx, digest, content)
        version = publishing.publish_in(
            tx, publication, loaded.ceilings, published_by=actor(), actor=actor()
        )
    click.echo(f"Published {version.name} version {version.version} on queue {queue}")


@grader.command()
@click.argument("queue")
@click.argument("name")
@click.argument("version", type=click.IntRange(1, publishing.HIGHEST_VERSION))
def activate(queue: str, name: str, version: int) -> None:
    """Use VERSION of the grader NAME of QUEUE from the next lease on."""
    loaded = settings.load()
    with database(loaded) as storage:
        publishing.activate(storage, queue, name, version, loaded.ceilings, actor=actor())
    click.echo(f"Queue {queue} uses {name} version {version}")


@grader.command("default")
@click.argument("queue")
@click.argument("name")
def make_default(queue: str, name: str) -> None:
    """Make NAME the grader of submissions to QUEUE that name none."""
    with database() as storage, storage.write() as tx:
        graders.lock(tx, queue)
        graders.set_default(tx, queue, name, actor=actor())
    click.echo(f"The default grader of queue {queue} is {name}")


def _read_bundle(path: Path) -> bytes:
    content = path.read_bytes()
    if len(content) > MAX_BUNDLE_BYTES:
        raise InvalidRequest(f"{path} is larger than {MAX_BUNDLE_BYTES} bytes")
    return content


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"{path} is not JSON") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    grader: Grader
    used: GraderVersion
    """The active version, or the latest where none is."""
    queue_isolation: QueueIsolation | None
    """The operator's choice, where it holds for `used`."""
    image_created: datetime | None
    """Of the oldest base image that a host runs `used` in."""


def _listed(tx: Transaction, found: Grader) -> _Listed:
    used = graders.version_of(tx, found.queue, found.name, found.active or found.latest)
    policy = policies.of_queue(tx, found.queue)
    chosen = policy.isolation_of(used.manifest.isolation, used.source)
    hosts = readiness.of_grader(tx, found.queue, found.name)
    created = [h.image_created for h in hosts if h.version == used.version and h.image_created]
    return _Listed(
        grader=found,
        used=used,
        queue_isolation=chosen,
        image_created=min(created, default=None),
    )


def _as_object(listed: _Listed) -> dict[str, object]:
    found, manifest = listed.grader, listed.used.manifest
    return {
        "queue": found.queue,
        "name": found.name,
        "active": found.active,
        "latest": found.latest,
        "default": found.is_default,
        "isolation": manifest.isolation,
        "queue_isolation": listed.queue_isolation,
        "forgeable": manifest.is_forgeable,
        "lms_points": manifest.lms_points,
        "image_created": listed.image_created,
    }


def _facts(listed: _Listed) -> list[tuple[str, object]]:
    facts = _as_object(listed)
    facts.pop("queue_isolation")
    facts.pop("image_created")
    facts["base image"] = image_age(listed.image_created)
    facts["isolation"] = _isolation(listed)
    return [(key.replace("_", " "), value) for key, value in facts.items()]


def _isolation(listed: _Listed) -> str | None:
    """What it runs with, and who says so where that is not its author."""
    chosen = listed.queue_isolation
    if chosen is None:
        return listed.used.manifest.isolation
    return f"{chosen} (queue)"


def image_age(created: datetime | None, *, now: datetime | None = None) -> str | None:
    """In whole days, with a warning for one that lacks a season of security fixes."""
    if created is None:
        return None
    days = ((now or datetime.now(UTC)) - created).days
    return f"{days} days, OLD: build it anew" if days > OLD_DAYS else f"{days} days"


def _version_object(version: GraderVersion) -> dict[str, object]:
    source = version.source
    return {
        "version": version.version,
        "digest": source.digest and f"sha256:{source.digest}",
        "image": source.image,
        "isolation": version.manifest.isolation,
        "forgeable": version.manifest.is_forgeable,
        "published_by": version.published_by,
        "published_at": version.published_at,
    }


def _line(listed: _Listed) -> tuple[object, ...]:
    found = listed.grader
    return (
        found.queue,
        found.name,
        found.active,
        found.latest,
        found.is_default,
        _isolation(listed),
        image_age(listed.image_created),
        FORGEABLE_MARK if listed.used.manifest.is_forgeable else None,
    )


def _show_versions(found: Grader, versions: Any) -> None:
    show_table(
        ["VERSION", "ACTIVE", "SOURCE", "PUBLISHED", "BY", "MARK"],
        [
            (
                v.version,
                v.version == found.active,
                v.source.image or f"sha256:{str(v.source.digest)[:16]}…",
                v.published_at,
                v.published_by,
                FORGEABLE_MARK if v.manifest.is_forgeable else None,
            )
            for v in versions
        ],
    )
