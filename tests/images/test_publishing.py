"""`graders publish` of a grader that is an image."""

from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from graders.cli import options
from graders.cli.main import main
from graders.publishing.docker_program import DockerProgram
from graders.publishing.registry import push_image
from tests.images.conftest import GRADER_YAML
from tests.images.foreign import made_for_another_machine


@pytest.fixture
def server(monkeypatch):
    """Takes every publication, and remembers them."""
    taken = []

    def request(method, path, *, json):
        taken.append((method, path, json))
        return {"version": 1, "active": True, "default": True}

    monkeypatch.setattr(options, "open_server", lambda *_: SimpleNamespace(request=request))
    return taken


def publish(directory, *more):
    return CliRunner().invoke(main, ["publish", str(directory), "--queue", "cs101", *more])


def test_without_an_image_it_is_built_and_the_author_told_what_an_id_is_worth(
    grader_at, server, forget_image
):
    done = publish(grader_at())
    assert done.exit_code == 0, done.output
    [(_, path, sent)] = server
    forget_image(sent["image"])
    assert path == "/api/v1/graders"
    assert sent["image"] == sent["manifest"]["image"]
    assert sent["image"].startswith("sha256:")
    assert "digest" not in sent
    assert "only hosts that have this very image" in done.stderr
    assert "<problem" in done.stdout


def test_a_pushed_image_is_published_by_its_digest(
    grader_at, server, built, registry, forget_image
):
    directory = grader_at()
    image = built(directory)
    reference = push_image(image, f"{registry.host}/cs101/published", DockerProgram())
    forget_image(image.image_id)
    done = publish(directory, "--image", reference)
    assert done.exit_code == 0, done.output
    assert server[0][2]["image"] == reference
    assert "only hosts that have" not in done.output


def test_an_image_of_another_grader_yaml_is_refused(grader_at, server, built):
    directory = grader_at()
    image = built(directory).image_id
    more = GRADER_YAML.replace("numbers}", "numbers, points: 9}")
    (directory / "grader.yaml").write_text(more)
    done = publish(directory, "--image", image)
    assert done.exit_code == 1
    assert "built from another grader.yaml" in done.output
    assert server == []


def test_an_image_that_no_host_could_use_is_not_published(grader_at, server, engine):
    done = publish(grader_at(), "--image", f"sha256:{'0' * 64}")
    assert done.exit_code == 1
    assert "is not on this host" in done.output
    assert server == []


def test_an_image_of_another_tool_is_not_published(grader_at, server, engine):
    done = publish(grader_at(), "--image", engine.images.get("xqueue/grader-bash:local").id)
    assert done.exit_code == 1
    assert "no grader of `graders build`, not sums" in done.output
    assert server == []


def test_an_image_for_hosts_of_another_kind_is_left_to_them_to_examine(
    grader_at, server, built, engine, forget_image
):
    directory = grader_at()
    foreign = made_for_another_machine(engine, built(directory).image_id)
    forget_image(foreign, later=True)
    done = publish(directory, "--image", foreign)
    assert done.exit_code == 0, done.output
    assert "is made for linux/s390x" in done.stderr
    assert "can not be examined here" in done.stderr
    assert server[0][2]["image"] == foreign


def test_without_a_docker_a_pushed_image_can_be_published(grader_at, server, monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody")
    reference = f"registry.example.org/sums@sha256:{'1' * 64}"
    done = publish(grader_at(), "--image", reference)
    assert done.exit_code == 0, done.output
    assert "can not be examined here" in done.stderr
    assert server[0][2]["image"] == reference


def test_without_a_docker_nothing_is_built(grader_at, server, monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody")
    done = publish(grader_at())
    assert done.exit_code == 1
    assert "images need Docker, and it does not answer" in done.output


def test_an_open_image_is_not_published(open_grader, server):
    done = publish(open_grader)
    assert done.exit_code == 1
    assert "/etc/passwd can be read by learners" in done.output
    assert server == []


def test_a_bundle_takes_no_image(grader_at, server):
    yaml = "name: x\nlanguage: bash\ntests: [{stdout: '1'}]\n"
    directory = grader_at({"Dockerfile": None, "grade": "", "grader.yaml": yaml})
    done = publish(directory, "--image", f"sha256:{'0' * 64}")
    assert done.exit_code == 2
    assert "this one needs none" in done.output
