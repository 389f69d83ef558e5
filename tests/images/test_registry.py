"""From an author's push to a host that grades: by digest, through a real registry."""

import json
import socket
import subprocess
from contextlib import closing

import pytest
from click.testing import CliRunner

from grader_worker.assignment import Assignment
from grader_worker.grading import PlatformBroken, grade
from grader_worker.lease import Lease
from graders.cli.main import main
from graders.errors import ImageRefused
from graders.publishing.docker_program import DockerProgram
from graders.publishing.registry import push_image
from sandbox.backends.docker import DockerBackend, DockerSettings
from sandbox.backends.docker.pulling import ImagePuller
from sandbox.errors import GraderNotUsable, HostCannot, SandboxUnavailable
from sandbox.run import DeclaredTest, ImageGrader, Preparation, RunRequest
from tests.images.conftest import RIGHT
from tests.images.foreign import made_for_another_machine
from tests.images.registry import Registry
from tests.worker.fakes import submission_body

TESTS = (DeclaredTest(test_id="sum", title="the sum", max_score=1),)
NOWHERE = f"127.0.0.1:9/no-such@sha256:{'0' * 64}"


def make_ready(backend, reference):
    backend.prepare(Preparation(grader=ImageGrader(image=reference)))


def points(backend, reference):
    request = RunRequest(
        run_id="pushed", grader=ImageGrader(image=reference), job=RIGHT, tests=TESTS
    )
    result = backend.run(request)
    backend.settle()
    return [report.score for report in result.reports]


@pytest.fixture
def pushed(grader_at, built, registry):
    """Builds a grader whose right answer is that, pushes it, and gives its two names."""

    def push(expected="5\n", name="sums", tag=None):
        image = built(grader_at({"expected": expected}, name=f"grader-{expected.strip()}"))
        place = f"{registry.host}/cs101/{name}"
        return image, push_image(image, place, DockerProgram(), tag=tag)

    return push


def test_a_pushed_image_is_fetched_by_a_host_that_does_not_have_it(
    pushed, forget_image, new_host, registry
):
    image, reference = pushed()
    forget_image(image.image_id)
    with pytest.raises(SandboxUnavailable, match="not on this host"):
        points(new_host, reference)  # never in a learner's time
    make_ready(new_host, reference)
    assert points(new_host, reference) == [1]
    assert registry.tags("cs101/sums") == [f"sums-{image.sources}"]


def test_the_command_prints_the_name_by_digest(grader_at, registry, forget_image, engine):
    place = f"{registry.host}/cs101/printed"
    arguments = ["build", "--quiet", str(grader_at()), "--push", place, "--tag", "v1"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    reference = done.stdout.strip()
    forget_image(engine.images.get(reference).id)
    assert reference.startswith(f"{place}@sha256:")
    assert registry.tags("cs101/printed") == ["v1"]


def test_going_back_to_the_digest_before_grades_as_before(pushed, forget_image, new_host):
    first, old = pushed("5\n", tag="latest")
    second, new = pushed("6\n", tag="latest")
    assert old != new
    for image in (first, second):
        forget_image(image.image_id)
    for reference, expected in ((new, [0]), (old, [1])):
        make_ready(new_host, reference)
        assert points(new_host, reference) == expected


def test_a_moved_tag_changes_nothing(pushed, forget_image, new_host):
    first, reference = pushed("5\n", tag="v1")
    make_ready(new_host, reference)
    second, _ = pushed("6\n", tag="v1")
    assert points(new_host, reference) == [1]
    for image in (first, second):
        forget_image(image.image_id)
    make_ready(new_host, reference)
    assert points(new_host, reference) == [1]


def test_an_image_that_was_deleted_here_and_there_is_said_not_to_be_had(
    pushed, forget_image, new_host, registry
):
    image, reference = pushed(name="deleted")
    make_ready(new_host, reference)
    registry.delete(reference)
    forget_image(image.image_id)
    with pytest.raises(GraderNotUsable, match="the registry does not have"):
        make_ready(new_host, reference)


def test_a_submission_whose_image_is_gone_is_released_and_not_held(pushed, forget_image, new_host):
    image, reference = pushed()
    make_ready(new_host, reference)
    forget_image(image.image_id)
    new_host.reap()
    outcome = grade(
        Lease(header="{}", submission_id="1", body=submission_body("echo 5")),
        Assignment(queue="q", grader=ImageGrader(image=reference), tests=TESTS),
        sandbox=new_host,
        fetch_files=lambda _: {},
    )
    assert isinstance(outcome, PlatformBroken)
    assert "not on this host" in outcome.detail
    make_ready(new_host, reference)  # the next round of the worker's keeper
    assert points(new_host, reference) == [1]


def test_an_image_id_that_is_not_here_can_not_be_fetched(built, grader_at, forget_image, new_host):
    image = built(grader_at())
    forget_image(image.image_id)
    with pytest.raises(SandboxUnavailable, match="an image id can not be fetched"):
        make_ready(new_host, image.image_id)


def test_an_image_that_is_not_pinned_is_never_fetched(pushed, forget_image, new_host, registry):
    image, _ = pushed(tag="v7")
    forget_image(image.image_id)
    with pytest.raises(GraderNotUsable, match="not on this host"):
        make_ready(new_host, f"{registry.host}/cs101/sums:v7")


def test_a_host_reads_with_its_own_credential(
    built, grader_at, forget_image, new_host, locked_registry, tmp_path, monkeypatch
):
    """The author's went with `docker push`; without one, the host is told what it lacks."""
    image = built(grader_at())
    place = f"{locked_registry.host}/cs101/sums"
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "nobody"))
    with pytest.raises(ImageRefused, match=f"docker login {locked_registry.host}"):
        push_image(image, place, DockerProgram())
    config = locked_registry.docker_config(tmp_path / "author")
    monkeypatch.setenv("DOCKER_CONFIG", str(config))
    reference = push_image(image, place, DockerProgram())
    forget_image(image.image_id)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "nobody"))
    with pytest.raises(SandboxUnavailable, match=r"gives this host no access.*docker login"):
        make_ready(new_host, reference)
    monkeypatch.setenv("DOCKER_CONFIG", str(config))
    make_ready(new_host, reference)
    assert points(new_host, reference) == [1]


def test_a_host_knocks_at_no_registry_that_its_operator_has_not_named(engine):
    with socket.create_server(("127.0.0.1", 0)) as door:
        address = f"127.0.0.1:{door.getsockname()[1]}"
        backend = DockerBackend(DockerSettings(registries={"127.0.0.1:1", "docker.io"}))
        with closing(backend), pytest.raises(HostCannot, match=f"--registry {address}"):
            make_ready(backend, f"{address}/a/b@sha256:{'0' * 64}")
        door.setblocking(False)
        with pytest.raises(BlockingIOError):
            door.accept()


def test_an_unreadable_credential_is_named_without_being_shown(new_host, tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"127.0.0.1:9": {"auth": "%%"}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with pytest.raises(SandboxUnavailable) as refused:
        make_ready(new_host, NOWHERE)
    assert "%%" not in str(refused.value)


def test_a_registry_that_is_away_is_nobodys_grade(pushed, forget_image, new_host, tmp_path):
    registry = Registry(tmp_path / "registry")
    registry.start()
    image, reference = pushed()
    name = f"{registry.host}/cs101/away"
    reference = push_image(image, name, DockerProgram())
    registry.stop()
    forget_image(image.image_id)
    with pytest.raises(SandboxUnavailable, match="can not be fetched"):
        make_ready(new_host, reference)
    registry.start()
    make_ready(new_host, reference)
    registry.stop()
    assert points(new_host, reference) == [1]


def test_a_registry_that_says_nothing_is_not_waited_for(new_host, engine):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        puller = ImagePuller(new_host._engine, idle_s=0.5)
        with pytest.raises(SandboxUnavailable, match="in time"):
            puller.pull(f"{host}/silent@sha256:{'0' * 64}")


def test_an_image_for_another_machine_is_refused_before_it_grades(
    built, grader_at, engine, forget_image, new_host, registry
):
    image_id = made_for_another_machine(engine, built(grader_at()).image_id)
    forget_image(image_id, later=True)
    place = f"{registry.host}/cs101/foreign"
    for arguments in (["tag", image_id, f"{place}:v1"], ["push", f"{place}:v1"]):
        subprocess.run(["docker", *arguments], check=True, capture_output=True)
    reference = engine.images.get(f"{place}:v1").attrs["RepoDigests"][0]
    forget_image(image_id)
    with pytest.raises(GraderNotUsable, match="is made for linux/s390x, and this host is linux/"):
        make_ready(new_host, reference)
