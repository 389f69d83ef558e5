"""The real backends, skipped where their service is missing and failed there when CI is set."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from graders.shipping import library_files
from sandbox.backend import SandboxBackend
from sandbox.backends.docker import GRADER_BASE_IMAGE
from sandbox.factory import open_backend
from tests.support.services import missing_service

BUILD = Path(__file__).parents[2] / "deploy" / "docker" / "build.sh"


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """A client of a reachable Docker Engine that has our images, built when they are not."""
    try:
        client = docker.from_env(timeout=20)
        client.ping()
    except docker.errors.DockerException:
        missing_service("a Docker Engine")
    built = subprocess.run([BUILD], capture_output=True, text=True, check=False)
    if built.returncode != 0:
        missing_service(f"the image {GRADER_BASE_IMAGE} ({built.stderr.strip()[-300:]})")
    yield client
    client.close()


@pytest.fixture(scope="session")
def docker_backend(engine: docker.DockerClient) -> Iterator[SandboxBackend]:
    backend = open_backend("docker", library=library_files())
    yield backend
    backend.close()


@pytest.fixture(scope="session")
def bubblewrap_backend() -> SandboxBackend:
    if shutil.which("bwrap") is None:
        missing_service("bubblewrap")
    return open_backend("bubblewrap", library=library_files())


@pytest.fixture(params=["docker", "bubblewrap"])
def backend(request: pytest.FixtureRequest) -> SandboxBackend:
    """Each real backend in turn."""
    return request.getfixturevalue(f"{request.param}_backend")
