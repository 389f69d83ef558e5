"""Bundles by their digest, and which accounts have shown that they have one."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, exists, func, insert, or_, select, update

from xqueue_server.instant import micros
from xqueue_server.storage.engine import NOW, ONCE_NOW, Transaction
from xqueue_server.storage.grader_schema import bundle_uploads, bundles, grader_versions, trials
from xqueue_server.storage.upsert import Upsert

UNUSED_KEPT_S = 24 * 3600

_STORE = Upsert(
    bundles,
    {
        "digest": bindparam("digest"),
        "content": bindparam("content"),
        "size_bytes": bindparam("size_bytes"),
        "stored_at": NOW,
    },
    conflict=["digest"],
    change={"stored_at": NOW},  # a day more before it can be taken for unused
)
_UPLOAD = insert(bundle_uploads).values(stored_at=NOW)
_HAS_UPLOADED = select(bundle_uploads.c.digest).where(
    bundle_uploads.c.digest == bindparam("digest"),
    bundle_uploads.c.account_id == bindparam("account_id"),
)
_CONTENT = select(bundles.c.content).where(bundles.c.digest == bindparam("digest"))
_TOUCH = update(bundles).where(bundles.c.digest == bindparam("of")).values(stored_at=NOW)
_QUEUES = (
    select(grader_versions.c.queue)
    .where(grader_versions.c.digest == bindparam("digest"))
    .union(select(trials.c.queue).where(trials.c.digest == bindparam("digest")))
)
_COUNT_UNUSED = (
    select(func.count())
    .select_from(bundle_uploads)
    .where(
        bundle_uploads.c.account_id == bindparam("account_id"),
        ~exists().where(grader_versions.c.digest == bundle_uploads.c.digest),
        ~exists().where(trials.c.digest == bundle_uploads.c.digest),
    )
)
_REMOVE_UNUSED = delete(bundles).where(
    bundles.c.stored_at <= ONCE_NOW - micros(UNUSED_KEPT_S),
    ~or_(
        exists().where(grader_versions.c.digest == bundles.c.digest),
        exists().where(trials.c.digest == bundles.c.digest),
    ),
)


def store(tx: Transaction, digest: str, content: bytes, *, account_id: int | None) -> bool:
    """Keep a bundle whose digest was verified; True if the account had not stored it before."""
    tx.run(_STORE.on(tx), digest=digest, content=content, size_bytes=len(content), now=tx.now)
    if account_id is None or has_uploaded(tx, digest, account_id):
        return False
    tx.run(_UPLOAD, digest=digest, account_id=account_id, now=tx.now)
    return True


def has_uploaded(tx: Transaction, digest: str, account_id: int) -> bool:
    return tx.one(_HAS_UPLOADED, digest=digest, account_id=account_id) is not None


def keep(tx: Transaction, digest: str) -> bool:
    """Lock a bundle that is about to be used, so that it stays; False if it is gone."""
    return bool(tx.run(_TOUCH, of=digest, now=tx.now))


def content_of(tx: Transaction, digest: str) -> bytes | None:
    found = tx.scalar(_CONTENT, digest=digest)
    return None if found is None else bytes(found)


def queues_using(tx: Transaction, digest: str) -> frozenset[str]:
    """The queues with a version or a trial of this bundle."""
    return frozenset(row.queue for row in tx.all(_QUEUES, digest=digest))


def count_unused(tx: Transaction, account_id: int) -> int:
    """Bundles that this account has stored and nobody uses (yet)."""
    return int(tx.scalar(_COUNT_UNUSED, account_id=account_id))


def remove_unused(tx: Transaction) -> int:
    """Forget what was stored a day ago or earlier and never published."""
    return tx.run(_REMOVE_UNUSED, now=tx.now)
