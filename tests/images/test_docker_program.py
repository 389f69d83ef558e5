"""How the program `docker` is called."""

import pytest

from graders.errors import ImageRefused, NoSandbox
from graders.publishing.docker_program import USUAL_ENGINE, DockerProgram, environment


def test_it_speaks_to_the_engine_that_the_sandbox_uses():
    assert environment({})["DOCKER_HOST"] == USUAL_ENGINE
    assert environment({"DOCKER_HOST": "tcp://10.0.0.1:2375"})["DOCKER_HOST"].startswith("tcp:")


def test_it_builds_where_the_engine_finds_its_own_images():
    assert environment({})["BUILDX_BUILDER"] == "default"


def test_without_the_program_it_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoSandbox, match="`docker`"):
        DockerProgram()


def test_an_engine_that_does_not_answer_is_no_fault_of_the_image(engine, tmp_path):
    docker = DockerProgram(environ={"DOCKER_HOST": f"unix://{tmp_path}/nobody"})
    with pytest.raises(NoSandbox, match="does not answer"):
        docker.find_image("anything")


def test_an_image_that_is_not_here_is_none(engine):
    assert DockerProgram().find_image("xqueue/no-such-image:local") is None


@pytest.mark.parametrize("shows", [True, False])
def test_what_fails_is_told_with_dockers_words(engine, capsys, shows):
    docker = DockerProgram(shows=shows)
    with pytest.raises(ImageRefused, match="can not be tagged") as refused:
        docker.follow("tag", "xqueue/no-such-image:local", "x:y", failing="x can not be tagged")
    said = capsys.readouterr().err if shows else str(refused.value)
    assert "No such image" in said
