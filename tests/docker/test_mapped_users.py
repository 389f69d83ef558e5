"""An engine that maps users keeps every promise too, and its root is nobody on the host."""

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import pytest

from sandbox.backends.docker import GRADER_BASE_IMAGE, DockerBackend, DockerSettings, PoolSettings
from sandbox.canary import run_canary
from sandbox.conformance import CaseOutcome
from sandbox.conformance_cases import CASES
from tests.docker.private_engine import PrivateEngine
from tests.support.together import try_promise, try_together


@pytest.fixture(scope="module")
def mapping_engine(engine):
    with (
        # Not pytest's own folder: the mapped users must be able to pass through all of them.
        tempfile.TemporaryDirectory() as folder,
        PrivateEngine(open_to_pass(Path(folder)), maps_users=True) as private,
    ):
        subprocess.run(
            f"docker save {GRADER_BASE_IMAGE} | docker --host {private.address} load",
            shell=True,
            check=True,
            capture_output=True,
        )
        yield private


def open_to_pass(folder):
    folder.chmod(0o711)
    return folder


@pytest.fixture(scope="module")
def mapped(mapping_engine):
    backend = DockerBackend(
        DockerSettings(docker_host=mapping_engine.address, pool=PoolSettings(size=0))
    )
    yield backend
    backend.close()


def test_every_promise_is_kept(mapped):
    tries = {case.name: partial(try_promise, mapped, None, case) for case in reversed(CASES)}
    results = [tried.result() for tried in try_together(tries).values()]
    assert [r for r in results if r.outcome is not CaseOutcome.PASSED] == []
    assert len(results) == len(CASES)


def test_the_canary_gains_nothing(mapped):
    assert run_canary(mapped).lives


def test_root_in_a_container_is_an_unprivileged_user_of_the_host(mapping_engine):
    running = mapping_engine.docker(
        "run",
        "--detach",
        "--rm",
        "--network",
        "none",
        "--entrypoint",
        "sleep",
        GRADER_BASE_IMAGE,
        "600",
    ).strip()
    try:
        pid = mapping_engine.docker("inspect", "--format", "{{.State.Pid}}", running).strip()
        assert Path(f"/proc/{pid}").stat().st_uid >= 100_000
    finally:
        mapping_engine.docker("kill", running)


def test_an_engine_that_this_process_sees_gives_it_nothing_that_it_has_not(open_docker):
    assert not open_docker().describe().hands_out_root


def test_one_behind_a_socket_from_outside_makes_its_users_root_unless_it_maps_them(
    mapping_engine, engine
):
    usual = described_from_inside("/var/run/docker.sock")
    mapping = described_from_inside(mapping_engine.address.removeprefix("unix://"))
    assert (usual, mapping) == ("True", "False")


def described_from_inside(socket_path):
    """As a process in a namespace of its own, like one in a container, finds it."""
    program = (
        "from sandbox.backends.docker import DockerBackend, DockerSettings\n"
        f"backend = DockerBackend(DockerSettings(docker_host='unix://{socket_path}'))\n"
        "print(backend.describe().hands_out_root)\n"
        "backend.close()"
    )
    apart = ["unshare", "--pid", "--fork", sys.executable, "-c", program]
    return subprocess.run(apart, capture_output=True, text=True, check=True).stdout.strip()
