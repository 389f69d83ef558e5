"""The version that the server named for a lease, fetched if need be."""

from __future__ import annotations

from dataclasses import replace

from grader_worker.assignment import Assignment
from grader_worker.errors import RequestRefused
from grader_worker.lease import Lease, NamedGrader, QueueIsolation
from grader_worker.published.grader_cache import BundleCache, VersionCache
from grader_worker.published.server_api import PublishedGrader, ServerApi
from grader_worker.shared_flag import SharedFlag
from graders.errors import ManifestInvalid
from graders.manifest import manifest_from_json
from sandbox.errors import GraderNotUsable, SandboxUnavailable
from sandbox.run import DirectoryGrader, GraderSource, ImageGrader, Isolation

ALLOWED_THERE = "an administrator of the server allowed it for this queue"


class PublishedAssignments:
    """Belongs to one thread, as its client does; cache and flag are shared."""

    asks_server = True

    def __init__(
        self,
        queue: str,
        api: ServerApi,
        *,
        bundles: BundleCache,
        versions: VersionCache,
        flag: SharedFlag,
    ) -> None:
        self.queue = queue
        self._api = api
        self._bundles = bundles
        self._versions = versions
        self._flag = flag

    def ready(self) -> bool:
        return self._flag.is_set

    def of(self, lease: Lease) -> Assignment:
        named = lease.grader
        if named is None:
            raise RequestRefused(f"queue {self.queue!r} has no published grader")
        trial = named.trial
        found = self._version(named) if trial is None else self._api.trial(trial)
        # Not what was remembered with the version: an operator's choice counts from now on.
        return self.usable(replace(found, queue_isolation=named.queue_isolation))

    def _version(self, named: NamedGrader) -> PublishedGrader:
        """A server whose database went back to a backup gives a number out twice, so what was
        remembered must have the content that the lease names."""
        known = self._versions.known_version(self.queue, named.name, named.version)
        if known is None or not _has_its_content(known, named):
            known = self._api.version(self.queue, named.name, named.version)
            if not _has_its_content(known, named):
                raise RequestRefused(
                    f"grader {named.name!r} {named.version} is not what the lease names"
                )
            self._versions.remember_version(known)
        return known

    def usable(self, grader: PublishedGrader) -> Assignment:
        """Fetched if need be, and read.

        Raises:
            GraderNotUsable: it is the course team's fault.
            SandboxUnavailable, XQueueError: it is this host's, or the server's.
        """
        try:
            manifest = manifest_from_json(dict(grader.manifest))
        except ManifestInvalid as error:
            raise GraderNotUsable(f"{grader.name} {grader.version}: {error}") from error
        chosen = grader.queue_isolation if manifest.isolation is None else None
        isolation = _known(chosen) if chosen else manifest.isolation
        return Assignment(
            queue=self.queue,
            grader=self._source(grader, manifest.base),
            limits=manifest.limits,
            isolation=isolation,
            runtime=manifest.runtime or (chosen.runtime if chosen else None),
            tests=manifest.tests or None,
            lms_points=manifest.lms_points,
            legacy_reason=ALLOWED_THERE if isolation is Isolation.NONE else "",
        )

    def _source(self, grader: PublishedGrader, base: str) -> GraderSource:
        if grader.image is not None:
            return ImageGrader(image=grader.image)
        digest = grader.digest or ""
        path = self._bundles.directory(digest, lambda: self._api.bundle(digest))
        return DirectoryGrader(path=path, base=base)


def _known(chosen: QueueIsolation) -> Isolation:
    """Raises SandboxUnavailable. `none` is an author's wish, and never chosen over his head."""
    offered = {i.value: i for i in Isolation if i is not Isolation.NONE}
    if chosen.isolation not in offered:
        raise SandboxUnavailable(f"no worker of this version knows isolation {chosen.isolation!r}")
    return offered[chosen.isolation]


def _has_its_content(grader: PublishedGrader, named: NamedGrader) -> bool:
    return (grader.digest, grader.image) == (named.digest, named.image)
