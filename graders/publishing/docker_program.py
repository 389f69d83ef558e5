"""The program `docker`, for what authors do with images: build, tag, push, look.

The program and not the library, because it has what an author set up: BuildKit, and the credential
that `docker login` stored, which then passes through no argument and no code of ours.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from graders.errors import ImageRefused, NoSandbox

USUAL_ENGINE = "unix:///var/run/docker.sock"
"""Where the sandbox looks for it, too: it must not be another one than the program's."""
BUILD_NETWORK = "GRADERS_BUILD_NETWORK"
"""`none`, `host` or the name of a network, where Docker's usual one is no use."""
NO_ENGINE = "Cannot connect to the Docker daemon"
SHOWN_CHARS = 4000


class DockerProgram:
    """`shows` lets the author read along, on stderr."""

    def __init__(self, *, shows: bool = False, environ: Mapping[str, str] = os.environ) -> None:
        found = shutil.which("docker")
        if found is None:
            raise NoSandbox("images need the program `docker`; it is not on the PATH")
        self._program = found
        self._shows = shows
        self._environment = environment(environ)
        self.build_network = environ.get(BUILD_NETWORK)
        """Of the author's build; None is Docker's own."""

    def run(self, *arguments: str, stdin: bytes | None = None, failing: str) -> str:
        """Its stdout. Raises ImageRefused, `failing` and what the program said."""
        done = subprocess.run(
            [self._program, *arguments],
            input=b"" if stdin is None else stdin,
            capture_output=True,
            env=self._environment,
            check=False,
        )
        stdout, stderr = _text(done.stdout), _text(done.stderr)
        if NO_ENGINE in stderr:
            raise NoSandbox(f"images need Docker, and it does not answer: {stderr.strip()[-300:]}")
        if done.returncode != 0:
            said = f"{stdout}\n{stderr}".strip()[-SHOWN_CHARS:]
            raise ImageRefused(f"{failing}:\n{said}")
        return stdout

    def follow(self, *arguments: str, stdin: bytes | None = None, failing: str) -> str:
        """The same for what takes long: shown while it goes on, where that is wanted."""
        if not self._shows:
            return self.run(*arguments, stdin=stdin, failing=failing)
        process = subprocess.Popen(
            [self._program, *arguments],
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environment,
        )
        if stdin is not None:
            _feed(process, stdin)
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(_text(line))
            sys.stderr.write(lines[-1])
        process.stdout.close()
        if process.wait() != 0:
            raise ImageRefused(f"{failing}; what it said is above")
        return "".join(lines)

    def find_image(self, reference: str) -> Mapping[str, Any] | None:
        """As `docker image inspect` describes it; None when it is not on this machine."""
        try:
            text = self.run("image", "inspect", reference, failing="looking at an image")
        except ImageRefused as refused:
            if "No such image" in str(refused):
                return None
            raise
        [found] = json.loads(text)
        assert isinstance(found, dict)
        return found


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What the program is to be told, unless the author says otherwise.

    Without a DOCKER_HOST it might follow a context to another engine. A builder beside the engine
    sees none of its images, and what BuildKit attests holds the time: the same directory would
    never be the same image. Both variables are BuildKit's:
    https://docs.docker.com/build/building/variables/#build-tool-configuration-variables
    """
    own = dict(environ)
    if os.name == "posix":
        own.setdefault("DOCKER_HOST", USUAL_ENGINE)
    own.setdefault("BUILDX_BUILDER", "default")
    own.setdefault("BUILDX_NO_DEFAULT_ATTESTATIONS", "1")
    return own


def _feed(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(data)
        process.stdin.close()
    except BrokenPipeError:
        return  # it says why itself


def _text(data: bytes) -> str:
    return data.decode(errors="replace")
