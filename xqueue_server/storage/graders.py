"""Published graders and their versions. Every change is recorded as an event with it.

Changes lock the queue's row first: two publications get two versions, and one default.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, bindparam, insert, literal, select, update

from xqueue_server.errors import NotFound
from xqueue_server.models.grader import (
    FORGEABLE,
    Grader,
    GraderSource,
    GraderVersion,
    QueueIsolation,
)
from xqueue_server.storage import events
from xqueue_server.storage.engine import NOW, Transaction
from xqueue_server.storage.grader_schema import grader_versions, graders, queue_policies
from xqueue_server.storage.schema import queues

_G, _V = graders.c, grader_versions.c
_THIS = and_(_G.queue == bindparam("of_queue"), _G.name == bindparam("of_name"))
_LOCK = select(queues.c.name).where(queues.c.name == bindparam("of_queue")).with_for_update()
_GRADER = select(_G.queue, _G.name, _G.active, _G.latest, _G.is_default)
_BY_NAME = _GRADER.where(_THIS)
_OF_QUEUE = _GRADER.where(_G.queue == bindparam("of_queue")).order_by(_G.name)
_HAS_ANY = select(literal(1)).where(_G.queue == bindparam("of_queue")).limit(1)
_NAMES = select(_G.name).where(_G.queue == bindparam("of_queue")).order_by(_G.name).limit(20)
_INSERT = insert(graders).values(created_at=NOW, latest=1)
_COUNT_UP = (
    update(graders).where(_THIS).values(latest=_G.latest + 1).returning(_G.latest.label("latest"))
)
_ACTIVATE = update(graders).where(_THIS).values(active=bindparam("version"))
_SET_DEFAULT = (
    update(graders)
    .where(_G.queue == bindparam("of_queue"))
    .values(is_default=_G.name == bindparam("default_name"))
)
_VERSION = select(
    _V.queue,
    _V.name,
    _V.version,
    _V.digest,
    _V.image,
    _V.manifest,
    _V.published_by,
    _V.published_at,
)
_ONE_VERSION = _VERSION.where(
    _V.queue == bindparam("of_queue"),
    _V.name == bindparam("of_name"),
    _V.version == bindparam("version"),
)
_HAS_VERSION = select(literal(1)).where(
    _V.queue == bindparam("of_queue"),
    _V.name == bindparam("of_name"),
    _V.version == bindparam("version"),
)
_VERSIONS = _VERSION.where(
    _V.queue == bindparam("of_queue"), _V.name == bindparam("of_name")
).order_by(_V.version.desc())
_IS_ACTIVE = and_(_V.queue == _G.queue, _V.name == _G.name, _V.version == _G.active)
_ACTIVE_VERSIONS = (
    _VERSION.add_columns(_G.is_default)
    .join_from(graders, grader_versions, _IS_ACTIVE)
    .where(_G.queue == bindparam("of_queue"))
    .order_by(_G.name)
)
_INSERT_VERSION = insert(grader_versions).values(published_at=NOW)
# What a lease is given with: one row, without the manifest.
_CHOICE = (
    select(
        _G.name,
        _G.active,
        _V.digest,
        _V.image,
        _V.isolation,
        queue_policies.c.legacy_reason.is_not(None).label("allows_legacy"),
        queue_policies.c.isolation.label("queue_isolation"),
        queue_policies.c.runtime.label("queue_runtime"),
    )
    .select_from(graders)
    .outerjoin(grader_versions, _IS_ACTIVE)
    .outerjoin(queue_policies, queue_policies.c.queue == _G.queue)
    .where(_G.queue == bindparam("of_queue"))
)
_CHOICE_BY_NAME = _CHOICE.where(_G.name == bindparam("of_name"))
_CHOICE_OF_DEFAULT = _CHOICE.where(_G.is_default)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveVersion:
    version: GraderVersion
    is_default: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What the name (or the default) of a queue stands for at this moment."""

    name: str
    version: int | None
    source: GraderSource
    isolation: str | None
    """That the manifest demands."""
    queue_isolation: QueueIsolation | None
    """The operator's choice, where it holds for this grader."""
    is_refused: bool
    """It is forgeable, and the queue does not (or no longer) allow that."""

    @property
    def is_forgeable(self) -> bool:
        return self.isolation == FORGEABLE


# -- looking -------------------------------------------------------------------------------------


def find(tx: Transaction, queue: str, name: str) -> Grader | None:
    row = tx.one(_BY_NAME, of_queue=queue, of_name=name)
    return Grader(**row._mapping) if row else None


def get(tx: Transaction, queue: str, name: str) -> Grader:
    """Raises: NotFound."""
    found = find(tx, queue, name)
    if found is None:
        raise NotFound(f"Queue '{queue}' has no grader '{name}'")
    return found


def of_queue(tx: Transaction, queue: str) -> Sequence[Grader]:
    return [Grader(**row._mapping) for row in tx.all(_OF_QUEUE, of_queue=queue)]


def version_of(tx: Transaction, queue: str, name: str, version: int) -> GraderVersion:
    """Raises: NotFound."""
    row = tx.one(_ONE_VERSION, of_queue=queue, of_name=name, version=version)
    if row is None:
        raise NotFound(f"Grader '{name}' of queue '{queue}' has no version {version}")
    return _version(row)


def has_version(tx: Transaction, queue: str, name: str, version: int) -> bool:
    return tx.one(_HAS_VERSION, of_queue=queue, of_name=name, version=version) is not None


def versions_of(tx: Transaction, queue: str, name: str) -> Sequence[GraderVersion]:
    """Newest first."""
    return [_version(row) for row in tx.all(_VERSIONS, of_queue=queue, of_name=name)]


def active_versions(tx: Transaction, queue: str) -> Sequence[ActiveVersion]:
    """What workers of the queue must be able to run, by name."""
    return [
        ActiveVersion(version=_version(row), is_default=row.is_default)
        for row in tx.all(_ACTIVE_VERSIONS, of_queue=queue)
    ]


def has_any(tx: Transaction, queue: str) -> bool:
    return tx.one(_HAS_ANY, of_queue=queue) is not None


def names_of(tx: Transaction, queue: str) -> Sequence[str]:
    """The first 20, for a message."""
    return [row.name for row in tx.all(_NAMES, of_queue=queue)]


def candidate(tx: Transaction, queue: str, name: str | None) -> Candidate | None:
    """The grader of this name, or the default (None); None if there is none."""
    if name is None:
        row = tx.one(_CHOICE_OF_DEFAULT, of_queue=queue)
    else:
        row = tx.one(_CHOICE_BY_NAME, of_queue=queue, of_name=name)
    if row is None:
        return None
    source = GraderSource(digest=row.digest, image=row.image)
    return Candidate(
        name=row.name,
        version=row.active,
        source=source,
        isolation=row.isolation,
        queue_isolation=_queue_isolation(row, source),
        is_refused=row.isolation == FORGEABLE and not row.allows_legacy,
    )


def _queue_isolation(row: Any, source: GraderSource) -> QueueIsolation | None:
    if row.queue_isolation is None:
        return None
    chosen = QueueIsolation(isolation=row.queue_isolation, runtime=row.queue_runtime)
    return chosen if chosen.holds_for(row.isolation, source) else None


def _version(row: Any) -> GraderVersion:
    return GraderVersion(
        queue=row.queue,
        name=row.name,
        version=row.version,
        source=GraderSource(digest=row.digest, image=row.image),
        manifest_text=row.manifest,
        published_by=row.published_by,
        published_at=row.published_at,
    )


# -- changing ------------------------------------------------------------------------------------


def lock(tx: Transaction, queue: str) -> None:
    """Let nobody else change this queue's graders until the transaction ends. Raises: NotFound."""
    if tx.one(_LOCK, of_queue=queue) is None:
        raise NotFound(f"Queue '{queue}' not found")


def add_version(
    tx: Transaction,
    queue: str,
    name: str,
    *,
    source: GraderSource,
    manifest_text: str,
    isolation: str | None,
    published_by: str,
    actor: str,
) -> int:
    """The next version of a grader, not active yet; call `lock` before. Returns its number."""
    version = tx.scalar(_COUNT_UP, of_queue=queue, of_name=name)
    if version is None:
        version = 1
        tx.run(
            _INSERT,
            queue=queue,
            name=name,
            active=None,
            is_default=not has_any(tx, queue),
            now=tx.now,
        )
    tx.run(
        _INSERT_VERSION,
        queue=queue,
        name=name,
        version=version,
        digest=source.digest,
        image=source.image,
        manifest=manifest_text,
        isolation=isolation,
        published_by=published_by,
        now=tx.now,
    )
    _record(tx, queue, actor, "grader published", f"{name} version {version}")
    return int(version)


def activate(tx: Transaction, queue: str, name: str, version: int, *, actor: str) -> None:
    """Use a version that exists, from the next lease on."""
    before = get(tx, queue, name)
    if before.active != version:
        tx.run(_ACTIVATE, of_queue=queue, of_name=name, version=version)
        _record(tx, queue, actor, "grader activated", f"{name} {before.active} > {version}")


def set_default(tx: Transaction, queue: str, name: str, *, actor: str) -> None:
    """Raises: NotFound."""
    if not get(tx, queue, name).is_default:
        tx.run(_SET_DEFAULT, of_queue=queue, default_name=name)
        _record(tx, queue, actor, "default grader", name)


def _record(tx: Transaction, queue: str, actor: str, why: str, detail: str) -> None:
    events.append(tx, subject=f"queue {queue}", actor=actor, why=why, detail=detail)
