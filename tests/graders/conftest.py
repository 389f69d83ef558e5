"""The real backends, as in tests/sandbox; graders are tested in real sandboxes."""

from tests.kit.conftest import grader_at  # noqa: F401
from tests.support.sandboxes import (  # noqa: F401 - pytest takes fixtures from here
    backend,
    bubblewrap_backend,
    docker_backend,
    engine,
)
