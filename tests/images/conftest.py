"""Graders with a Dockerfile, a registry of our own, and Docker backends to try them on."""

from contextlib import suppress
from pathlib import Path

import pytest
from docker.errors import ImageNotFound

from graders.publishing.docker_program import BUILD_NETWORK, DockerProgram
from graders.publishing.image_build import build_image
from graders.shipping import library_files
from sandbox.backends.docker import DockerBackend, DockerSettings
from sandbox.backends.docker.image_walk import PRIVATE_LABEL
from tests.docker.conftest import build_image as image_of_lines  # noqa: F401 - a fixture
from tests.images.registry import OnLoopback, Registry
from tests.kit.written import write_files
from tests.support.sandboxes import engine_with

GRADER_YAML = """
name: sums
language: bash
tests:
  - {id: sum, title: the sum of two numbers}
samples:
  - {file: samples/right.sh, score: 1}
  - {file: samples/wrong.sh, score: 0}
"""
GRADE = """#!/bin/sh
set -eu
cd /scratch
xq job response >submission.sh
xq run --file submission.sh -- bash submission.sh </dev/null >answer || true
if [ "$(cat answer)" = "$(cat /grade/expected)" ]; then
    xq report --id sum --score 1
else
    xq report --id sum --score 0
fi
xq done
"""
FILES = {
    "grader.yaml": GRADER_YAML,
    "Dockerfile": "FROM xqueue/grader-bash:local\n",
    "grade": GRADE,
    "expected": "5\n",
    "samples/right.sh": "echo 5\n",
    "samples/wrong.sh": "echo 6\n",
}
RIGHT = {"response": "echo 5", "payload": "", "files": {}, "seed": 1}


@pytest.fixture(scope="session")
def engine():
    with engine_with("c", "bash") as client:
        yield client


@pytest.fixture(autouse=True)
def _builds_without_network(monkeypatch):
    monkeypatch.setenv(BUILD_NETWORK, "none")


@pytest.fixture
def grader_at(tmp_path):
    """Makes the grader's directory, with some files other than in FILES (None: without it)."""

    def make(changes=None, name="grader") -> Path:
        files = {path: text for path, text in {**FILES, **(changes or {})}.items() if text}
        directory = write_files(tmp_path / name, files)
        if (directory / "grade").exists():
            (directory / "grade").chmod(0o755)
        return directory

    return make


@pytest.fixture
def forget_image(engine):
    """Removes an image with all its names, as a host that never had it; and all at the end."""
    made = []

    def forget(image_id, later=False):
        made.append(image_id)
        if not later:
            engine.images.remove(image_id, force=True)

    yield forget
    for image_id in dict.fromkeys(made):
        # Not looked up in a list: of other people's images one may go while it is made.
        with suppress(ImageNotFound):
            engine.images.remove(image_id, force=True)


@pytest.fixture
def open_grader(engine, grader_at):
    """A grader that learners could read, and whose image goes at the end."""
    yield grader_at({"grader.yaml": f"{GRADER_YAML}private: [/etc/passwd]\n"})
    label = f'{PRIVATE_LABEL}=["/etc/passwd"]'
    for image in engine.images.list(filters={"label": label}):
        engine.images.remove(image.id, force=True)


@pytest.fixture
def built(engine, forget_image):
    """Builds a directory's image, removed at the end."""

    def build(directory):
        image = build_image(directory, DockerProgram())
        forget_image(image.image_id, later=True)
        return image

    return build


@pytest.fixture
def new_host(engine):
    """A backend that has examined nothing yet."""
    backend = DockerBackend(DockerSettings(registries=OnLoopback()), library=library_files())
    yield backend
    backend.close()


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    registry = Registry(tmp_path_factory.mktemp("registry") / "open")
    registry.start()
    yield registry
    registry.stop()


@pytest.fixture(scope="module")
def locked_registry(tmp_path_factory):
    registry = Registry(tmp_path_factory.mktemp("registry") / "locked", needs_word=True)
    registry.start()
    yield registry
    registry.stop()
