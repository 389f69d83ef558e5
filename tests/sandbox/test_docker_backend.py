"""Whose fault it is when Docker does not run a grader."""

import io
import os
import socket
import threading
import time

import pytest

from sandbox.backends.docker import GRADER_BASE_IMAGE, DockerBackend, DockerSettings
from sandbox.errors import GraderNotUsable, SandboxUnavailable
from sandbox.probe.script import one_run, probe_request
from sandbox.run import ImageGrader, RunRequest


def image_request(image):
    return RunRequest(
        run_id="image-run",
        grader=ImageGrader(image=image),
        job={"response": "print(1)", "payload": "[]", "files": {}, "seed": 0},
    )


@pytest.fixture
def an_image(engine, docker_backend):
    """Makes images from our base on the spot, and removes them."""
    made = []

    def make(*lines):
        dockerfile = "\n".join([f"FROM {GRADER_BASE_IMAGE}", *lines]).encode()
        image, _ = engine.images.build(fileobj=io.BytesIO(dockerfile), network_mode="none", rm=True)
        made.append(image.id)
        return image

    yield make
    docker_backend.settle()
    for image_id in made:
        engine.images.remove(image_id, force=True)


@pytest.fixture
def silent_engine(tmp_path):
    """A socket that takes every connection and never answers."""
    path = str(tmp_path / "engine.sock")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    taken = []

    def take():
        while True:
            try:
                taken.append(server.accept()[0])
            except OSError:
                return

    thread = threading.Thread(target=take)
    thread.start()
    yield f"unix://{path}"
    server.shutdown(socket.SHUT_RDWR)
    thread.join()
    for connection in [server, *taken]:
        connection.close()


def test_an_engine_that_is_not_there_is_our_fault():
    backend = DockerBackend(DockerSettings(docker_host="unix:///nonexistent/docker.sock"))
    with pytest.raises(SandboxUnavailable):
        backend.run(probe_request(one_run()))
    assert not backend.check().healthy
    assert backend.describe().unenforced
    with pytest.raises(SandboxUnavailable):
        backend.reap()


def test_an_engine_that_hangs_is_given_up_on_within_bounded_time(silent_engine):
    backend = DockerBackend(DockerSettings(docker_host=silent_engine, api_timeout_s=0.3))
    started_at = time.monotonic()
    with pytest.raises(SandboxUnavailable):
        backend.run(probe_request(one_run()))
    assert time.monotonic() - started_at < 30
    backend.close()


def test_a_missing_base_image_is_our_fault_and_says_what_to_do(engine):
    backend = DockerBackend(DockerSettings(base_image="xqueue/no-such-image:local"))
    with pytest.raises(SandboxUnavailable, match=r"build\.sh"):
        backend.run(probe_request(one_run()))
    backend.close()


def test_a_missing_grader_image_is_the_course_teams_fault(docker_backend):
    with pytest.raises(GraderNotUsable):
        docker_backend.run(image_request("xqueue/no-such-grader:local"))


def test_an_image_that_declares_a_volume_is_refused(an_image, docker_backend):
    image = an_image("VOLUME /data")
    with pytest.raises(GraderNotUsable, match="VOLUME"):
        docker_backend.run(image_request(image.id))


def test_an_image_whose_grader_learners_could_read_is_refused(an_image, docker_backend):
    image = an_image("RUN touch /grade/grade.py && chmod 0755 /grade")
    with pytest.raises(GraderNotUsable, match="0700"):
        docker_backend.run(image_request(image.id))


def test_an_image_without_our_supervisor_is_refused(an_image, docker_backend):
    image = an_image("RUN rm -r /xq")
    with pytest.raises(GraderNotUsable, match="grader base"):
        docker_backend.run(image_request(image.id))


def test_an_image_without_python_is_refused(an_image, docker_backend):
    image = an_image("RUN rm /usr/bin/python3 /usr/bin/python3.*[0-9] || true")
    with pytest.raises(GraderNotUsable):
        docker_backend.run(image_request(image.id))


def test_an_image_without_entry_point_is_refused(docker_backend):
    with pytest.raises(GraderNotUsable, match="grade"):
        docker_backend.run(image_request(GRADER_BASE_IMAGE))


def test_what_an_image_says_about_user_entrypoint_and_health_is_not_followed(
    an_image, docker_backend
):
    image = an_image(
        "RUN printf '#!/bin/sh\\nexit 7\\n' > /grade/grade"
        " && chmod 0700 /grade/grade && chown 10001:10001 /grade/grade",
        'ENTRYPOINT ["sleep", "600"]',
        "HEALTHCHECK --interval=1s CMD touch /tmp/healthy",
        "USER 1000",
    )
    result = docker_backend.run(image_request(image.id))
    assert "status 7" in result.detail


def test_the_environment_chooses_the_engine(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix:///nonexistent/{os.getpid()}.sock")
    assert not DockerBackend().check().healthy
