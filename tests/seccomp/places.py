"""Programs under our filters: in a container with the Docker profile, in a box with the BPF."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sandbox.seccomp import box_filter, docker_profile
from tests.support.services import missing_service

SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/sbin")
CONFIGURATION = ("/etc/alternatives", "/etc/ld.so.cache", "/etc/passwd")
PATIENCE_S = 120


def system_paths() -> list[Path]:
    """What the programs of this machine need."""
    paths = [Path(path) for path in (*SYSTEM, *CONFIGURATION)]
    return [path for path in (*paths, *Path("/etc").glob("java-*-openjdk")) if path.exists()]


def in_a_box(command: Sequence[str], *, filtered: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a program of this machine in a box, with or without our filter."""
    if shutil.which("bwrap") is None:
        missing_service("bubblewrap")
    options = ["--unshare-all", "--uid", "10002", "--gid", "10002", "--cap-drop", "ALL"]
    for path in system_paths():
        options += ["--ro-bind", str(path), str(path)]
    options += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--chdir", "/tmp"]
    with tempfile.TemporaryFile() as program:
        if filtered:
            program.write(box_filter(platform.machine()))
            program.seek(0)
            options += ["--seccomp", str(program.fileno())]
        return subprocess.run(
            ["bwrap", *options, "--", *command],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            pass_fds=[program.fileno()],
            env={"PATH": "/usr/bin:/bin"},
        )


def in_a_container(
    command: Sequence[str], image: str, *, filtered: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a program of this machine in a container of the engine here, whose files it is given."""
    volumes = [f"--volume={path.resolve()}:{path}:ro" for path in system_paths()]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as profile:
        profile.write(docker_profile())
        profile.flush()
        security = f"seccomp={profile.name if filtered else 'unconfined'}"
        return subprocess.run(
            [
                *("docker", "run", "--rm", "--network=none", "--cap-drop=ALL"),
                *("--security-opt", "no-new-privileges", "--security-opt", security),
                *("--user=10002:10002", "--tmpfs=/tmp:exec,mode=1777", "--workdir=/tmp"),
                *(*volumes, "--entrypoint", command[0], image, *command[1:]),
            ],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            env=dict(os.environ),
        )
