"""What the kernel still has to free of boxes whose runs are over.

On a busy host the kernel may take long to free what a learner has put into a box. Everything in it
is dead then and the verdict is decided, so nobody waits: what is left is kept here and looked at
again. Only when very much piles up, or something stays for good, is that a failure.
"""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.cgroups import BoxGroup
from sandbox.errors import SandboxUnavailable

log = logging.getLogger(__name__)

PROMPT_S = 1.0
"""How long the end of a run waits for its boxes, which are gone within milliseconds as a rule."""
PATIENCE_S = 90.0
"""The supervisor itself waits for 60 s, and gives up then."""
GIVEN_UP = 70
"""Its exit code for that."""
MOST_LEFT = 8
"""Runs whose boxes may be left while another begins."""
ROOM_S = 20.0
"""How long a run waits while as many as that are left."""
LOOK_AGAIN_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """Of one run: the supervisor that waits for its boxes, and the control groups of those."""

    supervisor: subprocess.Popen[bytes]
    groups: tuple[BoxGroup, ...]
    left_at: float
    """On the monotonic clock."""

    def are_gone(self) -> bool:
        """Once the supervisor has ended nothing is left of a box, and its groups can go."""
        if self.supervisor.poll() is None:
            return False
        removed = [group.is_removed() for group in self.groups]
        if not all(removed):
            return False
        if self.supervisor.stderr is not None:
            self.supervisor.stderr.close()
        return True


class RemainsOfRuns:
    """Thread-safe; has no thread of its own: whoever begins or ends a run looks."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._left: list[Remains] = []

    def take_over(self, supervisor: subprocess.Popen[bytes], groups: tuple[BoxGroup, ...]) -> None:
        """Of a run that is over. Returns soon, whether they go soon or not."""
        remains = Remains(supervisor=supervisor, groups=groups, left_at=self._clock())
        try:
            supervisor.wait(PROMPT_S)
        except subprocess.TimeoutExpired:
            self._keep(remains)
            return
        until = self._clock() + PROMPT_S
        while not remains.are_gone():
            if self._clock() > until:
                self._keep(remains)
                return
            time.sleep(0.002)  # the kernel has no event for a version 1 group getting empty

    def require_room(self) -> None:
        """For one more run. Raises SandboxUnavailable when what was left does not go away."""
        until = self._clock() + ROOM_S
        while self.look() >= MOST_LEFT:
            if self._clock() > until:
                raise SandboxUnavailable(f"boxes of {MOST_LEFT} runs are still being freed")
            time.sleep(LOOK_AGAIN_S)

    def look(self) -> int:
        """How many runs have left something. Raises SandboxUnavailable for what stays for good."""
        with self._lock:
            gone = [remains for remains in self._left if remains.are_gone()]
            left = self._left = [remains for remains in self._left if remains not in gone]
        stale = [remains for remains in left if self._clock() - remains.left_at > PATIENCE_S]
        for remains in stale:
            remains.supervisor.kill()
        if stale or any(remains.supervisor.returncode == GIVEN_UP for remains in gone):
            raise SandboxUnavailable("a box whose run is over does not go away")
        return len(left)

    def settle(self) -> None:
        """Wait until nothing is left. Raises SandboxUnavailable for what stays for good."""
        while self.look():
            time.sleep(LOOK_AGAIN_S)

    def close(self) -> None:
        """Wait for nothing more. Groups that are left are the next process's to remove."""
        with self._lock:
            left, self._left = self._left, []
        for remains in left:
            remains.supervisor.kill()
            remains.supervisor.wait()
            if remains.supervisor.stderr is not None:
                remains.supervisor.stderr.close()

    def _keep(self, remains: Remains) -> None:
        with self._lock:
            self._left.append(remains)
            count = len(self._left)
        log.warning(
            "boxes outlast their run while the kernel frees them, of %d runs by now",
            count,
            extra={"action": "boxes_left", "runs": count},
        )
