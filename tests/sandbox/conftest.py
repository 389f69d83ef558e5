"""The real backends, skipped where their service is missing and failed there when CI is set."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import docker
import pytest

from graders.shipping import library_files
from sandbox.backend import SandboxBackend
from sandbox.backends.docker import GRADER_BASE_IMAGE
from sandbox.factory import open_backend

BUILD = Path(__file__).parents[2] / "deploy" / "docker" / "build.sh"


def service_is_missing(what: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, and must not be where CI is set")
    pytest.skip(f"{what} is missing")


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """A client of a reachable Docker Engine that has our images, built when they are not."""
    try:
        client = docker.from_env(timeout=20)
        client.ping()
    except docker.errors.DockerException:
        service_is_missing("a Docker Engine")
    built = subprocess.run([BUILD], capture_output=True, text=True, check=False)
    if built.returncode != 0:
        service_is_missing(f"the image {GRADER_BASE_IMAGE} ({built.stderr.strip()[-300:]})")
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
        service_is_missing("bubblewrap")
    return open_backend("bubblewrap", library=library_files())


@pytest.fixture(params=["docker", "bubblewrap"])
def backend(request: pytest.FixtureRequest) -> SandboxBackend:
    """Each real backend in turn."""
    return request.getfixturevalue(f"{request.param}_backend")
