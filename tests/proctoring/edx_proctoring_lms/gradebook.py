"""What the LMS keeps of problems graded through XQueue: which keys wait for a grade, and what came.

In a file, so that it outlives the process as rows of a database would. Runs in the peer's own
environment. The rule is capa's: a key takes the first grade, and nothing after it.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any


class Gradebook:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def expect(self, user_id: str, usage_id: str, key: str) -> None:
        """The learner has submitted: from now on this problem of his waits for that key alone."""
        with self._lock:
            kept = self._read()
            kept["waiting"][f"{user_id} {usage_id}"] = key
            self._write(kept)

    def receive(self, user_id: str, usage_id: str, key: str, score: float) -> None:
        with self._lock:
            kept = self._read()
            place = f"{user_id} {usage_id}"
            is_taken = kept["waiting"].get(place) == key
            if is_taken:
                del kept["waiting"][place]
            kept["received"].append([key, score, is_taken])
            self._write(kept)

    def received(self) -> list[list[Any]]:
        """[key, score, whether it was waited for], in the order of arrival."""
        with self._lock:
            found: list[list[Any]] = self._read()["received"]
        return found

    def _read(self) -> dict[str, Any]:
        if not self._path.exists():
            return {"waiting": {}, "received": []}
        found: dict[str, Any] = json.loads(self._path.read_text())
        return found

    def _write(self, kept: dict[str, Any]) -> None:
        """All of it or nothing: the process may be killed at any moment."""
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(kept))
        new.replace(self._path)
