"""Examples and templates run where learners' work is graded: in the languages' images in Docker."""

from tests.support.sandboxes import docker_backend, engine  # noqa: F401 - pytest takes fixtures
