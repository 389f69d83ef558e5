"""Graders are written as in tests/kit, and tested in real sandboxes."""

from tests.kit.conftest import grader_at  # noqa: F401
