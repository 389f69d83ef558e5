"""Sees that a grader's own image is on this host, made for it, and closed to learners."""

from __future__ import annotations

from collections.abc import Container

from sandbox.backends.docker.engine import EngineClient
from sandbox.backends.docker.image_walk import ImageWalk
from sandbox.backends.docker.images import Image, ImageLookup, ImageMissing, machine_of
from sandbox.backends.docker.pulling import (
    BY_DIGEST,
    IMAGE_ID,
    ImagePuller,
    OtherMachine,
    registry_of,
)
from sandbox.errors import GraderNotUsable, HostCannot, SandboxUnavailable


class GraderImages:
    """Thread-safe."""

    def __init__(
        self,
        engine: EngineClient,
        images: ImageLookup,
        puller: ImagePuller,
        walk: ImageWalk,
        *,
        registries: Container[str],
    ) -> None:
        self._engine = engine
        self._images = images
        self._puller = puller
        self._walk = walk
        self._registries = registries
        self._machine = ""

    def make_ready(self, reference: str, *, runtime: str | None) -> None:
        """Fetch it if need be and examine it: what takes long happens before a learner waits.

        Raises:
            GraderNotUsable: it is not there to be had, is for another machine, or is open.
            SandboxUnavailable: not now, or not with this host's credential.
        """
        self._walk.require_closed(self.fetch(reference), runtime=runtime)

    def fetch(self, reference: str) -> Image:
        """The same without the examination, which needs our program in the image."""
        self._images.forget(reference)  # what was there a second ago may be pruned by now
        try:
            image = self._images.find(reference)
        except ImageMissing as missing:
            image = self._fetched(reference, missing)
        self._require_our_machine(image)
        return image

    def require_examined(self, reference: str, *, runtime: str | None) -> None:
        """Costs nothing when `make_ready` has been here before. Fetches nothing.

        Raises as `make_ready`, and ImageMissing.
        """
        self._walk.require_closed(self._images.find(reference), runtime=runtime)

    def _fetched(self, reference: str, missing: ImageMissing) -> Image:
        if IMAGE_ID.fullmatch(reference):
            raise SandboxUnavailable(
                f"{missing}, and an image id can not be fetched: publish it by a registry's digest "
                "(`graders build --push`), or build it here"
            ) from missing
        pinned = BY_DIGEST.fullmatch(reference)
        if pinned is None:
            raise GraderNotUsable(f"{missing}") from missing
        registry = registry_of(pinned["name"])
        if registry not in self._registries:
            raise HostCannot(
                f"{missing}, and this host does not fetch images from {registry}: an operator may "
                f"allow it with `grader-worker sandboxd --registry {registry}`"
            ) from missing
        self._puller.pull(reference)
        return self._images.find(reference)

    def _require_our_machine(self, image: Image) -> None:
        """An engine fetches and keeps images of other machines, and only fails to start them."""
        if not self._machine:
            engine = self._engine.version()
            self._machine = machine_of(engine.get("Os"), engine.get("Arch"))
        if image.machine and image.machine != self._machine:
            raise OtherMachine(
                f"{image.reference} is made for {image.machine}, and this host is {self._machine}: "
                "build it on a machine of that kind"
            )
