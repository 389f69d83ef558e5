"""The one place where a backend is chosen by name."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from sandbox.backend import SandboxBackend
from sandbox.backends.docker import GRADER_BASE_IMAGE, DockerBackend, DockerSettings


class BackendName(StrEnum):
    """The real backends; `backends.fake.FakeBackend` is made by hand."""

    DOCKER = "docker"
    BUBBLEWRAP = "bubblewrap"


def open_backend(
    name: BackendName | str,
    *,
    library: Mapping[str, bytes] | None = None,
    base_image: str = GRADER_BASE_IMAGE,
    docker: DockerSettings | None = None,
) -> SandboxBackend:
    """A backend ready to run; opening asks nothing of the host yet, `check()` does.

    `library` are modules (path -> source) that every directory grader may import, as
    `graders.shipping.library_files()` gives them; `base_image` is what Docker runs those in Python
    in. `docker` says all of that and more: without it there is no warm pool.
    Raises ValueError for a name that is not a backend.
    """
    match BackendName(name):
        case BackendName.DOCKER:
            settings = docker or DockerSettings(base_image=base_image)
            return DockerBackend(settings, library=library)
        case BackendName.BUBBLEWRAP:
            # Needs Linux even to be imported, and graders are written on other systems too.
            from sandbox.backends.bubblewrap import BubblewrapBackend

            return BubblewrapBackend(library=library)
