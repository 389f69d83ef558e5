"""Goes on beside the runs: is the engine alive, do tags mean what they did, is the pool well."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace

from sandbox.backends.docker.engine import EngineClient
from sandbox.backends.docker.images import ImageLookup, ImageMissing
from sandbox.backends.docker.pool import WarmPool
from sandbox.backends.docker.removal import Remover
from sandbox.backends.docker.slot_pool import SlotPool
from sandbox.errors import GraderNotUsable, SandboxUnavailable

log = logging.getLogger(__name__)


class EngineWatch:
    """Remembers that the engine failed, so that no run waits for it in vain. Thread-safe."""

    def __init__(self, engine: EngineClient, *, ping_timeout_s: float) -> None:
        self._engine = engine
        self._ping_timeout_s = ping_timeout_s
        self._down: str | None = None

    @property
    def down(self) -> str | None:
        """Why nothing can run at this moment, as far as is known."""
        return self._down

    def require(self) -> None:
        """Costs nothing while all is well; raises SandboxUnavailable while it still fails."""
        if self._down is not None:
            self.look()
        if self._down is not None:
            raise SandboxUnavailable(self._down)

    def look(self) -> None:
        """Ask the engine for a sign of life."""
        before = self._down
        try:
            self._engine.ping(self._ping_timeout_s)
        except SandboxUnavailable as error:
            self._down = str(error)
        else:
            self._down = None
        if (before is None) != (self._down is None):
            self._tell()

    def _tell(self) -> None:
        if self._down is None:
            log.warning("the Docker Engine answers again", extra={"action": "engine_back"})
        else:
            facts = {"action": "engine_down", "why": self._down}
            log.warning("the Docker Engine is not to be used: %s", self._down, extra=facts)


class Minder:
    """A thread that looks at everything now and then, until `close`."""

    def __init__(
        self,
        *,
        watch: EngineWatch,
        pool: WarmPool,
        slots: SlotPool,
        images: ImageLookup,
        remover: Remover,
        interval_s: float,
    ) -> None:
        self._watch = watch
        self._pool = pool
        self._slots = slots
        self._images = images
        self._remover = remover
        self._interval_s = interval_s
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._mind, name="docker-minder", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def _mind(self) -> None:
        while not self._closing.wait(self._interval_s):
            try:
                self._look_around()
            except Exception:
                # The outermost loop of its thread: a pool that nobody tends would rot unseen.
                log.exception("minding the pool crashed")

    def _look_around(self) -> None:
        self._watch.look()
        self._pool.tend()
        self._slots.tend()
        if self._watch.down is None:
            self._follow_images()
            self._remover.retry()

    def _follow_images(self) -> None:
        """Containers of a tag that means another image now are no use any more."""
        for spec in self._pool.wanted():
            try:
                current = self._images.find(spec.image.reference)
            except (ImageMissing, GraderNotUsable):
                self._pool.drop(spec)
            except SandboxUnavailable:
                return
            else:
                if current != spec.image:
                    self._pool.drop(spec, instead=replace(spec, image=current))
