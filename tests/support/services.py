"""What to do where a service that a test needs is not there."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing_service(what: str) -> NoReturn:
    """Skip on a developer's machine, fail where everything must be there."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is not available, and CI must have it")
    pytest.skip(f"{what} is not available")
