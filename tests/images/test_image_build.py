"""`graders build`: what is in the image that it makes, and what it does not make one of."""

import io
import json
import shutil
import stat
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from graders.checking import Kind, check_grader
from graders.cli.main import main
from graders.errors import ImageRefused
from graders.publishing.docker_program import DockerProgram
from graders.publishing.image_build import SOURCES_LABEL, VERSION_LABEL, build_image
from graders.publishing.image_check import examine
from graders.trying import Answer, opened
from sandbox.backends.docker.image_walk import PRIVATE_LABEL
from tests.images.conftest import GRADER_YAML
from tests.images.foreign import made_for_another_machine

STATIC_GRADER = Path(__file__).parent / "static_grader"


@pytest.fixture
def members(engine):
    """Path -> tar entry of a folder in an image."""

    def read(image_id, folder):
        container = engine.containers.create(image_id)
        try:
            chunks, _ = container.get_archive(folder)
            content = b"".join(chunks)
        finally:
            container.remove()
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            return {entry.name: entry for entry in archive}

    return read


def test_the_graders_files_are_the_graders_alone(grader_at, built, members):
    directory = grader_at({"tests/one.in": "1", "Dockerfile": "FROM xqueue/grader-bash:local\n"})
    entries = members(built(directory).image_id, "/grade")
    owners = {(entry.uid, entry.gid) for entry in entries.values()}
    modes = {
        path: oct(stat.S_IMODE(entry.mode))
        for path, entry in entries.items()
        if ".xqueue" not in path
    }
    assert owners == {(10001, 10001)}
    assert modes == {
        "grade": "0o700",
        "grade/Dockerfile": "0o600",
        "grade/expected": "0o600",
        "grade/grade": "0o700",
        "grade/grader.yaml": "0o600",
        "grade/tests": "0o700",
        "grade/tests/one.in": "0o600",
    }


def test_samples_and_hidden_files_stay_at_home(grader_at, built, members):
    directory = grader_at({".secret": "x", "__pycache__/x.pyc": "x"})
    entries = members(built(directory).image_id, "/grade")
    assert not [path for path in entries if "samples" in path or "secret" in path or "pyc" in path]


def test_what_the_dockerfile_left_open_in_the_graders_folder_is_closed(grader_at, built, new_host):
    directory = grader_at(
        {"Dockerfile": "FROM xqueue/grader-bash:local\nCOPY . /grade\nRUN chmod -R 0777 /grade\n"}
    )
    image = built(directory)
    assert examine(image.manifest, image.image_id, new_host).image == image.image_id


def test_a_copy_that_the_dockerfile_left_elsewhere_is_refused_when_declared(
    grader_at, built, new_host
):
    declared = {
        "grader.yaml": f"{GRADER_YAML}private: [/opt/source]\n",
        "Dockerfile": "FROM xqueue/grader-bash:local\nCOPY . /opt/source\n",
    }
    image = built(grader_at(declared))
    with pytest.raises(ImageRefused, match="/opt/source can be listed by learners"):
        examine(image.manifest, image.image_id, new_host)


def test_the_image_says_what_it_is(grader_at, built, engine):
    directory = grader_at({"grader.yaml": f"{GRADER_YAML}private: [/opt/x]\n"})
    image = built(directory)
    config = engine.images.get(image.image_id).attrs["Config"]
    labels = config["Labels"]
    assert labels["org.xqueue.grader.name"] == "sums"
    assert json.loads(labels[PRIVATE_LABEL]) == ["/opt/x"]
    assert labels[SOURCES_LABEL].startswith(f"sha256:{image.sources}")
    assert labels[VERSION_LABEL]
    assert (config["User"], config["Entrypoint"]) == ("0:0", ["/xq/xq", "--container"])


def test_the_same_directory_is_the_same_image_and_a_changed_one_another(grader_at, built):
    first = built(grader_at())
    again = built(grader_at(name="copied"))
    changed = built(grader_at({"expected": "6\n"}, name="changed"))
    assert first.image_id == again.image_id
    assert changed.image_id != first.image_id
    assert changed.sources != first.sources


def test_building_leaves_no_name_behind(grader_at, built, engine):
    built(grader_at())
    with pytest.raises(ImageRefused):
        build_image(grader_at({"Dockerfile": "FROM scratch\nVOLUME /x\n"}, "b"), DockerProgram())
    # As the engine lists them: asked for one by one, other people's may be gone by then.
    names = [tag for image in engine.api.images() for tag in image["RepoTags"] or ()]
    assert [name for name in names if name.startswith("xqueue/building-sums")] == []


@pytest.mark.parametrize(
    ("lines", "refusal"),
    [
        ("FROM xqueue/grader-bash:local\nVOLUME /data\n", "declares the volumes /data"),
        ("FROM xqueue/grader-bash:local\nONBUILD RUN true\n", "ONBUILD"),
        ("FROM xqueue/grader-bash:local\nRUN echo unheard-of; exit 3\n", "unheard-of"),
        ("FROM xqueue/no-such-base:local\n", "no-such-base"),
    ],
)
def test_a_dockerfile_that_makes_no_grader_is_refused(grader_at, lines, refusal, engine):
    with pytest.raises(ImageRefused, match=refusal):
        build_image(grader_at({"Dockerfile": lines}), DockerProgram())


def test_an_image_for_another_kind_of_machine_than_the_supervisors_is_refused(
    grader_at, image_of_lines, forget_image, engine
):
    ours = image_of_lines("FROM scratch", "COPY x /x", files={"x": b"x"})
    foreign = made_for_another_machine(engine, ours.id)
    forget_image(foreign, later=True)
    directory = grader_at({"Dockerfile": f"FROM {foreign}\n"})
    with pytest.raises(ImageRefused, match=r"an image for linux/s390x.*for linux/a[mr]") as refused:
        build_image(directory, DockerProgram())
    assert "on a machine of that kind" in str(refused.value)


def test_a_directory_without_a_dockerfile_needs_no_image(grader_at):
    yaml = "name: x\nlanguage: bash\ntests: [{stdout: '1'}]\n"
    directory = grader_at({"Dockerfile": None, "grader.yaml": yaml})
    with pytest.raises(ImageRefused, match="needs no image"):
        build_image(directory, DockerProgram())


PYTHON_IN_NAME = """
FROM xqueue/grader-c:local AS compiler
RUN mkdir -p /image/usr/bin && echo 'int puts(const char *);int main(void){{puts("{says}");}}' \
 | gcc -static -x c -o /image/usr/bin/python3 -
FROM scratch
COPY --from=compiler /image /
ENV PATH=/usr/bin
"""


@pytest.mark.parametrize(
    ("says", "has_library"), [("3 12", True), ("3 11", True), ("3 8", False), ("what?", False)]
)
def test_the_library_goes_where_a_python_can_use_it(grader_at, built, members, says, has_library):
    directory = grader_at({"Dockerfile": PYTHON_IN_NAME.format(says=says)})
    entries = members(built(directory).image_id, "/xq")
    assert ("xq/lib/graders/library/grader.py" in entries) is has_library
    assert "xq/xq" in entries


def test_an_image_without_shell_and_python_grades(tmp_path, docker_backend, members, engine):
    directory = tmp_path / "static"
    shutil.copytree(STATIC_GRADER, directory)
    findings = check_grader(directory, docker_backend)
    assert [str(finding) for finding in findings if finding.kind is not Kind.OK] == []
    with opened(directory, docker_backend) as grader:
        assert set(members(grader.manifest.image, "/xq")) == {"xq", "xq/xq"}
    docker_backend.settle()
    engine.images.remove(grader.manifest.image, force=True)


def test_trying_builds_what_has_changed(grader_at, docker_backend, engine):
    """Nobody has to think of `graders build` while writing a grader."""
    directory = grader_at()
    scores = []
    for expected in ("5\n", "6\n"):
        (directory / "expected").write_text(expected)
        with opened(directory, docker_backend) as grader:
            result = grader.grade(Answer(response="echo 5"))
        scores.append([report.score for report in result.reports])
        docker_backend.settle()
        engine.images.remove(grader.manifest.image, force=True)
    assert scores == [[1], [0]]


def test_the_command_prints_the_image_id_alone_on_stdout(grader_at, forget_image):
    done = CliRunner().invoke(main, ["build", "--quiet", str(grader_at())])
    assert done.exit_code == 0, done.output
    forget_image(done.stdout.strip())
    assert done.stdout.startswith("sha256:")
    assert "Learners can not read" in done.stderr


def test_the_command_refuses_an_image_open_to_learners(open_grader):
    done = CliRunner().invoke(main, ["build", "--quiet", str(open_grader)])
    assert done.exit_code == 1
    assert "/etc/passwd can be read by learners" in done.output
    assert done.stdout == ""


@pytest.mark.parametrize("name", ["squares", "cs101/squares", "http://x.org/a", "x.org/A", "x.org"])
def test_a_place_to_push_to_names_its_registry(grader_at, name):
    done = CliRunner().invoke(main, ["build", str(grader_at()), "--push", name])
    assert done.exit_code == 1
    assert "is not REGISTRY/NAME" in done.output


def test_a_new_grader_of_tier_2_works_as_it_is(tmp_path, docker_backend, forget_image):
    directory = tmp_path / "my-image"
    made = CliRunner().invoke(main, ["new", str(directory), "--tier", "2"])
    assert made.exit_code == 0, made.output
    assert "@" not in "".join(path.read_text() for path in directory.rglob("*.*"))
    findings = check_grader(directory, docker_backend)
    assert [str(finding) for finding in findings if finding.kind is not Kind.OK] == []
    docker_backend.settle()
    forget_image(build_image(directory, DockerProgram()).image_id)


def test_the_program_on_the_page_grades(grader_at, docker_backend, forget_image):
    """docs/graders/images.md: its script, word by word."""
    page = (STATIC_GRADER.parents[2] / "docs" / "graders" / "images.md").read_text()
    script = page.partition("```sh\n")[2].partition("```")[0]
    with opened(grader_at({"grade": script}), docker_backend) as grader:
        scores = [
            [report.score for report in grader.grade(Answer(response=text)).reports]
            for text in ("echo 5", "echo 6", "exit 3")
        ]
    docker_backend.settle()
    forget_image(grader.manifest.image)
    assert scores == [[1], [0], [0]]
