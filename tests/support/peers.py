"""Real peers, as their packages make them: each in an environment of its own, which is made once
and kept in the repository's `.cache`."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.services import missing_service

CACHE = Path(__file__).parents[2] / ".cache"
INSTALL_WITHIN_S = 600


def interpreter_with(name: str, requirements: Path) -> Path:
    """The interpreter that has what the file says. Skips, or fails in CI, where that can not be
    installed. Processes that want it at the same time wait for the first."""
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    place = CACHE / f"{name}-{digest}"
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "ready").exists():
            _install(name, requirements, place)
    return place / "bin" / "python"


def _install(name: str, requirements: Path, place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    pip = (place / "bin" / "python", "-m", "pip", "install", "--quiet", "-r", requirements)
    for command in ((sys.executable, "-m", "venv", place), pip):
        done = subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_WITHIN_S,
        )
        if done.returncode:
            missing_service(f"{name} ({done.stderr.strip()[-300:]})")
    (place / "ready").touch()
