"""Which uids learners' code gets in containers of this engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from sandbox.backends.docker.engine import EngineClient
from sandbox.uids import HIGH_RANGE

MAPPED_RANGE = range(20_000, 60_000)
"""Within the 65,536 that an engine with user namespaces maps, above all that an image names."""
WITH_USER_NAMESPACES = ("name=userns", "name=rootless")
"""As `docker info` lists them under SecurityOptions."""


def maps_users(info: Mapping[str, Any]) -> bool:
    """Whether root in a container is somebody else on the host; `info` as the engine gives it."""
    options = info.get("SecurityOptions") or ()
    return any(str(option).startswith(WITH_USER_NAMESPACES) for option in options)


class LearnerUids:
    """Thread-safe. An engine does not change its mapping while it runs."""

    def __init__(self, engine: EngineClient, choose: Callable[[range], int]) -> None:
        self._engine = engine
        self._choose = choose

    def pick(self) -> int:
        """Raises SandboxUnavailable: the engine could not be asked how it maps uids."""
        return self._choose(self.candidates)

    @cached_property
    def candidates(self) -> range:
        """All that `pick` may choose. Raises as that does."""
        return MAPPED_RANGE if maps_users(self._engine.info()) else HIGH_RANGE
