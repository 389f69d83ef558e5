"""The image names are in one place, and what is there is not built again."""

import subprocess
from pathlib import Path

from graders.languages import LANGUAGES, image_of
from sandbox.backends.docker import GRADER_BASE_IMAGE
from tests.support.sandboxes import need_images

DEPLOY = Path(__file__).parents[2] / "deploy" / "docker"


def image_names():
    lines = (DEPLOY / "images.env").read_text().splitlines()
    return dict(line.split("=") for line in lines if "=" in line and not line.startswith("#"))


def run_build(*names, check=True):
    command = [DEPLOY / "build.sh", *names]
    return subprocess.run(command, capture_output=True, text=True, check=check)


def test_the_default_image_is_the_one_that_is_built():
    assert image_names()["XQUEUE_GRADER_BASE"] == GRADER_BASE_IMAGE


def test_the_images_of_the_languages_are_the_ones_that_are_built(engine):
    need_images(*LANGUAGES)
    prefix = image_names()["XQUEUE_GRADER_PREFIX"]
    assert [image_of(name) for name in LANGUAGES] == [
        f"{prefix}-{name}:local" for name in LANGUAGES
    ]
    assert all(engine.images.get(image_of(name)) for name in LANGUAGES)


def test_building_again_changes_nothing(engine):
    need_images()
    before = {name: engine.images.get(image_of(name)).id for name in LANGUAGES}
    said = run_build().stdout.splitlines()
    assert said
    assert [line for line in said if not line.endswith("is up to date")] == []
    assert {name: engine.images.get(image_of(name)).id for name in LANGUAGES} == before


def test_one_language_can_be_asked_for(engine):
    need_images("sql")
    said = run_build("sql").stdout.split()
    assert image_of("sql") in said
    assert image_of("java") not in said


def test_an_image_nobody_knows_is_refused_with_those_that_are(engine):
    done = run_build("cobol", check=False)
    assert done.returncode == 2
    assert "there are: base functions python c cpp" in done.stderr
