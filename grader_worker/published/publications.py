"""What the threads and forks of one worker process share about published graders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from grader_worker.assignment import ServedQueue
from grader_worker.assignments import Assignments, OwnAssignment
from grader_worker.grading import Sandbox
from grader_worker.pool import Pool
from grader_worker.published.assignments import PublishedAssignments
from grader_worker.published.grader_cache import BundleCache, VersionCache
from grader_worker.published.keeper import Keeper
from grader_worker.published.server_api import ServerApi
from grader_worker.sandbox_gate import Sleep
from grader_worker.server_account import ServerAccount
from grader_worker.shared_flag import SharedFlag
from grader_worker.xqueue_client import XQueueClient


class Publications:
    """Made before any fork or thread. Queues with an assignment of their own need none of it."""

    def __init__(
        self,
        served: Sequence[ServedQueue],
        cache_dir: Path,
        *,
        host: str | None = None,
        before: Publications | None = None,
    ) -> None:
        """`before` is of settings that were replaced: workers that stay share its flags."""
        self._cache_dir = cache_dir
        self._host = host
        self._bundles = BundleCache(cache_dir)
        self._flags: dict[ServerAccount, dict[str, SharedFlag]] = {}
        for queue in served:
            if queue.assignment is None:
                flag = before.flag_of(queue) if before else None
                self._flags.setdefault(queue.account, {})[queue.name] = flag or SharedFlag()

    def flag_of(self, queue: ServedQueue) -> SharedFlag | None:
        return self._flags.get(queue.account, {}).get(queue.name)

    def changed_to(self, served: Sequence[ServedQueue]) -> Publications:
        return Publications(served, self._cache_dir, host=self._host, before=self)

    def books_of(self, pool: Pool, client: XQueueClient) -> list[Assignments]:
        """One for each queue, for the thread that the client belongs to."""
        return [self.assignments_of(queue, client) for queue in pool.queues]

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
                host=self._host,
            )
            for account, flags in self._flags.items()
        ]

    def _versions_of(self, account: ServerAccount) -> VersionCache:
        return VersionCache(self._cache_dir, server=account.url)
