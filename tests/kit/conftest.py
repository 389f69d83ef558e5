"""Graders written on the spot."""

from pathlib import Path

import pytest

from tests.kit.written import write_files


@pytest.fixture
def grader_at(tmp_path):
    """Makes a directory from path -> text or bytes; `grader.yaml` may be given alone."""

    def make(files) -> Path:
        files = {"grader.yaml": files} if isinstance(files, str) else files
        return write_files(tmp_path / "grader", files)

    return make
