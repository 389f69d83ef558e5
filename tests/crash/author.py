"""A course team at the API: publishes, goes back, tries answers, reads."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.api.callers import manifest
from tests.crash.stack import PASSWORD, PUBLISHED_QUEUE

ANSWER_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """With a grader of a name of its own; signs in by password, as `account` says who."""

    url: str
    account: str = "author"
    queue: str = PUBLISHED_QUEUE
    name: str = field(default_factory=lambda: f"g-{secrets.token_hex(6)}")
    bundle: bytes = field(default_factory=lambda: secrets.token_bytes(1000))

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.bundle).hexdigest()

    # -- each raises requests.ConnectionError when the server dies meanwhile ---------------------

    def store_bundle(self) -> None:
        self.call("PUT", f"bundles/{self.digest}", data=self.bundle)

    def publish(self) -> int:
        """The version's number; the bundle was stored before."""
        document = {"queue": self.queue, **self._grader}
        return int(self.call("POST", "graders", json=document)["version"])

    def activate(self, version: int) -> None:
        path = f"graders/{self.queue}/{self.name}/activate"
        self.call("POST", path, json={"version": version})

    def report_ready(self, version: int, host: str) -> None:
        """As a worker does: `account` must be one."""
        item = {"queue": self.queue, "name": self.name, "version": version, "ready": True}
        self.call("PUT", "readiness", json={"host": host, "items": [item]})

    def begin_trial(self) -> int:
        files = {"data.txt": "YQ=="}
        document = {"queue": self.queue, **self._grader, "response": "x", "files": files}
        return int(self.call("POST", "trials", json=document)["id"])

    # -- looking ---------------------------------------------------------------------------------

    def grader(self) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", f"graders/{self.queue}/{self.name}")
        return found

    def versions(self) -> list[int]:
        """Oldest first; none if the grader was never published."""
        graders = self.call("GET", f"graders?queue={self.queue}")["graders"]
        if self.name not in {grader["name"] for grader in graders}:
            return []
        return [version["version"] for version in reversed(self.grader()["versions"])]

    def faults(self) -> list[dict[str, Any]]:
        query = f"faults?queue={self.queue}&grader={self.name}"
        found: list[dict[str, Any]] = self.call("GET", query)["faults"]
        return found

    def trial(self, trial_id: int) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", f"trials/{trial_id}")
        return found

    def call(self, method: str, path: str, **request: Any) -> Any:
        answer = requests.request(
            method,
            f"{self.url}/api/v1/{path}",
            auth=(self.account, PASSWORD),
            timeout=ANSWER_S,
            **request,
        )
        assert 200 <= answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    @property
    def _grader(self) -> dict[str, Any]:
        return {"digest": f"sha256:{self.digest}", "manifest": manifest(self.name)}


def is_answered(act: Callable[[], object]) -> bool:
    """Whether the server lived long enough to say so."""
    try:
        act()
    except requests.ConnectionError:
        return False
    return True
