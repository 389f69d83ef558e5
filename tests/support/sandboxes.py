"""The real sandboxes, skipped where their service is missing and failed there when CI is set.

`ENGINES` is the one list of what the suites run on: a new engine is one line.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest

from graders.shipping import library_files
from sandbox.backend import SandboxBackend
from sandbox.factory import BackendName, open_backend
from sandbox.hostile.case import Engine
from sandbox.probe.aimed import AimedBackend
from sandbox.run import Isolation
from tests.support.services import missing_service

BUILD = Path(__file__).parents[2] / "deploy" / "docker" / "build.sh"
ENGINES = {
    "docker": (Engine.SPLIT_UID, BackendName.DOCKER, None, None),
    "bubblewrap": (Engine.BUBBLEWRAP, BackendName.BUBBLEWRAP, None, None),
    "docker-box": (Engine.BOX, BackendName.DOCKER, Isolation.BOX, None),
    "docker-two": (Engine.SPLIT_CONTAINER, BackendName.DOCKER, Isolation.SPLIT_CONTAINER, None),
    "docker-runsc": (Engine.GVISOR, BackendName.DOCKER, Isolation.SPLIT_CONTAINER, "runsc"),
}
"""Name in tests -> row of the hostile suite's table, backend, isolation, runtime."""
DEFAULTS = ("docker", "bubblewrap")
"""What the backends do when nothing else is asked for."""
_asked_for: dict[tuple[str, ...], str] = {}
"""Images -> why they could not be built, empty when they are there."""


def need_images(*names: str) -> None:
    """The images of those names (see build.sh), or all; built when they are not."""
    if names not in _asked_for:
        built = subprocess.run([BUILD, *names], capture_output=True, text=True, check=False)
        _asked_for[names] = "" if built.returncode == 0 else built.stderr.strip()[-300:] or "failed"
    if _asked_for[names]:
        missing_service(f"the images {' '.join(names)} ({_asked_for[names]})")


@contextmanager
def engine_with(*images: str) -> Iterator[docker.DockerClient]:
    """A client of a reachable Docker Engine that has those of our images."""
    try:
        client = docker.from_env()  # whose patience of a minute a busy engine may need
        client.ping()
    except docker.errors.DockerException:
        missing_service("a Docker Engine")
    need_images(*images)
    yield client
    client.close()


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """With the image for Python graders; tests of other languages and of slots need more."""
    with engine_with("functions") as client:
        yield client


@pytest.fixture(scope="session")
def docker_backend(engine: docker.DockerClient) -> Iterator[SandboxBackend]:
    backend = open_backend("docker", library=library_files())
    yield backend
    backend.close()


@pytest.fixture(scope="session")
def bubblewrap_backend() -> Iterator[SandboxBackend]:
    if shutil.which("bwrap") is None:
        missing_service("bubblewrap")
    backend = open_backend("bubblewrap", library=library_files())
    yield backend
    backend.close()


def backend_of(request: pytest.FixtureRequest, name: str) -> tuple[SandboxBackend, Engine]:
    """The backend of that entry of `ENGINES`, asking for its isolation and runtime."""
    row, backend_name, isolation, runtime = ENGINES[name]
    opened: SandboxBackend = request.getfixturevalue(f"{backend_name}_backend")
    if runtime is not None:
        client: docker.DockerClient = request.getfixturevalue("engine")
        if runtime not in client.info()["Runtimes"]:
            missing_service(f"the container runtime {runtime}")
    if isolation is Isolation.BOX:
        need_images("box-python")
    if isolation is None and runtime is None:
        return opened, row
    return AimedBackend(opened, isolation=isolation, runtime=runtime), row


@pytest.fixture(params=DEFAULTS)
def backend(request: pytest.FixtureRequest) -> SandboxBackend:
    """Each real backend in turn, with its own isolation."""
    return backend_of(request, request.param)[0]
