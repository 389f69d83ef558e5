"""Making an assignment's grader ready before a learner waits for it."""

from __future__ import annotations

from collections.abc import Sequence

from grader_worker.assignment import Assignment, ServedQueue
from grader_worker.event_log import log_event, log_warning
from grader_worker.grading import Sandbox
from grader_worker.sandbox_gate import Sleep
from sandbox.errors import SandboxError
from sandbox.run import Preparation

AGAIN_S = 60.0
"""A pruned image is fetched again, and a sandbox that was restarted warms up again."""


def preparation_of(assignment: Assignment) -> Preparation:
    return Preparation(
        grader=assignment.grader,
        limits=assignment.limits,
        isolation=assignment.isolation,
        runtime=assignment.runtime,
    )


class OwnGraders:
    """Those that the operator named. Submissions are leased whether or not they are ready: a broken
    grader must be seen as such."""

    def __init__(self, served: Sequence[ServedQueue], *, sandbox: Sandbox, sleep: Sleep) -> None:
        self._assignments = [queue.assignment for queue in served if queue.assignment is not None]
        self._sandbox = sandbox
        self._sleep = sleep
        self._problems: dict[int, str | None] = {}

    def keep_until_stopped(self) -> None:
        pause_s = 0.0
        while self._assignments and not self._sleep(pause_s):
            for number, assignment in enumerate(self._assignments):
                self._note(number, self._prepare(assignment))
            pause_s = AGAIN_S

    def _prepare(self, assignment: Assignment) -> str | None:
        try:
            self._sandbox.prepare(preparation_of(assignment))
        except SandboxError as error:
            return str(error)
        return None

    def _note(self, number: int, problem: str | None) -> None:
        """What is new. By number: queues of two servers may have one name."""
        if number in self._problems and self._problems[number] == problem:
            return
        self._problems[number] = problem
        queue = self._assignments[number].queue
        if problem is None:
            log_event("grader-ready", queue=queue)
        else:
            log_warning("grader-not-ready", queue=queue, problem=problem)
