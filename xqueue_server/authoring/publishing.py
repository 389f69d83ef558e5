"""Publishing graders: what an author may put on a queue, and which version is used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from xqueue_server.errors import Conflict, InvalidRequest, NotFound, XQueueError
from xqueue_server.models.account import Account, Role
from xqueue_server.models.grader import (
    DIGEST,
    FORGEABLE,
    Ceilings,
    GraderSource,
    GraderVersion,
    Manifest,
    Problem,
    is_pinned,
    over_ceilings,
    read_manifest,
)
from xqueue_server.models.manifest_rules import problems_of
from xqueue_server.storage import Storage, Transaction, bundles, graders, policies
from xqueue_server.storage.policies import Policy

AUTHORS = frozenset({Role.AUTHOR})
WORKERS = frozenset({Role.GRADER})
USERS = frozenset({Role.AUTHOR, Role.GRADER})
"""Who may have the bundles of a queue."""
MOST_UNUSED_BUNDLES = 200
"""Of one account at a time: 1.6 GB at most."""
HIGHEST_VERSION = 2**31 - 1


class Refused(XQueueError):
    """A publication that can not be taken; `code` is the last part of the problem's type."""

    def __init__(self, code: str, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.code = code
        self.problems = tuple(problems)


class TooMany(XQueueError):
    """Wait before the next one."""

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What an author asks for, read and in itself usable."""

    queue: str
    source: GraderSource
    manifest: Manifest
    manifest_text: str = field(repr=False)
    is_activated: bool = True


# -- reading -------------------------------------------------------------------------------------


def read_publication(document: Mapping[str, Any]) -> Publication:
    """Raises: Refused, naming everything that can not be used."""
    problems = [
        *source_problems(document),
        *problems_of(document.get("manifest")),
        *_name_problems(document),
    ]
    if not isinstance(document.get("activate", True), bool):
        problems.append(Problem(where="activate", problem="must be true or false"))
    if problems:
        raise Refused("invalid", problems)
    return Publication(
        queue=str(document["queue"]),
        source=read_source(document),
        manifest=read_manifest(document["manifest"]),
        manifest_text=manifest_text(document["manifest"]),
        is_activated=document.get("activate", True),
    )


def manifest_text(manifest: Mapping[str, Any]) -> str:
    return json.dumps(manifest, ensure_ascii=True, separators=(",", ":"))


def _name_problems(document: Mapping[str, Any]) -> Sequence[Problem]:
    manifest = document.get("manifest")
    named = manifest.get("name") if isinstance(manifest, dict) else None
    if document.get("name", named) != named:
        return [Problem(where="name", problem="is not the manifest's")]
    return []


def source_problems(document: Mapping[str, Any]) -> Sequence[Problem]:
    digest, image = document.get("digest"), document.get("image")
    if (digest is None) == (image is None):
        return [Problem(where="digest", problem="or image must be given, one of the two")]
    if digest is not None and not (isinstance(digest, str) and DIGEST.fullmatch(digest)):
        return [Problem(where="digest", problem="must be sha256: and 64 lower-case hex digits")]
    if image is not None and not is_pinned(image):
        return [Problem(where="image", problem="must be pinned: NAME@sha256:… or sha256:…")]
    return []


def read_source(document: Mapping[str, Any]) -> GraderSource:
    """Of a document without `source_problems`."""
    digest = document.get("digest")
    return GraderSource(
        digest=None if digest is None else str(digest).removeprefix("sha256:"),
        image=document.get("image"),
    )


# -- bundles -------------------------------------------------------------------------------------


def store_bundle(storage: Storage, account: Account, digest: str, content: bytes) -> bool:
    """Keep a bundle; True if this account had not stored it before.

    Raises:
        Conflict: the digest is not that of the content.
        TooMany: of this account's, without being used.
    """
    if hashlib.sha256(content).hexdigest() != digest:
        raise Conflict("the bytes are not those of the digest; the bundle was changed on its way")
    with storage.write() as tx:
        is_known = bundles.has_uploaded(tx, digest, account.id)
        if not is_known and bundles.count_unused(tx, account.id) >= MOST_UNUSED_BUNDLES:
            raise TooMany(
                f"{MOST_UNUSED_BUNDLES} of your bundles are in no grader; they go a day after "
                "they were stored",
                retry_after_s=3600,
            )
        return bundles.store(tx, digest, content, account_id=account.id)


def keep_bundle(tx: Transaction, digest: str, content: bytes) -> None:
    """Store a bundle for an operator, who has no account; its digest was computed here."""
    bundles.store(tx, digest, content, account_id=None)


def bundle_for(tx: Transaction, account: Account, digest: str) -> bytes:
    """Raises: NotFound, in the same words whether it is not there or not theirs."""
    may = bundles.has_uploaded(tx, digest, account.id) or any(
        account.may(USERS, queue) for queue in bundles.queues_using(tx, digest)
    )
    content = bundles.content_of(tx, digest) if may else None
    if content is None:
        raise NotFound("No such bundle")
    return content


def require_source(tx: Transaction, account: Account, source: GraderSource) -> None:
    """A bundle must be there, and the account must have had it. Raises: Refused."""
    if source.digest is None:
        return
    is_known = bundles.has_uploaded(tx, source.digest, account.id) or any(
        account.may(AUTHORS, queue) for queue in bundles.queues_using(tx, source.digest)
    )
    if not (is_known and bundles.keep(tx, source.digest)):
        raise Refused(
            "invalid",
            [Problem(where="digest", problem="is of no bundle that you have stored; PUT it first")],
        )


# -- versions ------------------------------------------------------------------------------------


def publish(
    storage: Storage, account: Account, publication: Publication, ceilings: Ceilings, *, actor: str
) -> GraderVersion:
    """Add a version, and use it unless asked not to.

    Raises:
        Refused: the queue does not allow it, or the bundle is not there.
        NotFound: the queue has gone.
    """
    with storage.write() as tx:
        require_source(tx, account, publication.source)
        return publish_in(tx, publication, ceilings, published_by=account.name, actor=actor)


def publish_in(
    tx: Transaction,
    publication: Publication,
    ceilings: Ceilings,
    *,
    published_by: str,
    actor: str,
) -> GraderVersion:
    """The same within the caller's transaction, which has made sure of the bundle."""
    queue, name = publication.queue, publication.manifest.name
    graders.lock(tx, queue)
    require_allowed(policies.of_queue(tx, queue), publication.manifest, ceilings)
    version = graders.add_version(
        tx,
        queue,
        name,
        source=publication.source,
        manifest_text=publication.manifest_text,
        isolation=publication.manifest.isolation,
        published_by=published_by,
        actor=actor,
    )
    if publication.is_activated:
        graders.activate(tx, queue, name, version, actor=actor)
    return graders.version_of(tx, queue, name, version)


def activate(
    storage: Storage, queue: str, name: str, version: int, ceilings: Ceilings, *, actor: str
) -> GraderVersion:
    """Use a version from the next lease on.

    Raises:
        NotFound: no such version.
        Refused: the queue does not allow it any more.
    """
    with storage.write() as tx:
        graders.lock(tx, queue)
        if not 0 < version <= HIGHEST_VERSION:
            raise NotFound(f"Grader '{name}' of queue '{queue}' has no version {version}")
        found = graders.version_of(tx, queue, name, version)
        require_allowed(policies.of_queue(tx, queue), found.manifest, ceilings)
        graders.activate(tx, queue, name, version, actor=actor)
        return found


def require_allowed(policy: Policy, manifest: Manifest, ceilings: Ceilings) -> None:
    """Raises: Refused if the manifest asks for more than the queue gives."""
    if manifest.isolation == FORGEABLE and policy.legacy_reason is None:
        problem = Problem(
            where="manifest.isolation",
            problem="is none: learners' code could write its own grade; an administrator must "
            f"allow that: xqueue-server queue allow-legacy {policy.queue} --reason …",
        )
        raise Refused("isolation", [problem])
    over = over_ceilings(manifest, ceilings_of(policy, ceilings))
    if over:
        raise Refused("limits", over)


def ceilings_of(policy: Policy, ceilings: Ceilings) -> Ceilings:
    """The settings' ceilings with the queue's own in their place."""
    own = {
        "wall_s": policy.max_wall_s,
        "memory_bytes": policy.max_memory_bytes,
        "cpus": policy.max_cpus,
        "pids": policy.max_pids,
        "output_bytes": policy.max_output_bytes,
    }
    return replace(ceilings, **{k: v for k, v in own.items() if v is not None})  # type: ignore[arg-type]


def require_version_number(value: Any) -> int:
    """Raises: InvalidRequest."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidRequest("version must be a whole number")
    return value
