"""Files that a page quotes are those that we ship."""

from __future__ import annotations

import pytest

from tests.docs.pages import TOP

PAGE = TOP / "docs/how-to/connect-lms-proctoring.md"
BACKEND = TOP / "deploy/tutor/tutorxqueuegrader/templates/xqueuegrader/proctoring-backend"


@pytest.mark.parametrize(
    ("language", "name"),
    [("toml", "pyproject.toml"), ("python", "xqueue_proctoring_backend.py")],
)
def test_the_lms_s_package_is_the_same_by_hand_and_by_tutor(language: str, name: str) -> None:
    assert f"```{language}\n{(BACKEND / name).read_text()}```\n" in PAGE.read_text()
