"""Which sandbox of this machine `graders try` and `graders check` use.

For an author's convenience only: production workers are told their backend by name and never take
another one.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass

from graders.errors import NoSandbox
from graders.shipping import library_files
from sandbox.backend import SandboxBackend
from sandbox.errors import SandboxUnavailable

PING_S = 5.0
NAMES = ("docker", "bubblewrap")
NOTHING_HERE = (
    "Docker does not answer (at DOCKER_HOST, else /var/run/docker.sock), and there is no "
    "bubblewrap. Start Docker, or run it on the server: "
    "graders try … --server URL --token-file FILE"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSandbox:
    name: str
    why: str
    """A sentence that says which it is."""
    backend: SandboxBackend


def open_local_sandbox(name: str | None = None) -> LocalSandbox:
    """The named one; else Docker when it answers; else, on Linux, bubblewrap.

    Raises:
        NoSandbox: with what to do.
    """
    if name == "docker" or (name is None and docker_answers()):
        return LocalSandbox(
            name="docker", why="in Docker, as in production", backend=_open("docker")
        )
    if sys.platform != "linux" or shutil.which("bwrap") is None:
        if name == "bubblewrap":
            raise NoSandbox(
                "bubblewrap is not on this machine; it needs Linux and the program bwrap"
            )
        raise NoSandbox(NOTHING_HERE)
    why = "in bubblewrap, with this machine's programs" + (
        "" if name else ": Docker does not answer"
    )
    return LocalSandbox(name="bubblewrap", why=why, backend=_open("bubblewrap"))


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
    from sandbox.factory import open_backend

    return open_backend(name, library=library_files())
