"""One fresh container per submission on a Docker Engine, local or remote.

PID 1 is our supervisor as root with three capabilities; grader and learner run under two other
uids. Directory graders run in our grader-base image, image graders in an image built from it.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import docker
import requests
import urllib3
from docker.constants import DEFAULT_UNIX_SOCKET
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.types import Healthcheck, LogConfig, Ulimit
from docker.utils import kwargs_from_env

from sandbox import owner
from sandbox.backend import BackendDescription, BackendHealth, SandboxBackend
from sandbox.bundle import read_grader
from sandbox.conversation import (
    MEMORY_NOTICE,
    TIME_NOTICE,
    Conversation,
    SupervisorLost,
    start_frame,
)
from sandbox.docker_stream import AttachedChannel
from sandbox.errors import GraderNotUsable, SandboxUnavailable
from sandbox.probe.script import try_a_trivial_run
from sandbox.run import DirectoryGrader, ImageGrader, Limits, RunRequest, RunResult
from sandbox.supervisor.by_uid import BOX_DIR, GRADER_UID, LEARNER_TMP_DIR
from sandbox.supervisor.placing import GRADE_BYTES, GRADE_DIR, SCRATCH_DIR
from sandbox.uids import HIGH_RANGE, choose_at_random

log = logging.getLogger(__name__)

GRADER_BASE_IMAGE = "xqueue/grader-base:local"
API_TIMEOUT_S = 20.0
RUN_TIMEOUT_MARGIN_S = 60.0
"""A container older than its wall limit and this may be reaped by anybody."""
SPARE_PIDS = 16
MAX_FILES_IN_SCRATCH = 2000
NO_LASTING_IPC = {
    "kernel.shm_rmid_forced": "1",
    "kernel.msgmni": "0",
    "kernel.sem": "1 1 1 1",
}
"""System V objects outlive the process that made them, and would hold the memory of the container
against the grader until the kernel kills that."""
LABEL = "org.xqueue.sandbox"
ENTRYPOINT = ["python3", "-I", "-S", "/xq", "--container"]
TROUBLE = (DockerException, requests.RequestException, urllib3.exceptions.HTTPError, OSError)

NOT_STARTABLE = ("executable file not found", "exec format error", "no such file or directory")
"""What the engine says when an image, not the host, is at fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerSettings:
    """How to reach an engine and what to run on it."""

    base_image: str = GRADER_BASE_IMAGE
    """For directory graders; built by `deploy/docker/build.sh`."""
    docker_host: str | None = None
    """`unix://…` or `tcp://…`; None reads the DOCKER_HOST family of variables."""
    api_timeout_s: float = API_TIMEOUT_S


class DockerBackend(SandboxBackend):
    """Runs both kinds of graders; `library` are modules every directory grader may import."""

    def __init__(
        self,
        settings: DockerSettings | None = None,
        *,
        library: Mapping[str, bytes] | None = None,
        choose_uid: Callable[[range], int] = choose_at_random,
    ) -> None:
        self._settings = settings or DockerSettings()
        self._library = dict(library or {})
        self._choose_uid = choose_uid
        # A client of the SDK is not safe to share between threads: each call borrows one.
        self._idle_clients: list[docker.APIClient] = []
        self._clients_lock = threading.Lock()

    def run(self, request: RunRequest) -> RunResult:
        started_at = time.monotonic()
        grader = request.grader
        files = (
            read_grader(grader.path, self._library) if isinstance(grader, DirectoryGrader) else []
        )
        with self._client() as client, self._container(client, request) as container_id:
            channel = self._started(client, container_id, request)
            running_at = time.monotonic()
            try:
                result = self._hold(client, container_id, channel, request, files)
            finally:
                channel.close()
            ended_at = time.monotonic()
        phases = {
            "prepare": (running_at - started_at) * 1000,
            "run": (ended_at - running_at) * 1000,
            "cleanup": (time.monotonic() - ended_at) * 1000,
        }
        return replace(result, phases_ms=phases)

    def check(self) -> BackendHealth:
        return try_a_trivial_run(self)

    def describe(self) -> BackendDescription:
        try:
            with self._client() as client, _wrapping_trouble("asking the engine"):
                version, info = client.version(), client.info()
        except SandboxUnavailable as error:
            return BackendDescription(name="docker", version="?", unenforced=(str(error),))
        return BackendDescription(
            name="docker", version=version["Version"], unenforced=tuple(_missing_limits(info))
        )

    def reap(self) -> int:
        """Containers past their time, and those of dead processes of this host."""
        with self._client() as client, _wrapping_trouble("listing containers"):
            found = client.containers(all=True, filters={"label": LABEL})
            orphans = [container["Id"] for container in found if _is_orphan(container["Labels"])]
            for container_id in orphans:
                _remove(client, container_id)
        return len(orphans)

    def close(self) -> None:
        with self._clients_lock:
            clients, self._idle_clients = self._idle_clients, []
        for client in clients:
            client.close()

    @contextmanager
    def _client(self) -> Iterator[docker.APIClient]:
        """A connected client for one call. Raises SandboxUnavailable."""
        with self._clients_lock:
            client = self._idle_clients.pop() if self._idle_clients else None
        if client is None:
            with _wrapping_trouble("reaching the Docker Engine"):
                client = self._connect()
        try:
            yield client
        finally:
            with self._clients_lock:
                self._idle_clients.append(client)

    def _connect(self) -> docker.APIClient:
        settings = self._settings
        where = kwargs_from_env()
        if settings.docker_host is not None:
            where = {"base_url": settings.docker_host}
        _knock(where.get("base_url") or DEFAULT_UNIX_SOCKET, settings.api_timeout_s)
        # The SDK's stubs know only whole seconds; requests takes any number.
        return docker.APIClient(version="auto", timeout=settings.api_timeout_s, **where)  # type: ignore[arg-type]

    @contextmanager
    def _container(self, client: docker.APIClient, request: RunRequest) -> Iterator[str]:
        """A created container, removed on the way out with its volumes."""
        container_id = self._create(client, request)
        try:
            yield container_id
        finally:
            try:
                _remove(client, container_id)
            except TROUBLE as error:
                # The result stands; the reaper finds the container by its labels.
                log.warning(
                    "a container is left for the reaper",
                    extra={"action": "container_left", "run_id": request.run_id, "why": str(error)},
                )

    def _create(self, client: docker.APIClient, request: RunRequest) -> str:
        grader = request.grader
        with _wrapping_trouble("creating a container"):
            try:
                image = (
                    grader.image if isinstance(grader, ImageGrader) else self._settings.base_image
                )
                _refuse_volumes(client, image)
                learner_uid = self._choose_uid(HIGH_RANGE)
                config = _container_config(client, request, image, learner_uid)
                created = client.create_container_from_config(config)  # type: ignore[no-untyped-call]
            except ImageNotFound as error:
                raise self._no_image(grader) from error
        container_id: str = created["Id"]
        return container_id

    def _no_image(self, grader: DirectoryGrader | ImageGrader) -> Exception:
        if isinstance(grader, ImageGrader):
            return GraderNotUsable(f"the image {grader.image} is not on this host")
        return SandboxUnavailable(
            f"the image {self._settings.base_image} is not on this host: run deploy/docker/build.sh"
        )

    def _started(
        self, client: docker.APIClient, container_id: str, request: RunRequest
    ) -> AttachedChannel:
        """Attached before it starts, or its first bytes would be lost."""
        with _wrapping_trouble("starting a container"):
            attached = client.attach_socket(
                container_id, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            )
            channel = AttachedChannel(attached)
            try:
                client.start(container_id)
            except APIError as error:
                channel.close()
                raise _start_failure(error, request) from error
            except BaseException:
                channel.close()
                raise
        return channel

    def _hold(
        self,
        client: docker.APIClient,
        container_id: str,
        channel: AttachedChannel,
        request: RunRequest,
        files: list[dict[str, Any]],
    ) -> RunResult:
        conversation = Conversation(channel, request.limits)
        try:
            return conversation.hold(start_frame(request, files))
        except SupervisorLost as lost:
            said = channel.stderr or "it said nothing"
            if not lost.ready and isinstance(request.grader, ImageGrader) and not lost.silent:
                raise GraderNotUsable(
                    f"{request.grader.image} is not built from our grader base: {said}"
                ) from lost
            if lost.learner_active and lost.silent:
                return conversation.cut_short(TIME_NOTICE)
            if lost.learner_active and _was_killed_for_memory(client, container_id):
                return conversation.cut_short(MEMORY_NOTICE)
            if lost.ready and not lost.silent and _was_killed_for_memory(client, container_id):
                # Another try would end the same way.
                memory = f"{request.limits.memory_bytes} bytes of memory"
                raise GraderNotUsable(
                    f"grader and submission do not fit into {memory}; raise memory_bytes"
                ) from lost
            raise SandboxUnavailable(f"{lost}: {said}") from lost


def _container_config(
    client: docker.APIClient, request: RunRequest, image: str, learner_uid: int
) -> Any:
    """Everything that may differ from the engine's defaults is said, so that none matters."""
    limits = request.limits
    host_config = client.create_host_config(
        read_only=True,
        cap_drop=["ALL"],
        cap_add=["SETUID", "SETGID", "KILL"],
        security_opt=["no-new-privileges"],
        pids_limit=limits.pids + SPARE_PIDS,
        mem_limit=limits.memory_bytes,
        memswap_limit=limits.memory_bytes,
        nano_cpus=int(limits.cpus * 1e9),
        ipc_mode="none",
        sysctls=NO_LASTING_IPC,
        tmpfs=_tmpfs(limits, learner_uid, has_own_files=isinstance(request.grader, ImageGrader)),
        ulimits=[
            Ulimit(name="nofile", soft=1024, hard=1024),
            Ulimit(name="core", soft=0, hard=0),
        ],
        log_config=LogConfig(type="none"),
        restart_policy={"Name": "no"},
    )
    # No network_mode: with networking disabled the container still gets an empty network
    # namespace, and the engine skips a costly hook (SANDBOX.md, finding 4).
    config = client.create_container_config(
        image=image,
        entrypoint=ENTRYPOINT,
        command=[],
        user="0:0",
        working_dir="/",
        tty=False,
        stdin_open=True,
        detach=False,
        network_disabled=True,
        labels=_labels(request),
        healthcheck=Healthcheck(test=["NONE"]),
        host_config=host_config,
    )
    # The container's stdin ends when the worker does, and with it the supervisor.
    config["StdinOnce"] = True
    return config


def _tmpfs(limits: Limits, learner_uid: int, *, has_own_files: bool) -> dict[str, str]:
    small = limits.scratch_bytes // 4
    bounds = f"nosuid,nodev,nr_inodes={MAX_FILES_IN_SCRATCH},mode=0700"
    learner, grader = f"{bounds},uid={learner_uid},gid={learner_uid}", f"{bounds},uid={GRADER_UID}"
    folders = {
        BOX_DIR: f"{learner},exec,size={limits.scratch_bytes - small}",
        LEARNER_TMP_DIR: f"{learner},noexec,size={small}",
        SCRATCH_DIR: f"{grader},exec,size={limits.scratch_bytes}",
    }
    if not has_own_files:
        folders[GRADE_DIR] = f"nosuid,nodev,mode=0700,uid={GRADER_UID},exec,size={GRADE_BYTES}"
    return folders


def _labels(request: RunRequest) -> dict[str, str]:
    expires_at = time.time() + request.limits.wall_s + RUN_TIMEOUT_MARGIN_S
    return {
        LABEL: "run",
        f"{LABEL}.run": request.run_id,
        f"{LABEL}.host": socket.gethostname(),
        f"{LABEL}.owner": owner.this_process(),
        f"{LABEL}.expires": str(int(expires_at)),
    }


def _is_orphan(labels: Mapping[str, str]) -> bool:
    if float(labels.get(f"{LABEL}.expires", "0")) < time.time():
        return True
    is_ours = labels.get(f"{LABEL}.host") == socket.gethostname()
    return is_ours and not owner.is_alive(labels.get(f"{LABEL}.owner", ""))


def _refuse_volumes(client: docker.APIClient, image: str) -> None:
    """A declared volume is writable host disk without a limit, on a read-only root as well."""
    described = client.inspect_image(image)  # type: ignore[no-untyped-call]
    volumes = described["Config"].get("Volumes")
    if volumes:
        raise GraderNotUsable(f"{image} declares the volumes {', '.join(volumes)}; remove VOLUME")


def _start_failure(error: APIError, request: RunRequest) -> Exception:
    text = str(error.explanation or error)
    at_fault = isinstance(request.grader, ImageGrader) and error.response is not None
    if at_fault and any(words in text for words in NOT_STARTABLE):
        return GraderNotUsable(f"{request.grader.image} cannot be started: {text}")  # type: ignore[union-attr]
    return SandboxUnavailable(f"starting a container: {text}")


def _was_killed_for_memory(client: docker.APIClient, container_id: str) -> bool:
    """A hint only: the engine says so too when just one process of the container was killed."""
    with _wrapping_trouble("inspecting a container"):
        client.wait(container_id)
        return bool(client.inspect_container(container_id)["State"].get("OOMKilled"))


def _remove(client: docker.APIClient, container_id: str) -> None:
    try:
        client.remove_container(container_id, force=True, v=True)
    except NotFound:
        pass
    except APIError as error:
        if error.status_code != 409:  # another removal is in progress
            raise


def _missing_limits(info: Mapping[str, Any]) -> Iterator[str]:
    for key, sentence in (
        ("MemoryLimit", "this engine cannot limit memory"),
        ("PidsLimit", "this engine cannot limit processes"),
        ("CpuCfsQuota", "this engine cannot limit processors"),
    ):
        if not info.get(key):
            yield sentence
    if not info.get("SwapLimit"):
        yield "this engine cannot limit swap: a submission may use swap beyond its memory limit"
    options = " ".join(info.get("SecurityOptions") or ())
    if "name=seccomp" not in options:
        yield "this engine filters no system calls"
    else:
        yield "the engine's own seccomp profile is used: it may allow io_uring and AF_VSOCK"


def _knock(base_url: str, timeout_s: float) -> None:
    """Fail early on a socket nobody serves: the SDK would leak a descriptor at each attempt."""
    if "unix://" in base_url:
        with socket.socket(socket.AF_UNIX) as knocking:
            knocking.settimeout(timeout_s)
            knocking.connect(base_url.partition("unix://")[2])


@contextmanager
def _wrapping_trouble(doing: str) -> Iterator[None]:
    """Whatever the SDK, requests or a socket raise is the platform's failure."""
    try:
        yield
    except TROUBLE as error:
        raise SandboxUnavailable(f"{doing}: {_short(error)}") from error


def _short(error: Exception) -> str:
    explanation = getattr(error, "explanation", None)
    return str(explanation or error)[:500]
