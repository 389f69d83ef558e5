"""Examples and templates run where learners' work is graded: in the languages' images in Docker."""

import pytest

from graders.languages import LANGUAGES
from tests.support.sandboxes import engine_with


@pytest.fixture(scope="session")
def engine():
    with engine_with(*LANGUAGES) as client:
        yield client
