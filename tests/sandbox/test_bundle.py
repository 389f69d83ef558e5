"""A grader directory is read once, and nothing outside of it ever."""

import pytest

from sandbox.bundle import MAX_GRADER_BYTES, read_grader
from sandbox.errors import GraderNotUsable


@pytest.fixture
def grader(tmp_path):
    folder = tmp_path / "grader"
    (folder / "problems").mkdir(parents=True)
    (folder / "grade.py").write_text("pass")
    (folder / "problems" / "one.json").write_text("{}")
    return folder


def test_files_keep_their_paths_and_whether_they_can_be_executed(grader):
    (grader / "grade").write_text("#!/bin/sh")
    (grader / "grade").chmod(0o755)
    files = {file["path"]: file["executable"] for file in read_grader(grader, {"lib/a.py": b""})}
    assert files == {
        "grade": True,
        "grade.py": False,
        "problems/one.json": False,
        ".xqueue/lib/a.py": False,
    }


def test_caches_and_repositories_stay_at_home(grader):
    (grader / ".git").mkdir()
    (grader / ".git" / "config").write_text("secret")
    assert not [file for file in read_grader(grader, {}) if ".git" in file["path"]]


def test_a_link_inside_is_followed(grader):
    (grader / "other.json").symlink_to("problems/one.json")
    assert "other.json" in {file["path"] for file in read_grader(grader, {})}


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "missing", "/"])
def test_a_link_that_leads_out_is_refused(grader, target):
    (grader.parent / "outside").write_text("x")
    (grader / "link").symlink_to(target)
    with pytest.raises(GraderNotUsable):
        read_grader(grader, {})


def test_too_large_a_directory_is_refused_before_it_is_read(grader):
    with (grader / "big").open("wb") as file:
        file.truncate(MAX_GRADER_BYTES + 1)
    with pytest.raises(GraderNotUsable, match="image"):
        read_grader(grader, {})


def test_a_directory_without_entry_point_is_refused(grader):
    (grader / "grade.py").unlink()
    with pytest.raises(GraderNotUsable, match="grade"):
        read_grader(grader, {})
