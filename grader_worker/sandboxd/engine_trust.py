"""A container that may use its host's engine is root on that host: it mounts what it likes.

So a sandboxd in a container refuses such an engine, unless an operator has said that the host is
given away with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from grader_worker.errors import SettingsError
from sandbox.backend import BackendDescription

MARKS = ("/.dockerenv", "/run/.containerenv")
"""Files that Docker and Podman put into every container."""
KUBERNETES = "KUBERNETES_SERVICE_HOST"


def is_in_container(environ: Mapping[str, str], root: Path = Path("/")) -> bool:
    return KUBERNETES in environ or any((root / mark.lstrip("/")).exists() for mark in MARKS)


def require_trusted_engine(described: BackendDescription, *, in_container: bool) -> None:
    """Raises SettingsError."""
    if in_container and described.hands_out_root:
        raise SettingsError(
            "this container holds the socket of a Docker Engine that gives it root on the host; "
            "use an engine with mapped users (deploy/worker-host/engine.sh makes one), or give "
            "the host away knowingly with --allow-root-engine"
        )
