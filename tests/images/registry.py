"""Debian's `docker-registry` for one test run: on loopback, where Docker wants no certificate, with
its own configuration and storage."""

import base64
import json
import shutil
import subprocess
import time
from pathlib import Path

import requests

from deploy.demo.processes import free_port
from tests.support.services import missing_service

PROGRAM = "docker-registry"
READY_S = 60.0
ANSWER_S = 60.0
USER, WORD = "author", "author-word"
HTPASSWD = f"{USER}:$2y$05$abcdefghijklmnopqrstuurH/OXOpy.o0XSKFlhffnpYpGY8UUbc6\n"
"""bcrypt of WORD, the only form the registry takes."""
MANIFESTS = "application/vnd.docker.distribution.manifest.v2+json"


class Registry:
    """`needs_word`: only for those who sign in as USER."""

    def __init__(self, folder: Path, *, needs_word: bool = False) -> None:
        self.needs_word = needs_word
        self._folder = folder
        self.host = f"127.0.0.1:{free_port()}"
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        program = shutil.which(PROGRAM) or missing_service(f"the program {PROGRAM}")
        self._folder.mkdir(exist_ok=True)
        config = self._folder / "config.yml"
        config.write_text(json.dumps(self._config()))  # JSON is YAML
        log = (self._folder / "log").open("w")
        self._process = subprocess.Popen([program, "serve", config], stdout=log, stderr=log)
        log.close()
        until = time.monotonic() + READY_S
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "log").read_text()[-2000:]
            assert time.monotonic() < until, "the registry does not answer"
            time.sleep(0.05)  # a program of another project's, which announces nothing

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=60)
            self._process = None

    def delete(self, reference: str) -> None:
        """As an administrator would: the name `HOST/NAME@DIGEST` is gone."""
        name, _, digest = reference.removeprefix(f"{self.host}/").partition("@")
        manifest = f"http://{self.host}/v2/{name}/manifests/{digest}"
        answer = requests.delete(manifest, timeout=ANSWER_S)
        assert answer.status_code == 202, answer.text

    def tags(self, name: str) -> list[str]:
        answer = requests.get(f"http://{self.host}/v2/{name}/tags/list", timeout=ANSWER_S)
        return sorted(answer.json()["tags"] or [])

    def docker_config(self, folder: Path) -> Path:
        """What `docker login` would have left there."""
        word = base64.b64encode(f"{USER}:{WORD}".encode()).decode()
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"auths": {self.host: {"auth": word}}}))
        return folder

    def _config(self) -> dict:
        config = {
            "version": 0.1,
            "log": {"level": "warn"},
            "storage": {
                "filesystem": {"rootdirectory": str(self._folder / "storage")},
                "delete": {"enabled": True},
            },
            "http": {"addr": self.host, "secret": "of this test run"},
        }
        if self.needs_word:
            words = self._folder / "htpasswd"
            words.write_text(HTPASSWD)
            config["auth"] = {"htpasswd": {"realm": "test", "path": str(words)}}
        return config

    def _answers(self) -> bool:
        try:
            answer = requests.get(f"http://{self.host}/v2/", timeout=5)
        except requests.RequestException:
            return False
        return answer.status_code == (401 if self.needs_word else 200)


class OnLoopback:
    """All registries of the tests: their ports are known when they have started."""

    def __contains__(self, host: object) -> bool:
        return str(host).startswith("127.0.0.1:")
