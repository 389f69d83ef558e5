"""Looks for what a learner could reach in a grader's image, by walking it as one.

Our program runs in the image as a random uid without any right and tries the paths that are the
grader's: `/grade`, and those that the image's label declares beside it (`private:` in grader.yaml).
What a mode means is left to the kernel. Done once for each image id, before the image grades.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

from sandbox.backends.docker.containers import (
    GVISOR_PIDS,
    PROGRAM,
    RUNSC,
    hardened_host_config,
    our_config,
)
from sandbox.backends.docker.engine import EngineClient
from sandbox.backends.docker.images import Image
from sandbox.backends.docker.labels import Ownership
from sandbox.backends.docker.learner_uids import LearnerUids
from sandbox.backends.docker.starting import (
    ContainerStarter,
    ImageNotStartable,
    StartedContainer,
)
from sandbox.errors import GraderNotUsable, SandboxUnavailable
from sandbox.run import MIB
from sandbox.seccomp import docker_profile
from sandbox.supervisor.layout import GRADE_DIR

PRIVATE_LABEL = "org.xqueue.grader.private"
"""JSON list of absolute paths."""
WALK_S = 300.0
"""An image with a million files is walked from a cold disk in less."""
MEMORY_BYTES = 256 * MIB
PIDS = 16
KILLED = 137
MAX_OUTPUT_BYTES = 2 * MIB
NAMED = 5
"""Paths that a refusal names; the first is mostly the reason of the others."""
HOW = {
    "read": "can be read by learners",
    "list": "can be listed by learners",
    "enter": "can be entered by learners, who may guess the names in it",
    "execute": "can be executed by learners",
    "group": "belongs to a group that a learner may have",
    "owner": "belongs to a user that a learner may be",
    "setuid": "makes whoever executes it the grader",
    "missing": "does not exist in the image",
}
SUPPOSED = (
    "The grader's files must belong to uid 10001 with modes 0700 (folders, programs) and 0600; "
    "`graders build` sees to it for those in the directory"
)


class ImageWalk:
    """Thread-safe. Remembers what it found: an image id never means another content."""

    def __init__(
        self,
        engine: EngineClient,
        starter: ContainerStarter,
        ownership: Ownership,
        *,
        uids: LearnerUids,
    ) -> None:
        self._engine = engine
        self._starter = starter
        self._ownership = ownership
        self._uids = uids
        self._refusals: dict[str, str] = {}
        """Image id -> why not; empty for one that is closed."""
        self._walking = threading.Lock()

    def require_closed(self, image: Image, *, runtime: str | None = None) -> None:
        """Raises:
        GraderNotUsable: learners could reach what is the grader's, or nobody can tell.
        SandboxUnavailable: not now, because of the engine.
        """
        if image.image_id not in self._refusals:
            # One after the other: several workers prepare the same image at the same time.
            with self._walking:
                if image.image_id not in self._refusals:
                    problems = list(self._problems(image, runtime))
                    self._refusals[image.image_id] = _refusal(problems)
        refusal = self._refusals[image.image_id]
        if refusal:
            raise GraderNotUsable(f"{image.reference}: {refusal}")

    def _problems(self, image: Image, runtime: str | None) -> Iterator[str]:
        for line in self._lines(image, [GRADE_DIR, *private_paths(image)], runtime):
            how = line.get("how", "?")
            yield f"{line.get('path', '?')} {HOW.get(how, how)}"

    def _lines(
        self, image: Image, paths: list[str], runtime: str | None
    ) -> Iterator[dict[str, str]]:
        expires_at = time.time() + WALK_S
        config = self._config(image, paths, runtime, expires_at)
        try:
            walker = self._starter.start_configured(image, config, expires_at)
        except ImageNotStartable as error:
            raise GraderNotUsable(f"{error}; is it made with `graders build`?") from error
        try:
            lines = _read_lines(walker)
            status = self._engine.wait_container(walker.container_id)
        finally:
            self._starter.discard(walker)
        if status == KILLED:
            raise SandboxUnavailable(f"the program that examines {image.reference} was killed")
        if status != 0 or not lines or "walked" not in lines[-1]:
            said = walker.channel.stderr or "it said nothing"
            raise GraderNotUsable(
                f"{image.reference} can not be examined, so it is not used; build it again with "
                f"`graders build` (exit status {status}: {said})"
            )
        yield from lines[:-1]

    def _config(
        self, image: Image, paths: list[str], runtime: str | None, expires_at: float
    ) -> dict[str, Any]:
        uid = self._uids.pick()
        possible = self._uids.candidates
        learners = (str(possible.start), str(possible.stop - 1))
        host = hardened_host_config(
            memory_bytes=MEMORY_BYTES,
            pids=GVISOR_PIDS if runtime == RUNSC else PIDS,
            cpus=1.0,
            file_bytes=MIB,
            seccomp=docker_profile(),
            runtime=runtime,
        )
        return our_config(image, self._ownership.labels(expires_at), host) | {
            "Entrypoint": [*PROGRAM, "readable"],
            "Cmd": [*learners, *paths],
            "User": f"{uid}:{uid}",
            "WorkingDir": "/",
        }


def private_paths(image: Image) -> list[str]:
    """What the image's label declares. Raises GraderNotUsable for a label that says nothing."""
    text = image.labels.get(PRIVATE_LABEL, "[]")
    try:
        paths = json.loads(text)
    except (ValueError, RecursionError):
        paths = None
    if not isinstance(paths, list) or not all(
        isinstance(path, str) and path.startswith("/") and "\0" not in path for path in paths
    ):
        raise GraderNotUsable(
            f"{image.reference}: the label {PRIVATE_LABEL} is not a list of paths"
        )
    return paths


def _read_lines(walker: StartedContainer) -> list[dict[str, str]]:
    """Those that are whole; what is cut off or nonsense shows in the last one missing."""
    output = bytearray()
    until = time.monotonic() + WALK_S
    while len(output) <= MAX_OUTPUT_BYTES:
        try:
            data = walker.channel.receive(until - time.monotonic())
        except TimeoutError as error:
            raise SandboxUnavailable(f"walking an image took longer than {WALK_S:g} s") from error
        if not data:
            break
        output += data
    lines: list[dict[str, str]] = []
    for text in output.splitlines():
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            return []
        if not isinstance(line, dict) or not (line.keys() & {"how", "walked"}):
            return []
        lines.append({str(key): str(value) for key, value in line.items()})
    return lines


def _refusal(problems: list[str]) -> str:
    if not problems:
        return ""
    more = f"; and {len(problems) - NAMED} more" if len(problems) > NAMED else ""
    return f"{'; '.join(problems[:NAMED])}{more}. {SUPPOSED}"
