"""Which image a reference means right now, and whether it may be used at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.backends.docker.engine import NOT_FOUND, EngineClient, EngineRefused
from sandbox.errors import GraderNotUsable, SandboxUnavailable

FRESH_S = 2.0
"""How long a rebuilt tag may still mean its old image."""


class ImageMissing(SandboxUnavailable):
    """No such image on this host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """`reference` is what somebody asked for, `image_id` what it means: its content's digest."""

    reference: str
    image_id: str
    labels: dict[str, str] = field(default_factory=dict, compare=False)
    volumes: tuple[str, ...] = field(default=(), compare=False)
    machine: str = field(default="", compare=False)
    """What it is made for, such as `linux/amd64`; empty where the image does not say."""

    def require_no_volumes(self) -> None:
        """A declared volume is writable host disk without a limit, on a read-only root as well."""
        if self.volumes:
            names = ", ".join(self.volumes)
            raise GraderNotUsable(f"{self.reference} declares the volumes {names}; remove VOLUME")


class ImageLookup:
    """Asks the engine, and believes its answer for a moment. Thread-safe."""

    def __init__(self, engine: EngineClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Image]] = {}

    def find(self, reference: str) -> Image:
        """Raises ImageMissing, SandboxUnavailable, and GraderNotUsable if it has volumes."""
        with self._lock:
            asked_at, image = self._known.get(reference, (0.0, None))
        if image is None or self._clock() - asked_at > FRESH_S:
            image = self._ask(reference)
            with self._lock:
                self._known[reference] = (self._clock(), image)
        image.require_no_volumes()
        return image

    def forget(self, reference: str) -> None:
        """After the engine did not find what it had found before."""
        with self._lock:
            self._known.pop(reference, None)

    def _ask(self, reference: str) -> Image:
        try:
            described = self._engine.inspect_image(reference)
        except EngineRefused as refused:
            self.forget(reference)
            if refused.status == NOT_FOUND:
                raise ImageMissing(f"the image {reference} is not on this host") from refused
            raise
        config: dict[str, Any] = described.get("Config") or {}
        return Image(
            reference=reference,
            image_id=described["Id"],
            labels=config.get("Labels") or {},
            volumes=tuple(config.get("Volumes") or ()),
            machine=machine_of(described.get("Os"), described.get("Architecture")),
        )


def machine_of(system: object, architecture: object) -> str:
    return f"{system}/{architecture}" if system and architecture else ""
