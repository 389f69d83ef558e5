"""Asks the sandbox whether an image may grade: fetched if need be, examined, started once.

The very step that makes a grading host ready, so that an author learns of it first.
"""

from __future__ import annotations

from dataclasses import replace

from graders.errors import ImageRefused
from graders.manifest import Manifest
from graders.publishing.docker_program import DockerProgram
from graders.publishing.image_build import MANIFEST_LABEL, NAME_LABEL, manifest_digest
from sandbox.backend import SandboxBackend
from sandbox.backends.docker.pulling import OtherMachine
from sandbox.errors import SandboxError
from sandbox.run import ImageGrader, Preparation


class MadeForAnotherMachine(ImageRefused):
    """Than this one; the hosts that grade may be of its kind."""


def examine(manifest: Manifest, image: str, backend: SandboxBackend) -> Manifest:
    """The manifest with that image in it. Raises ImageRefused, MadeForAnotherMachine."""
    preparation = Preparation(
        grader=ImageGrader(image=image),
        limits=manifest.limits,
        isolation=manifest.isolation,
        runtime=manifest.runtime,
    )
    try:
        backend.prepare(preparation)
    except OtherMachine as error:
        raise MadeForAnotherMachine(str(error)) from error
    except SandboxError as error:
        raise ImageRefused(str(error)) from error
    return replace(manifest, image=image)


def require_same_grader(manifest: Manifest, image: str, docker: DockerProgram) -> None:
    """Raises ImageRefused when the image was built from another grader.yaml than the present one:
    points and limits would not be those of its tests."""
    described = docker.find_image(image)
    labels = ((described or {}).get("Config") or {}).get("Labels") or {}
    if labels.get(NAME_LABEL) != manifest.name:
        was = labels.get(NAME_LABEL, "no grader of `graders build`")
        raise ImageRefused(f"{image} is {was}, not {manifest.name}")
    if labels.get(MANIFEST_LABEL) != manifest_digest(manifest):
        raise ImageRefused(
            f"{image} was built from another grader.yaml than the present one: build it again"
        )
