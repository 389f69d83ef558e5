"""How old the base of an image is: its oldest layer, with the distribution's packages."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from sandbox.backends.docker.engine import EngineClient
from sandbox.backends.docker.images import Image

NEVER = datetime(1980, 1, 2, tzinfo=UTC)
"""Builds that are to give the same bytes each time date everything 1970 or 1980."""


class ImageAges:
    """Thread-safe. Remembers what it found: an image id never means another content."""

    def __init__(self, engine: EngineClient) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._known: dict[str, datetime | None] = {}

    def base_created(self, image: Image) -> datetime | None:
        """None where nothing in the image has a date. Raises: SandboxUnavailable."""
        with self._lock:
            if image.image_id in self._known:
                return self._known[image.image_id]
        found = oldest(self._engine.image_history(image.image_id))
        with self._lock:
            self._known[image.image_id] = found
        return found


def oldest(history: list[dict[str, object]]) -> datetime | None:
    """Of an image's layers, as the engine lists them; those without a real date do not count."""
    begin = datetime(1970, 1, 1, tzinfo=UTC)
    seconds = [each.get("Created") for each in history]
    dates = [begin + timedelta(seconds=s) for s in seconds if isinstance(s, int) and s > 0]
    return min((date for date in dates if date >= NEVER), default=None)
