"""What is written on every container, so that anybody can tell an orphan from a live one."""

from __future__ import annotations

import socket
import time
from collections.abc import Collection, Mapping
from typing import Any
from uuid import uuid4

from sandbox import owner

LABEL = "org.xqueue.sandbox"
HOST = f"{LABEL}.host"
OWNER = f"{LABEL}.owner"
BACKEND = f"{LABEL}.backend"
EXPIRES = f"{LABEL}.expires"
LOST_AFTER_S = 120.0
"""A container this old that its own backend does not know was made by a request whose answer never
came."""


class Ownership:
    """Of one backend in one process of one host."""

    def __init__(self) -> None:
        self._host = socket.gethostname()
        self._owner = owner.this_process()
        self._backend = uuid4().hex[:16]

    @property
    def own_label(self) -> str:
        """Finds the containers of this backend and no others."""
        return f"{BACKEND}={self._backend}"

    def labels(self, expires_at: float) -> dict[str, str]:
        """`expires_at` as seconds since 1970: from then on anybody may remove the container."""
        return {
            LABEL: "run",
            HOST: self._host,
            OWNER: self._owner,
            BACKEND: self._backend,
            EXPIRES: str(int(expires_at)),
        }

    def is_orphan(self, container: Mapping[str, Any], known: Collection[str]) -> bool:
        """`container` as the engine lists it; `known` are the ids this backend has in its hands."""
        labels: Mapping[str, str] = container["Labels"]
        if float(labels.get(EXPIRES, "0")) < time.time():
            return True
        if labels.get(BACKEND) == self._backend:
            is_lost = time.time() - float(container["Created"]) > LOST_AFTER_S
            return is_lost and container["Id"] not in known
        return labels.get(HOST) == self._host and not owner.is_alive(labels.get(OWNER, ""))
