"""What the bubblewrap backend can not give it refuses: it takes nothing weaker instead."""

import dataclasses

import pytest

from sandbox.backends import bubblewrap
from sandbox.errors import GraderNotUsable, HostCannot, SandboxUnavailable
from sandbox.probe.script import one_run, probe_request
from sandbox.run import DirectoryGrader, ImageGrader, Isolation, Preparation

REQUEST = probe_request(one_run(), "print(1)")
UNSERVED = [{"isolation": isolation} for isolation in Isolation]
UNSERVED += [{"runtime": "runsc"}, {"grader": ImageGrader(image="sha256:" + "0" * 64)}]


def preparation_of(request):
    return Preparation(
        grader=request.grader,
        limits=request.limits,
        isolation=request.isolation,
        runtime=request.runtime,
    )


@pytest.mark.parametrize("asked", UNSERVED, ids=str)
def test_a_grader_that_asks_for_more_is_neither_prepared_nor_run(bubblewrap_backend, asked):
    request = dataclasses.replace(REQUEST, **asked)
    with pytest.raises(HostCannot, match="docker backend"):
        bubblewrap_backend.prepare(preparation_of(request))
    with pytest.raises(HostCannot, match="docker backend"):
        bubblewrap_backend.run(request)


def test_a_grader_that_leaves_it_to_the_host_is_prepared(bubblewrap_backend):
    bubblewrap_backend.prepare(preparation_of(REQUEST))


def test_a_grader_that_is_not_there_is_not_prepared(bubblewrap_backend, tmp_path):
    gone = dataclasses.replace(REQUEST, grader=DirectoryGrader(path=tmp_path / "gone"))
    with pytest.raises(GraderNotUsable):
        bubblewrap_backend.prepare(preparation_of(gone))


def test_a_supervisor_of_another_kind_of_machine_is_named(
    bubblewrap_backend, tmp_path, monkeypatch
):
    other = tmp_path / "xq"
    other.write_bytes(b"\x7fELF of another kind")
    other.chmod(0o755)
    monkeypatch.setattr(bubblewrap, "XQ", other)
    with pytest.raises(SandboxUnavailable, match="another kind of machine"):
        bubblewrap_backend.run(REQUEST)
