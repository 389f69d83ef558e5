"""Makes a container and waits until its supervisor says that it is ready."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sandbox.backends.docker.attached import AttachedChannel
from sandbox.backends.docker.containers import ContainerSpec, Role, container_config
from sandbox.backends.docker.engine import NOT_FOUND, EngineClient, EngineRefused
from sandbox.backends.docker.images import Image, ImageLookup, ImageMissing
from sandbox.backends.docker.labels import Ownership
from sandbox.backends.docker.learner_uids import LearnerUids
from sandbox.conversation import READY_S, SupervisorLost, await_ready
from sandbox.errors import SandboxUnavailable
from sandbox.seccomp import slot_profile

NOT_STARTABLE = ("executable file not found", "exec format error", "no such file or directory")
"""What the engine says when an image, not the host, is at fault."""


class ImageNotStartable(SandboxUnavailable):
    """Our program cannot be started in that image, or does not come up: it is not from our base.

    Platform's fault when the image is one of ours, the course team's when they ship it.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedContainer:
    """Attached, with its `ready` read, waiting for its only job."""

    spec: ContainerSpec | None
    container_id: str
    channel: AttachedChannel
    started_at: float
    """On the monotonic clock."""
    expires_at: float
    """Seconds since 1970, as on its label."""


class ContainerStarter:
    """Thread-safe. `known` are the ids of all containers it has made that are not removed yet."""

    def __init__(
        self,
        engine: EngineClient,
        images: ImageLookup,
        ownership: Ownership,
        *,
        seccomp: Callable[[], str],
        uids: LearnerUids,
    ) -> None:
        self._engine = engine
        self._images = images
        self._ownership = ownership
        self._seccomp = seccomp
        self._uids = uids
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._trouble: str | None = None
        self.trouble_seen = False
        """Whether there ever was any: then containers may exist that nobody here knows of."""

    @property
    def known(self) -> frozenset[str]:
        with self._lock:
            return frozenset(self._known)

    @property
    def trouble(self) -> str | None:
        """Why the last container could not be made, when engine or host are to blame."""
        return self._trouble

    def start(self, spec: ContainerSpec, lifetime_s: float) -> StartedContainer:
        """A container that is ready; `lifetime_s` is when others may take it for forgotten.

        Raises SandboxUnavailable, ImageMissing and ImageNotStartable.
        """
        expires_at = time.time() + lifetime_s
        config = container_config(
            spec,
            learner_uid=self._uids.pick(),
            seccomp=slot_profile() if spec.role is Role.SLOT else self._seccomp(),
            labels=self._ownership.labels(expires_at),
        )
        started = self.start_configured(spec.image, config, expires_at, spec)
        try:
            await_ready(started.channel, READY_S)
        except SupervisorLost as lost:
            said = started.channel.stderr or "it said nothing"
            self.discard(started)
            if lost.silent:
                raise self._noted(
                    SandboxUnavailable(f"a container did not come up: {said}")
                ) from lost
            raise ImageNotStartable(
                f"{spec.image.reference} is not built from our grader base: {said}"
            ) from lost
        except SandboxUnavailable:
            self.discard(started)
            raise
        return started

    def start_configured(
        self,
        image: Image,
        config: Mapping[str, Any],
        expires_at: float,
        spec: ContainerSpec | None = None,
    ) -> StartedContainer:
        """The same for any configuration, without waiting for what its program says."""
        container_id = self._create(image, config)
        try:
            channel = self._engine.attach(container_id)
            try:
                self._engine.start_container(container_id)
            except BaseException:
                channel.close()
                raise
        except BaseException as error:
            self._remove_quietly(container_id)
            raise self._start_failure(image, error) from error
        self._trouble = None
        return StartedContainer(
            spec=spec,
            container_id=container_id,
            channel=channel,
            started_at=time.monotonic(),
            expires_at=expires_at,
        )

    def discard(self, container: StartedContainer) -> None:
        """Remove one that nobody will use; what cannot be removed now, a reaper finds."""
        container.channel.close()
        self._remove_quietly(container.container_id)

    def removed(self, container_id: str) -> None:
        """Somebody has removed it."""
        with self._lock:
            self._known.discard(container_id)

    def _create(self, image: Image, config: Mapping[str, Any]) -> str:
        try:
            container_id = self._engine.create_container(config)
        except EngineRefused as refused:
            if refused.status == NOT_FOUND:
                self._images.forget(image.reference)
                raise ImageMissing(f"the image {image.reference} is not on this host") from refused
            raise self._noted(refused) from refused
        except SandboxUnavailable as error:
            raise self._noted(error) from error
        with self._lock:
            self._known.add(container_id)
        return container_id

    def _start_failure(self, image: Image, error: BaseException) -> BaseException:
        if isinstance(error, EngineRefused) and any(words in error.said for words in NOT_STARTABLE):
            return ImageNotStartable(
                f"{image.reference} cannot be started (is it built from our grader base, for this "
                f"kind of machine?): {error.said}"
            )
        return self._noted(error)

    def _noted(self, error: BaseException) -> BaseException:
        self._trouble = str(error)
        self.trouble_seen = True
        return error

    def _remove_quietly(self, container_id: str) -> None:
        # Not known any more in any case: should this fail, the reaper takes it for lost.
        self.removed(container_id)
        with suppress(SandboxUnavailable):
            self._engine.remove_container(container_id)
