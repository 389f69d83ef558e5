"""An image's way into a registry, and the name by which it can be had from there for ever.

The credential is the author's, as `docker login` stored it; hosts that grade have their own, which
needs to read only (`sandbox.backends.docker.pulling`).
"""

from __future__ import annotations

import re

from graders.errors import ImageRefused
from graders.publishing.docker_program import DockerProgram
from graders.publishing.image_build import BuiltImage

REPOSITORY = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9._-]+)+")
"""With the registry's host: without one, `docker push` would mean Docker Hub."""
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
PUSHED = re.compile(r"digest: (sha256:[0-9a-f]{64})")


def push_image(
    built: BuiltImage, repository: str, docker: DockerProgram, *, tag: str | None = None
) -> str:
    """`repository` is `REGISTRY/NAME`; gives `REGISTRY/NAME@sha256:…`.

    The tag is only for the registry, which may clear away what has none: nobody pulls by it.

    Raises ImageRefused.
    """
    tag = tag or f"{built.manifest.name}-{built.sources}"
    require_repository(repository, tag)
    name = f"{repository}:{tag}"
    docker.run("tag", built.image_id, name, failing=f"{name} can not be named")
    said = docker.follow(
        "push", name, failing=f"{name} can not be pushed (`docker login {host_of(repository)}`?)"
    )
    found = PUSHED.findall(said)
    if not found:
        raise ImageRefused(f"`docker push {name}` named no digest; it said:\n{said[-500:]}")
    return f"{repository}@{found[-1]}"


def require_repository(repository: str, tag: str | None = None) -> None:
    """Raises ImageRefused, before anything takes long."""
    host = host_of(repository)
    has_host = "." in host or ":" in host or host == "localhost"
    if not REPOSITORY.fullmatch(repository) or not has_host:
        raise ImageRefused(
            f"{repository!r:.200} is not REGISTRY/NAME, such as registry.example.org/cs101/squares"
        )
    if tag is not None and not TAG.fullmatch(tag):
        raise ImageRefused(f"{tag!r:.200} can not be a tag")


def host_of(repository: str) -> str:
    return repository.split("/")[0]
