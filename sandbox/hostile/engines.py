"""Which engine of the table a backend is, with the isolation and runtime that were asked for."""

from __future__ import annotations

from sandbox.factory import BackendName
from sandbox.hostile.case import Engine
from sandbox.run import Isolation

RUNSC = "runsc"
DEFAULT_ISOLATION = {
    BackendName.DOCKER: Isolation.SPLIT_UID,
    BackendName.BUBBLEWRAP: Isolation.BOX,
}
ENGINES = {
    (BackendName.DOCKER, Isolation.SPLIT_UID, False): Engine.SPLIT_UID,
    (BackendName.DOCKER, Isolation.SPLIT_CONTAINER, False): Engine.SPLIT_CONTAINER,
    (BackendName.DOCKER, Isolation.SPLIT_CONTAINER, True): Engine.GVISOR,
    (BackendName.DOCKER, Isolation.BOX, False): Engine.BOX,
    (BackendName.BUBBLEWRAP, Isolation.BOX, False): Engine.BUBBLEWRAP,
}


def engine_of(name: BackendName, isolation: Isolation | None, runtime: str | None) -> Engine:
    """Raises ValueError for a combination that nothing is promised for."""
    isolation = isolation or DEFAULT_ISOLATION[name]
    try:
        return ENGINES[name, isolation, runtime == RUNSC]
    except KeyError:
        with_runtime = f" with {runtime}" if runtime else ""
        raise ValueError(f"{name} {isolation}{with_runtime} is no engine to check") from None
