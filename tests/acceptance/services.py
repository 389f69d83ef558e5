"""What the acceptance tests need besides Python, private where it can be."""

from __future__ import annotations

import subprocess
from pathlib import Path

import docker
from redis import Redis
from redis.exceptions import RedisError

from deploy.demo.processes import ROOT, free_port
from tests.support.postgres import missing_service
from tests.worker.fakes import eventually, need


class PrivateRedis:
    """A redis-server that keeps nothing on disk; killed and started again on the same port."""

    def __init__(self, directory: Path) -> None:
        self._program = need("redis-server")
        self._directory = directory
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.client = Redis(port=self._port)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        arguments = ("--port", str(self._port), "--bind", "127.0.0.1", "--save", "")
        self._process = subprocess.Popen(
            [self._program, *arguments, "--dir", str(self._directory)], stdout=subprocess.DEVNULL
        )
        eventually(self._answers)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        self.kill()
        self.client.close()

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except RedisError:
            return False


def require_docker_images() -> None:
    """Docker and our images, built from this tree if they are older. Skips, or fails in CI."""
    try:
        client = docker.from_env()
    except docker.errors.DockerException:
        missing_service("Docker Engine")
        return
    client.close()
    build = ROOT / "deploy" / "docker" / "build.sh"
    built = subprocess.run([build], capture_output=True, text=True, check=False)
    if built.returncode:
        missing_service(f"the grader images ({built.stderr.strip()[-300:]})")
