"""Starting that site: its environment is made once and kept in the repository's `.cache`."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.postgres import missing_service

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements.txt"
CACHE = HERE.parents[2] / ".cache"
PASSWORD = "secret"
INSTALL_WITHIN_S = 600


def environment() -> Path:
    """The interpreter that has edx-submissions. Skips, or fails in CI, where it can not be
    installed."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    place = CACHE / f"edx-submissions-{digest}"
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "edx-submissions.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "ready").exists():
            _install(place)
    return place / "bin" / "python"


def _install(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    pip = (place / "bin" / "python", "-m", "pip", "install", "--quiet", "-r", REQUIREMENTS)
    for command in ((sys.executable, "-m", "venv", place), pip):
        done = subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_WITHIN_S,
        )
        if done.returncode:
            missing_service(f"edx-submissions ({done.stderr.strip()[-300:]})")
    (place / "ready").touch()


class EdxSubmissions:
    """The running site."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._process = subprocess.Popen(
            [str(environment()), str(HERE / "site.py"), str(directory), PASSWORD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def submit(self, response: str = "print(1)", *, queue: str = "python", points: int = 1) -> int:
        return self._ask({"submit": response, "queue": queue, "points": points})["id"]

    def show(self, number: int) -> dict[str, object]:
        return self._ask({"show": number})

    def pretend_pulled(self, number: int, *, seconds_ago: int) -> None:
        self._ask({"pulled_s_ago": seconds_ago, "of": number})

    def log_everybody_out(self) -> None:
        self._ask({"log_out": True})

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def _ask(self, question: dict[str, object]) -> dict[str, object]:
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())
