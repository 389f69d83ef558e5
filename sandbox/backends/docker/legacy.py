"""`Isolation.NONE`: images made for openedx/xqueue-watcher's ContainerGrader, as they are.

Their contract (docs/grader-interface.md there): arguments GRADER_PATH and SEED, the submission in
the variable SUBMISSION_CODE, the result as JSON on the last line of stdout. Learner's code runs in
the grader's process, so that it can write that line itself: such a result is *forgeable*, and only
images that the operator has named run at all. They get every other protection that ours have.
"""

from __future__ import annotations

import json
import time
from typing import Any

from sandbox.backends.docker.containers import (
    NO_TERMINALS,
    RUNSC,
    ContainerSpec,
    hardened_host_config,
    our_config,
)
from sandbox.backends.docker.images import Image
from sandbox.backends.docker.labels import Ownership
from sandbox.backends.docker.legacy_result import LegacyNonsense, legacy_result
from sandbox.backends.docker.pool import COLD_MARGIN_S
from sandbox.backends.docker.starting import ContainerStarter, StartedContainer
from sandbox.backends.docker.strategy import Strategy, Workshop, blaming_image_of
from sandbox.conversation import GRACE_S, MEMORY_NOTICE, TIME_NOTICE
from sandbox.errors import GraderNotUsable, HostCannot
from sandbox.run import MIB, ExitReason, ImageGrader, Preparation, RunRequest, RunResult
from sandbox.seccomp import docker_profile

UID = 1000
"""What these images expect, after that project's Kubernetes manifests."""
SCRATCH_BYTES = 50 * MIB
SPARE_PIDS = 16
MAX_VARIABLE_BYTES = 128 * 1024
"""Linux: MAX_ARG_STRLEN, for `NAME=value` and its NUL."""
READS_STDIN_LABEL = "org.xqueue.submission"
"""An image with this label and the value `stdin` reads its submission there when the variable is
missing, and so takes any size."""
MAX_STDOUT_BYTES = 32 * MIB
SEND_S = 20.0


class Legacy(Strategy):
    """A container per run, never from the pool: what it is for is in its arguments."""

    def __init__(self, workshop: Workshop, starter: ContainerStarter, ownership: Ownership) -> None:
        self._workshop = workshop
        self._starter = starter
        self._ownership = ownership

    def kinds(self, preparation: Preparation) -> list[ContainerSpec]:
        self._image(preparation)
        return []

    def run(self, request: RunRequest, files: list[dict[str, Any]], *, want: bool) -> RunResult:
        image = self._image(request)
        expires_at = time.time() + request.limits.wall_s + COLD_MARGIN_S
        config = _config(image, request, self._ownership.labels(expires_at))
        with blaming_image_of(request.grader):
            container = self._starter.start_configured(image, config, expires_at)
        try:
            return self._hold(container, request)
        finally:
            self._workshop.remover.take_over(container)

    def _image(self, what: Preparation | RunRequest) -> Image:
        if not isinstance(what.grader, ImageGrader):
            raise GraderNotUsable("isolation none is for images of other systems only")
        if not self._workshop.settings.allow_legacy.get(what.grader.image):
            raise HostCannot(
                f"{what.grader.image} may not run with isolation none: its grades could be forged "
                f"by learners; an operator may allow it with a reason"
            )
        return self._workshop.image_of(what.grader)

    def _hold(self, container: StartedContainer, request: RunRequest) -> RunResult:
        until = time.monotonic() + request.limits.wall_s + GRACE_S
        _hand_over(container, request)
        try:
            stdout = _read_all(container, until)
        except TimeoutError:
            self._workshop.require_answer()
            return _stopped(TIME_NOTICE)
        except LegacyNonsense as nonsense:
            return _failed(str(nonsense), container)
        status = self._workshop.engine.wait_container(container.container_id)
        if status != 0:
            if self._workshop.was_killed_for_memory(container):
                return _stopped(MEMORY_NOTICE)
            return _failed(f"the grader exited with status {status}", container)
        try:
            return legacy_result(stdout, request.limits, grader_log=container.channel.stderr)
        except LegacyNonsense as nonsense:
            return _failed(str(nonsense), container)


def _config(image: Image, request: RunRequest, labels: dict[str, str]) -> dict[str, Any]:
    limits = request.limits
    path, variables = _told(request, image)
    host = hardened_host_config(
        memory_bytes=limits.memory_bytes,
        pids=limits.pids + SPARE_PIDS,
        cpus=limits.cpus,
        file_bytes=SCRATCH_BYTES,
        seccomp=docker_profile(),
        runtime=request.runtime,
    )
    host["Tmpfs"] = {
        "/tmp": f"nosuid,nodev,mode=1777,size={SCRATCH_BYTES},nr_inodes=2000",  # noqa: S108 - its own
        **({} if request.runtime == RUNSC else NO_TERMINALS),
    }
    return our_config(image, labels, host) | {
        "Cmd": [path, str(int(request.job.get("seed", 0)))],
        "Env": [f"{name}={value}" for name, value in variables.items()],
        "User": f"{UID}:{UID}",
    }


def _told(request: RunRequest, image: Image) -> tuple[str, dict[str, str]]:
    """The grader's path and the variables, from the author's payload."""
    try:
        payload = json.loads(str(request.job.get("payload") or "{}"))
    except (ValueError, RecursionError) as error:
        raise GraderNotUsable(f"the grader_payload is not JSON: {error}") from error
    path = payload.get("grader") if isinstance(payload, dict) else None
    if not isinstance(path, str) or not path or "\0" in path:
        raise GraderNotUsable('the grader_payload must be an object with "grader", a path')
    variables = {
        "GRADER_LANGUAGE": str(payload.get("lang", "en"))[:40].replace("\0", ""),
        "HIDE_OUTPUT": "1" if payload.get("hide_output") else "0",
    }
    code = _submission(request)
    if "\0" not in code and len(f"SUBMISSION_CODE={code}".encode()) < MAX_VARIABLE_BYTES:
        variables["SUBMISSION_CODE"] = code
    elif image.labels.get(READS_STDIN_LABEL) != "stdin":
        # It would grade an empty text instead.
        raise GraderNotUsable(
            f"a submission of {len(code)} characters does not fit into a variable, and "
            f"{request.grader.image} does not say with the label "  # type: ignore[union-attr]
            f"{READS_STDIN_LABEL}=stdin that it reads it from stdin"
        )
    return path, variables


def _submission(request: RunRequest) -> str:
    # A lone surrogate has no UTF-8.
    return str(request.job.get("response", "")).encode(errors="replace").decode()


def _hand_over(container: StartedContainer, request: RunRequest) -> None:
    try:
        container.channel.send(_submission(request).encode(), SEND_S)
        container.channel.end_input()
    except ConnectionError:
        # It ended, or does not read what it has as a variable already.
        return


def _read_all(container: StartedContainer, until: float) -> bytes:
    """All of stdout, or TimeoutError. Its end is the container's end."""
    content = bytearray()
    while True:
        remaining_s = until - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError
        data = container.channel.receive(remaining_s)
        if not data:
            return bytes(content)
        content += data
        if len(content) > MAX_STDOUT_BYTES:
            raise LegacyNonsense(f"the grader printed more than {MAX_STDOUT_BYTES} bytes")


def _stopped(notice: str) -> RunResult:
    return RunResult(
        reason=ExitReason.LEARNER_LIMIT,
        reports=(),
        declared_max=1.0,
        notice=notice,
        forgeable=True,
    )


def _failed(detail: str, container: StartedContainer) -> RunResult:
    return RunResult(
        reason=ExitReason.GRADER_FAILED,
        reports=(),
        declared_max=None,
        detail=detail,
        grader_log=container.channel.stderr,
        forgeable=True,
    )
