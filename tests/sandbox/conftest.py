"""The real backends, skipped where their service is missing and failed there when CI is set."""

from tests.support.sandboxes import (  # noqa: F401 - pytest takes fixtures from here
    any_backend,
    backend,
    bubblewrap_backend,
    docker_backend,
    engine,
)
