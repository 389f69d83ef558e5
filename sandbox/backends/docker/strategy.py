"""The seam between the backend and the ways of keeping grader and learner apart in containers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sandbox.backends.docker.containers import ContainerSpec
from sandbox.backends.docker.engine import EngineClient
from sandbox.backends.docker.images import Image, ImageLookup, ImageMissing
from sandbox.backends.docker.pool import WarmPool
from sandbox.backends.docker.pulling import is_pinned
from sandbox.backends.docker.removal import Remover
from sandbox.backends.docker.settings import DockerSettings
from sandbox.backends.docker.shipped_library import ShippedLibrary
from sandbox.backends.docker.starting import ImageNotStartable, StartedContainer
from sandbox.conversation import Conversation
from sandbox.errors import GraderNotUsable, SandboxUnavailable
from sandbox.run import GraderSource, ImageGrader, Limits, Preparation, RunRequest, RunResult

LISTEN_AGAIN_S = 2.0
"""For what an engine that was stopped for a while still has to deliver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What every strategy works with; one per backend."""

    settings: DockerSettings
    engine: EngineClient
    images: ImageLookup
    pool: WarmPool
    remover: Remover
    library: ShippedLibrary

    def image_of(self, grader: GraderSource) -> Image:
        """Raises GraderNotUsable, SandboxUnavailable."""
        if isinstance(grader, ImageGrader):
            with blaming_image_of(grader):
                return self.images.find(grader.image)
        reference = self.settings.image_for(grader.base)
        try:
            return self.images.find(reference)
        except ImageMissing as error:
            raise SandboxUnavailable(f"{error}: run deploy/docker/build.sh") from error

    @contextmanager
    def container(
        self, spec: ContainerSpec, limits: Limits, *, want: bool
    ) -> Iterator[StartedContainer]:
        """A ready one for this run alone, killed and removed behind its back."""
        container = self.pool.take(spec, limits.wall_s, want=want)
        try:
            yield container
        finally:
            self.remover.take_over(container)

    def require_answer(self) -> None:
        """Raises SandboxUnavailable when the engine hangs: then silence says nothing of a run."""
        self.engine.ping(self.settings.ping_timeout_s)

    def after_silence(self, conversation: Conversation) -> RunResult:
        """Its result if it comes after all. Raises SupervisorLost, SandboxUnavailable."""
        self.require_answer()
        return conversation.listen_again(LISTEN_AGAIN_S)

    def was_killed_for_memory(self, container: StartedContainer) -> bool:
        """A hint only: the engine says so too when just one process of it was killed."""
        self.engine.wait_container(container.container_id)
        state = self.engine.inspect_container(container.container_id)["State"]
        return bool(state.get("OOMKilled"))


class Strategy(ABC):
    """One way of isolation (`sandbox.run.Isolation`)."""

    @abstractmethod
    def run(self, request: RunRequest, files: list[dict[str, Any]], *, want: bool) -> RunResult:
        """As `SandboxBackend.run`; `files` are the grader's own, none if they are in its image.

        With `want`, the containers it uses become ones that the pool holds ready.
        """

    @abstractmethod
    def kinds(self, preparation: Preparation) -> list[ContainerSpec]:
        """Of the containers that a run of this kind takes. Raises as `SandboxBackend.prepare`."""


@contextmanager
def blaming_image_of(grader: GraderSource) -> Iterator[None]:
    """An image that is missing or does not start is the course team's fault if it is theirs.

    Not so when it is pinned and missing: then it was here or can be fetched, and this host has
    to see to that.
    """
    try:
        yield
    except (ImageMissing, ImageNotStartable) as error:
        if not isinstance(grader, ImageGrader):
            raise
        if isinstance(error, ImageMissing) and is_pinned(grader.image):
            raise
        raise GraderNotUsable(str(error)) from error
