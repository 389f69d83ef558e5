"""Keeps this host up with what is published: fetches, prepares, reports, again and again.

All of it happens before a submission needs it, so that no learner waits for a download or a pull.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Mapping, Sequence

from grader_worker.backoff import Backoff, Random, jittered_s
from grader_worker.errors import LoginRefused, XQueueError
from grader_worker.event_log import log_crash, log_event, log_warning
from grader_worker.grading import Sandbox
from grader_worker.preparing import preparation_of
from grader_worker.published.assignments import PublishedAssignments
from grader_worker.published.grader_cache import BundleCache, VersionCache
from grader_worker.published.server_api import PublishedGrader, Readiness, ServerApi
from grader_worker.sandbox_gate import Sleep
from grader_worker.server_account import ServerAccount
from grader_worker.shared_flag import SharedFlag
from grader_worker.xqueue_client import XQueueClient
from sandbox.errors import SandboxError

LOOK_EVERY_S = 15.0
REPORT_EVERY_S = 180.0
TIDY_EVERY_S = 3600.0
TROUBLE_CAP_S = 60.0
CRASHED = "a fault of the grading host; its log says more"


class Keeper:
    """Serves all published queues of one server. Belongs to one thread."""

    def __init__(
        self,
        account: ServerAccount,
        flags: Mapping[str, SharedFlag],
        *,
        sandbox: Sandbox,
        bundles: BundleCache,
        versions: VersionCache,
        sleep: Sleep,
        host: str | None = None,
        rand: Random = random.random,
    ) -> None:
        self._client = XQueueClient(account)
        self._api = ServerApi(self._client)
        self._flags = flags
        self._books = {
            queue: PublishedAssignments(
                queue, self._api, bundles=bundles, versions=versions, flag=flag
            )
            for queue, flag in flags.items()
        }
        self._bundles = bundles
        self._versions = versions
        self._sandbox = sandbox
        self._sleep = sleep
        self._host = host or socket.gethostname()
        self._rand = rand
        self._trouble = Backoff(first_s=1.0, cap_s=TROUBLE_CAP_S, rand=rand)
        self._noted: Sequence[Readiness] = ()
        self._reported: Sequence[Readiness] = ()
        self._since_report_s = 0.0
        self._since_tidy_s = 0.0

    def keep_until_stopped(self) -> None:
        pause_s = 0.0
        try:
            while not self._sleep(pause_s):
                pause_s = self._look_and_pause_s()
                self._since_report_s += pause_s
                self._since_tidy_s += pause_s
        finally:
            self._client.close()

    def look(self) -> None:
        """One round. Raises XQueueError."""
        listed = self._api.assignments(self._flags)
        ours = [grader for grader in listed if grader.queue in self._books]
        states = self._make_all_ready(ours)
        self._note(states)
        if states != self._reported or self._since_report_s >= REPORT_EVERY_S:
            self._api.report_readiness(self._host, states)
            self._reported, self._since_report_s = states, 0.0
        if self._since_tidy_s >= TIDY_EVERY_S:
            self._tidy()

    def _look_and_pause_s(self) -> float:
        try:
            self.look()
        except XQueueError as error:
            pause_s = self._trouble.next_s()
            log_warning(
                "assignments-trouble",
                server=self._client.account.url,
                error=str(error),
                retry_in_s=round(pause_s, 1),
            )
            return pause_s
        except Exception:  # noqa: BLE001 - the outermost loop of its thread
            log_crash("keeper-crashed")
            return self._trouble.next_s()
        self._trouble.reset()
        return jittered_s(LOOK_EVERY_S, self._rand)

    def _make_all_ready(self, graders: Sequence[PublishedGrader]) -> list[Readiness]:
        """Images last: a registry that hangs holds up nothing else."""
        states: list[Readiness] = []
        for grader in sorted(graders, key=lambda grader: grader.image is not None):
            state = self._make_ready(grader)
            states.append(state)
            if grader.is_default:
                self._flags[grader.queue].set(state.problem is None)
        for queue, flag in self._flags.items():
            flag.set(_is_ready(queue, states))
        return states

    def _make_ready(self, grader: PublishedGrader) -> Readiness:
        """Again in every round: it is cheap when done, and a pruned image comes back, as does the
        pool of a sandbox that was restarted. Raises LoginRefused; any other trouble is this
        grader's alone."""
        self._versions.remember_version(grader)
        try:
            assignment = self._books[grader.queue].usable(grader)
            image_created = self._sandbox.prepare(preparation_of(assignment))
        except LoginRefused:
            raise
        except (SandboxError, XQueueError) as error:
            return Readiness.not_ready(grader, str(error))
        except Exception:  # noqa: BLE001 - one course team's grader must not stop all others'
            log_crash("preparing-crashed", queue=grader.queue, grader=grader.name)
            return Readiness.not_ready(grader, CRASHED)
        return Readiness(grader=grader, problem=None, image_created=image_created)

    def _tidy(self) -> None:
        removed = self._bundles.forget_unused() + self._versions.forget_unused()
        if removed:
            log_event("cache-tidied", removed=removed)
        self._since_tidy_s = 0.0

    def _note(self, states: Sequence[Readiness]) -> None:
        for state in states:
            if state not in self._noted:
                log_event(
                    "grader-ready" if state.problem is None else "grader-not-ready",
                    queue=state.grader.queue,
                    grader=state.grader.name,
                    version=state.grader.version,
                    problem=state.problem,
                )
        self._noted = states


def _is_ready(queue: str, states: Sequence[Readiness]) -> bool:
    """By the default grader: what names another is released where that is not ready. Without any
    the server hands out trials only, which come with their own."""
    own = [state for state in states if state.grader.queue == queue]
    if not own:
        return True
    defaults = [state for state in own if state.grader.is_default] or own
    return any(state.problem is None for state in defaults)
