"""Which sandbox of this machine `graders try` and `graders check` use.

For an author's convenience only: production workers are told their backend by name and never take
another one.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from graders.errors import NoSandbox
from graders.grader_file import load_manifest
from graders.shipping import library_files
from sandbox.backend import SandboxBackend
from sandbox.errors import SandboxUnavailable

PING_S = 5.0
NAMES = ("docker", "bubblewrap")
ON_THE_SERVER = "run it on the server: graders try … --server URL --queue QUEUE --token-file FILE"
NOTHING_HERE = (
    "Docker does not answer (at DOCKER_HOST, else /var/run/docker.sock), and there is no "
    f"bubblewrap. Start Docker, or {ON_THE_SERVER}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSandbox:
    name: str
    why: str
    """A sentence that says which it is."""
    backend: SandboxBackend


class AnyRegistry:
    """Who names an image here is at his own machine and asks for it himself."""

    def __contains__(self, host: object) -> bool:
        return True


def open_local_sandbox(name: str | None = None, *, base: str | None = None) -> LocalSandbox:
    """The named one; else Docker when it answers and has the image; else, on Linux, bubblewrap.

    `base` is the language whose image the grader runs in; None where it has one of its own.

    Raises:
        NoSandbox: with what to do.
    """
    missing = None
    if name == "docker" or (name is None and docker_answers()):
        missing = missing_image(base)
        if missing is None:
            why = "in Docker, as in production"
            return LocalSandbox(name="docker", why=why, backend=_open("docker"))
    if name == "docker" or not _has_bubblewrap():
        if name == "bubblewrap":
            raise NoSandbox(
                "bubblewrap is not on this machine; it needs Linux and the program bwrap"
            )
        raise NoSandbox(_without_image(missing) if missing else NOTHING_HERE)
    reason = f"Docker does not have {missing}" if missing else "Docker does not answer"
    why = "in bubblewrap, with this machine's programs" + ("" if name else f": {reason}")
    return LocalSandbox(name="bubblewrap", why=why, backend=_open("bubblewrap"))


def base_of(directory: Path) -> str | None:
    """The language whose image the grader needs, if it has none of its own.

    Raises ManifestInvalid.
    """
    manifest = load_manifest(directory)
    return None if manifest.tier == 2 else manifest.base


def _has_bubblewrap() -> bool:
    return sys.platform == "linux" and shutil.which("bwrap") is not None


def _without_image(image: str) -> str:
    return (
        f"Docker answers, but does not have the image {image}. Load it (docker load) or build it "
        f"from the project's sources (deploy/docker/build.sh); or {ON_THE_SERVER}"
    )


def missing_image(base: str | None) -> str | None:
    """The image of a language, when an engine that answers does not have it."""
    from sandbox.backends.docker.engine import EngineClient, EngineRefused
    from sandbox.backends.docker.settings import DockerSettings
    from sandbox.backends.docker.where import find_engine

    if base is None:
        return None
    image = DockerSettings().image_for(base)
    client = None
    try:
        client = EngineClient(find_engine(), timeout_s=PING_S)
        client.inspect_image(image)
    except EngineRefused as refused:
        return image if refused.status == HTTPStatus.NOT_FOUND else None
    except SandboxUnavailable:
        return None
    finally:
        if client is not None:
            client.close()
    return None


def docker_answers() -> bool:
    """Asked as the Docker backend would ask."""
    from sandbox.backends.docker.engine import EngineClient
    from sandbox.backends.docker.where import find_engine

    if sys.platform == "win32" and not os.environ.get("DOCKER_HOST"):
        return False  # a named pipe, which the backend does not speak
    client = None
    try:
        client = EngineClient(find_engine(), timeout_s=PING_S)
        client.ping(PING_S)
    except SandboxUnavailable:
        return False
    finally:
        if client is not None:
            client.close()
    return True


def _open(name: str) -> SandboxBackend:
    from sandbox.backends.docker.settings import DockerSettings
    from sandbox.factory import open_backend

    docker = DockerSettings(registries=AnyRegistry())
    return open_backend(name, library=library_files(), docker=docker)
