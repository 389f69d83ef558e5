"""What an operator may say about the Docker backend."""

from __future__ import annotations

import os
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field

from sandbox.errors import GraderNotUsable
from sandbox.run import MIB

GRADER_BASE_IMAGE = "xqueue/grader-base:local"
"""For graders in Python; built by `deploy/docker/build.sh`."""
BASE_IMAGES = "xqueue/grader-{base}:local"
"""For those in any other language."""
BASE_NAME = re.compile(r"[a-z][a-z0-9]{0,30}")
PYTHON = "python"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """Containers that are started before anybody needs them. Without a size there are none."""

    size: int = 0
    """For each kind: image, limits, isolation and runtime together."""
    memory_bytes: int = 512 * MIB
    """All that wait together, as estimated by `idle_bytes` and `gvisor_idle_bytes`."""
    idle_expiry_s: float = 900.0
    """A kind of which no run has come for this long is dropped; the next run brings it back."""
    max_age_s: float = 3600.0
    """A waiting container this old is replaced."""
    refillers: int = os.cpu_count() or 2
    """Containers started at once for the pool. With fewer, bursts find it empty more often."""
    tend_interval_s: float = 5.0
    """How often the dead, the old and the unwanted are looked for."""
    idle_bytes: int = 10 * MIB
    gvisor_idle_bytes: int = 48 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotSettings:
    """How many slots of the box engine wait between submissions, and how long one is used."""

    images: str = "xqueue/box-{base}:local"
    """Built by `deploy/docker/build.sh`: a grader image with bubblewrap in it."""
    uses: int = 200
    """Submissions after which a slot is replaced."""
    most_waiting: int = 2 * (os.cpu_count() or 2)
    """Of all kinds together; each holds about 8 MB."""
    idle_expiry_s: float = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerSettings:
    """How to reach an engine and what to run on it."""

    base_image: str = GRADER_BASE_IMAGE
    """For directory graders in Python."""
    base_images: str = BASE_IMAGES
    """For the others; `{base}` is the grader's."""
    docker_host: str | None = None
    """`unix://…` or `tcp://…`; None reads the DOCKER_HOST family of variables."""
    api_timeout_s: float = 20.0
    ping_timeout_s: float = 3.0
    pool: PoolSettings = PoolSettings()
    slots: SlotSettings = SlotSettings()
    registries: Container[str] = frozenset()
    """`HOST` or `HOST:PORT` from which grader images may be fetched. Authors choose the name of an
    image, so a host that fetched from anywhere would knock at any door of its network for them."""
    allow_legacy: Mapping[str, str] = field(default_factory=dict)
    """Image -> reason. Only these run with `Isolation.NONE`, whose grades a learner can forge."""

    def image_for(self, base: str) -> str:
        """Raises GraderNotUsable for what cannot be the name of a base image."""
        if base == PYTHON:
            return self.base_image
        if not BASE_NAME.fullmatch(base):
            raise GraderNotUsable(f"{base!r:.60} is not the name of a base image")
        return self.base_images.format(base=base)
