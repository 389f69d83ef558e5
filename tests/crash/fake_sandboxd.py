"""The real sandboxd on a backend that only looks at the answer: its first word decides the grade.

right | half | wrong      graded with 1, 0.5 or 0
slow …                    the same, after more than one renewal of the lease
platform-fails-once …     the first run of the submission finds the platform broken
grader-fails-once …       the first run of the submission finds the grader broken
"""

from __future__ import annotations

import time
from pathlib import Path

import click

from grader_worker.event_log import configure_logging
from grader_worker.sandboxd.daemon import SandboxDaemon
from grader_worker.sandboxd.socket_path import ListeningSocket
from grader_worker.stopping import stop_on_signals
from sandbox.backends.fake import Answer, FakeBackend, a_result
from sandbox.errors import SandboxUnavailable
from sandbox.run import ExitReason, RunRequest

SCORES = {"right": 1.0, "half": 0.5, "wrong": 0.0}
SLOW_S = 1.0


class Script:
    """What to answer; remembers in files what it did before, for it may be killed."""

    def __init__(self, memory: Path) -> None:
        self._memory = memory

    def __call__(self, request: RunRequest) -> Answer:
        *manners, verdict = request.job["response"].split()
        if "slow" in manners:
            time.sleep(SLOW_S)  # it stands for a grading that takes time
        if manners and self._is_first(manners[0], request):
            if manners[0] == "platform-fails-once":
                return SandboxUnavailable("the fake platform fails once")
            if manners[0] == "grader-fails-once":
                return a_result(reason=ExitReason.GRADER_FAILED, detail="it fails once")
        return a_result(score=SCORES[verdict])

    def _is_first(self, manner: str, request: RunRequest) -> bool:
        submission = request.run_id.partition("-")[0]
        try:
            (self._memory / f"{manner}-{submission}").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


@click.command()
@click.option("--socket", type=click.Path(path_type=Path), required=True)
@click.option("--memory", type=click.Path(path_type=Path), required=True)
def main(socket: Path, memory: Path) -> None:
    configure_logging()
    memory.mkdir(exist_ok=True)
    listening = ListeningSocket(socket)
    daemon = SandboxDaemon(FakeBackend(Script(memory)), listening, concurrency=4)
    stop_on_signals(daemon.stopping)
    daemon.serve()
