"""`private` in grader.yaml."""

import pytest

from graders.errors import ManifestInvalid
from graders.grader_file import read_grader_file
from tests.images.conftest import GRADER_YAML


def read(grader_at, private):
    return read_grader_file(grader_at({"grader.yaml": f"{GRADER_YAML}private: {private}\n"}))


def test_it_names_paths_in_the_image(grader_at):
    assert read(grader_at, "[/opt/answers, /usr/local/bin/judge]").private == (
        "/opt/answers",
        "/usr/local/bin/judge",
    )


@pytest.mark.parametrize(
    ("private", "problem"),
    [
        ("[opt/answers]", "must be an absolute path"),
        ("[/opt/../etc]", "must be an absolute path"),
        ("[/opt/]", "must be an absolute path"),
        ("[/]", "must be an absolute path"),
        ("[/box/x]", "is a place that learners use"),
        ("[/tmp]", "is a place that learners use"),
        ("/opt/x", "must be a list of paths"),
        (str([f"/opt/{number}" for number in range(21)]), "more than 20 paths"),
    ],
)
def test_what_can_not_be_private_is_said(grader_at, private, problem):
    with pytest.raises(ManifestInvalid, match=problem):
        read(grader_at, private)


def test_it_is_for_images(grader_at):
    yaml = "name: x\nlanguage: bash\ntests: [{stdout: '1'}]\nprivate: [/opt/x]\n"
    directory = grader_at({"grader.yaml": yaml, "Dockerfile": None, "grade": None})
    with pytest.raises(ManifestInvalid, match="for graders with a Dockerfile"):
        read_grader_file(directory)
