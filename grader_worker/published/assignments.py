"""The version that the server named for a lease, fetched if need be."""

from __future__ import annotations

from grader_worker.assignment import Assignment
from grader_worker.errors import RequestRefused
from grader_worker.lease import Lease
from grader_worker.published.grader_cache import BundleCache, VersionCache
from grader_worker.published.readiness import ReadyFlag
from grader_worker.published.server_api import PublishedGrader, ServerApi
from graders.errors import ManifestInvalid
from graders.manifest import manifest_from_json
from sandbox.errors import GraderNotUsable
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
        flag: ReadyFlag,
    ) -> None:
        self.queue = queue
        self._api = api
        self._bundles = bundles
        self._versions = versions
        self._flag = flag

    def ready(self) -> bool:
        return self._flag.is_ready

    def of(self, lease: Lease) -> Assignment:
        named = lease.grader
        if named is None:
            raise RequestRefused(f"queue {self.queue!r} has no published grader")
        if named.trial is not None:
            grader = self._api.trial(named.trial)
        else:
            grader = self.version(named.name, named.version)
        return self.usable(grader)

    def version(self, name: str, version: int) -> PublishedGrader:
        known = self._versions.known_version(self.queue, name, version)
        if known is None:
            known = self._api.version(self.queue, name, version)
            self._versions.remember_version(known)
        return known

    def usable(self, grader: PublishedGrader) -> Assignment:
        """Fetched if need be, and read."""
        try:
            manifest = manifest_from_json(dict(grader.manifest))
        except ManifestInvalid as error:
            raise GraderNotUsable(f"{grader.name} {grader.version}: {error}") from error
        return Assignment(
            queue=self.queue,
            grader=self._source(grader, manifest.base),
            limits=manifest.limits,
            isolation=manifest.isolation,
            runtime=manifest.runtime,
            tests=manifest.tests or None,
            lms_points=manifest.lms_points,
            legacy_reason=ALLOWED_THERE if manifest.isolation is Isolation.NONE else "",
        )

    def _source(self, grader: PublishedGrader, base: str) -> GraderSource:
        if grader.image is not None:
            return ImageGrader(image=grader.image)
        digest = grader.digest or ""
        path = self._bundles.directory(digest, lambda: self._api.bundle(digest))
        return DirectoryGrader(path=path, base=base)
