"""What the threads and forks of one worker process share about published graders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from grader_worker.assignment import ServedQueue
from grader_worker.assignments import Assignments, OwnAssignment
from grader_worker.grading import Sandbox
from grader_worker.published.assignments import PublishedAssignments
from grader_worker.published.grader_cache import BundleCache, VersionCache
from grader_worker.published.keeper import Keeper
from grader_worker.published.readiness import ReadyFlag
from grader_worker.published.server_api import ServerApi
from grader_worker.sandbox_gate import Sleep
from grader_worker.server_account import ServerAccount
from grader_worker.xqueue_client import XQueueClient


class Publications:
    """Made before any fork or thread. Queues with an assignment of their own need none of it."""

    def __init__(self, served: Sequence[ServedQueue], cache_dir: Path) -> None:
        self._cache_dir = cache_dir
        self._bundles = BundleCache(cache_dir)
        self._flags: dict[ServerAccount, dict[str, ReadyFlag]] = {}
        for queue in served:
            if queue.assignment is None:
                self._flags.setdefault(queue.account, {})[queue.name] = ReadyFlag()

    def assignments_of(self, queue: ServedQueue, client: XQueueClient) -> Assignments:
        """For the thread that the client belongs to."""
        if queue.assignment is not None:
            return OwnAssignment(queue.assignment)
        flag = self._flags[queue.account][queue.name]
        return PublishedAssignments(
            queue.name,
            ServerApi(client),
            bundles=self._bundles,
            versions=self._versions_of(queue.account),
            flag=flag,
        )

    def keepers(self, sandbox: Sandbox, sleep: Sleep) -> list[Keeper]:
        """One for each server, to be run by one process of the host's worker."""
        return [
            Keeper(
                account,
                flags,
                sandbox=sandbox,
                bundles=self._bundles,
                versions=self._versions_of(account),
                sleep=sleep,
            )
            for account, flags in self._flags.items()
        ]

    def _versions_of(self, account: ServerAccount) -> VersionCache:
        return VersionCache(self._cache_dir, server=account.url)
