"""The box engine: a Docker backend whose requests all ask for isolation box."""

import dataclasses
import subprocess

import pytest

from graders.shipping import library_files
from sandbox.backends.docker import DockerBackend, DockerSettings, slot_pool
from sandbox.backends.docker.settings import SlotSettings
from sandbox.run import Isolation
from tests.support.sandboxes import BUILD
from tests.support.services import missing_service


class Boxes:
    """As the backend it wraps; a run that names no isolation gets box."""

    def __init__(self, docker):
        self.docker = docker

    def run(self, request):
        return self.docker.run(dataclasses.replace(request, isolation=Isolation.BOX))

    def counters(self):
        return self.docker.describe().counters

    def __getattr__(self, name):
        return getattr(self.docker, name)


@pytest.fixture(scope="session")
def box_image(engine):
    built = subprocess.run([BUILD, "box-python"], capture_output=True, text=True, check=False)
    if built.returncode != 0:
        missing_service(f"the image of the box engine ({built.stderr.strip()[-300:]})")


@pytest.fixture
def open_boxes(box_image, monkeypatch):
    """Opens backends with those slot settings, and closes them."""
    # A slot that a busy machine is long at cleaning is not one that is left dirty.
    monkeypatch.setattr(slot_pool, "CLEAN_S", 60.0)
    opened = []

    def open_one(**slots):
        docker = DockerBackend(DockerSettings(slots=SlotSettings(**slots)), library=library_files())
        opened.append(docker)
        return Boxes(docker)

    yield open_one
    for docker in opened:
        docker.close()


@pytest.fixture(scope="module")
def boxes(box_image):
    """One backend for all tests of a module, with whatever slots it keeps."""
    docker = DockerBackend(library=library_files())
    yield Boxes(docker)
    docker.close()
