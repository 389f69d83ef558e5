"""An engine of our own to hang, kill and fill up, and images made for one test."""

import io
import subprocess
import tarfile

import pytest

from sandbox.backends.docker import GRADER_BASE_IMAGE, DockerBackend, DockerSettings, PoolSettings
from tests.docker.private_engine import PrivateEngine


@pytest.fixture(scope="module")
def private_engine(engine, tmp_path_factory):
    """A second dockerd with our base image, that tests may maltreat."""
    folder = tmp_path_factory.mktemp("engine")
    with PrivateEngine(folder) as private:
        subprocess.run(
            f"docker save {GRADER_BASE_IMAGE} | docker --host {private.address} load",
            shell=True,
            check=True,
            capture_output=True,
        )
        yield private


@pytest.fixture
def open_docker():
    """Opens backends with a pool of that size, and closes them."""
    opened = []

    def open_one(size=0, *, pool=None, **settings):
        pool = PoolSettings(**{"size": size, "tend_interval_s": 0.2, **(pool or {})})
        backend = DockerBackend(DockerSettings(pool=pool, **settings))
        opened.append(backend)
        return backend

    yield open_one
    for backend in opened:
        backend.close()


@pytest.fixture
def build_image(engine, request):
    """Makes images from a Dockerfile's lines and files beside it, and removes them. To be asked
    for before the backend, so that it goes when no container needs them any more."""
    made = []

    def build(*lines, files=None, tag=None):
        image, _ = engine.images.build(
            fileobj=_context(lines, files or {}),
            custom_context=True,
            network_mode="none",
            rm=True,
            tag=tag,
        )
        made.append(image.id)
        return image

    yield build
    for image_id in dict.fromkeys(reversed(made)):
        engine.images.remove(image_id, force=True)


def _context(lines, files):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in {"Dockerfile": "\n".join(lines).encode(), **files}.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755
            archive.addfile(member, io.BytesIO(data))
    content.seek(0)
    return content
