"""The image names are in one place."""

import subprocess
from pathlib import Path

from sandbox.backends.docker import GRADER_BASE_IMAGE

DEPLOY = Path(__file__).parents[2] / "deploy" / "docker"


def test_the_default_image_is_the_one_that_is_built():
    names = dict(
        line.split("=")
        for line in (DEPLOY / "images.env").read_text().splitlines()
        if "=" in line and not line.startswith("#")
    )
    assert names["XQUEUE_GRADER_BASE"] == GRADER_BASE_IMAGE


def test_building_again_changes_nothing(engine):
    before = engine.images.get(GRADER_BASE_IMAGE).id
    done = subprocess.run([DEPLOY / "build.sh"], capture_output=True, text=True, check=True)
    assert done.stdout.count("is up to date") == 2
    assert engine.images.get(GRADER_BASE_IMAGE).id == before
