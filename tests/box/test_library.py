"""The library in a slot's image is used only when it is the one that the worker has."""

import pytest

from graders.shipping import library_files
from sandbox.backends.docker import DockerBackend
from sandbox.backends.docker.shipped_library import LIBRARY_LABEL, library_digest
from sandbox.probe.script import DONE, TESTS, probe_request, report_step
from sandbox.run import ExitReason
from tests.box.conftest import Boxes

IMPORT = {"do": "import", "as": "t1", "name": "graders.library"}
SCRIPT = [TESTS, IMPORT, report_step("t2"), report_step("t3"), DONE]


def where_from(library):
    docker = DockerBackend(library=library)
    try:
        result = Boxes(docker).run(probe_request(SCRIPT))
    finally:
        docker.close()
    assert result.reason is ExitReason.COMPLETED, result
    return result.reports[0].output


@pytest.mark.parametrize("name", ["xqueue/box-python:local", "xqueue/grader-base:local"])
def test_the_image_says_which_library_it_has(box_image, engine, name):
    image = engine.images.get(name)
    assert image.labels[LIBRARY_LABEL] == library_digest(library_files())


def test_a_worker_with_the_same_library_uses_the_compiled_one(box_image):
    assert '"file": "/xq/lib/graders/library/__init__.py"' in where_from(library_files())


def test_a_worker_with_another_library_sends_its_own(box_image):
    other = library_files()
    other["graders/library/__init__.py"] += b"\n# newer\n"
    assert '"file": "/grade/.xqueue/graders/library/__init__.py"' in where_from(other)
