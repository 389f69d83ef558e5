"""The supervisor as it was built, in namespaces of its own: needs root, not Docker."""

import json
import os
import shutil
import subprocess

import pytest

from tests.supervisor.harness import TOP, XQ, Supervisor
from tests.support.services import missing_service

PROBE = (TOP / "sandbox" / "probe" / "grade.py").read_text()


@pytest.fixture(scope="session")
def xq():
    """The program, built when it was not."""
    built = subprocess.run(
        [TOP / "sandbox" / "supervisor" / "build.sh"], capture_output=True, text=True, check=False
    )
    if built.returncode != 0:
        missing_service(f"a C compiler ({built.stderr.strip()[-200:]})")
    return XQ


@pytest.fixture(scope="session")
def may_make_containers(xq):
    programs = ("unshare", "setpriv", "chroot", "python3")
    if os.geteuid() != 0 or not all(map(shutil.which, programs)):
        missing_service("root, for namespaces of our own")


@pytest.fixture
def supervise(may_make_containers):
    """Starts supervisors, and sees them end."""
    started = []

    def start(mode="--container", **more):
        supervisor = Supervisor(mode, **more)
        started.append(supervisor)
        return supervisor

    yield start
    for supervisor in started:
        supervisor.__exit__()


@pytest.fixture
def follow(supervise):
    """Lets the probe grader follow some steps; gives the frames after `ready`."""

    def run(*steps, response="", limits=None, files=None, job=None, scratch_bytes=8 << 20):
        supervisor = supervise(scratch_bytes=scratch_bytes)
        return supervisor.grade(
            {"grade.py": PROBE, **(files or {})},
            job={"response": response, "payload": json.dumps(steps), **(job or {})},
            limits=limits,
        )

    return run


@pytest.fixture
def run_learner(follow):
    """Runs some Python as the learner; gives what came of it (the grader's `ran` frames)."""

    def run(*codes, more=({},), limits=None):
        asked = [*more, *({},) * (len(codes) - len(more))]
        steps = [
            {"do": "run", "as": f"t{n}", "argv": ["python3", "-I", "-S", "-c", code], **extra}
            for n, (code, extra) in enumerate(zip(codes, asked, strict=True))
        ]
        frames = follow(*steps, {"do": "done"}, limits=limits)
        assert (frames[-1]["how"], frames[-1]["detail"]) == ("finished", ""), frames[-1]
        return [json.loads(frame["output"]) for frame in frames if frame["type"] == "report"]

    return run
