"""`graders try --shell`: a shell where the learner's program would run, to look around.

The learner's side only: the submission, the files beside it, the programs of the image, the limits
of memory and processes, no network. Expected outputs and the grader's own files are not there.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from graders.errors import NoSandbox
from graders.grader_file import GraderFile, read_grader_file
from graders.languages import image_of
from graders.local_sandbox import open_local_sandbox
from graders.trying import Answer
from sandbox.run import Limits

LEARNER_UID = 20001
"""Any that owns nothing; in a graded run it is chosen anew each time."""
INTO_THE_BOX = 'cp /handed-in/* /box/ 2>/dev/null; cd /box && exec /bin/sh "$@"'


def open_shell(directory: Path, answer: Answer, backend: str | None = None) -> int:
    """Run the shell on our own terminal; gives its exit status.

    Raises:
        ManifestInvalid: grader.yaml has mistakes.
        NoSandbox: there is none on this machine.
    """
    grader = read_grader_file(directory)
    sandbox = open_local_sandbox(backend, base=grader.language.name)
    sandbox.backend.close()
    with tempfile.TemporaryDirectory(prefix="grader-shell-") as folder:
        handed_in = Path(folder)
        _place(handed_in, grader, answer)
        _explain(grader, sandbox.why)
        if sandbox.name == "docker":
            command = _docker_command(grader, handed_in)
        else:
            command = _bubblewrap_command(handed_in)
        return subprocess.run(command, check=False).returncode


def _place(folder: Path, grader: GraderFile, answer: Answer) -> None:
    files = {name: (grader.directory / path).read_bytes() for name, path in grader.files.items()}
    files |= {name: answer.files[name] for name in grader.uploads if name in answer.files}
    files.setdefault(grader.submission, answer.response.encode())
    # The learner's user is not ours.
    folder.chmod(0o755)
    for name, content in files.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o644)


def _explain(grader: GraderFile, why: str) -> None:
    lines = [f"A shell {why}. The folder is the learner's; it is gone when you leave."]
    if grader.compile:
        lines.append(f"  compile: {' '.join(grader.compile)}")
    lines.append(f"  run:     {' '.join(grader.run)}")
    sys.stderr.write("\n".join(lines) + "\n")


def _docker_command(grader: GraderFile, handed_in: Path) -> list[str]:
    docker = shutil.which("docker")
    if docker is None:
        raise NoSandbox("--shell needs the program `docker`; it is not on the PATH")
    limits = grader.limits
    return [
        docker,
        "run",
        "--rm",
        "--interactive",
        *(["--tty"] if sys.stdin.isatty() else []),
        *_docker_walls(limits),
        f"--volume={handed_in}:/handed-in:ro",
        "--entrypoint=/bin/sh",
        image_of(grader.language.name),
        "-c",
        INTO_THE_BOX,
        "sh",
        *(["-i"] if sys.stdin.isatty() else []),
    ]


def _docker_walls(limits: Limits) -> list[str]:
    uid = LEARNER_UID
    small = limits.scratch_bytes // 4
    return [
        "--network=none",
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        f"--user={uid}:{uid}",
        f"--memory={limits.memory_bytes}",
        f"--memory-swap={limits.memory_bytes}",
        f"--pids-limit={limits.pids + 16}",
        f"--cpus={limits.cpus:g}",
        f"--tmpfs=/box:exec,mode=0700,uid={uid},gid={uid},size={limits.scratch_bytes - small}",
        f"--tmpfs=/tmp:noexec,mode=0700,uid={uid},gid={uid},size={small}",
    ]


def _bubblewrap_command(handed_in: Path) -> list[str]:
    links = [
        option
        for name in ("bin", "lib", "lib64")
        if Path("/", name).is_symlink()
        for option in ("--symlink", str(Path("/", name).readlink()), f"/{name}")
    ]
    bwrap = shutil.which("bwrap") or "bwrap"
    options = ["--unshare-all", "--die-with-parent", "--clearenv", "--ro-bind", "/usr", "/usr"]
    options += [*links, "--ro-bind-try", "/etc/alternatives", "/etc/alternatives"]
    options += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/box", "--tmpfs", "/tmp"]  # noqa: S108
    options += ["--ro-bind", str(handed_in), "/handed-in", "--uid", str(LEARNER_UID)]
    return [bwrap, *options, "/bin/sh", "-c", INTO_THE_BOX, "sh"]
