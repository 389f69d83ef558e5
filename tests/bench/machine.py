"""The machine under the numbers."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from pathlib import Path

from tests.bench.server import ROOT


def describe(directory: Path) -> dict[str, str]:
    """Facts that a reader needs to compare; `directory` is where the databases lie."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "commit": _commit(),
        "cpu": f"{os.cpu_count()} x {_field('/proc/cpuinfo', 'model name')}",
        "memory": _memory(),
        "system": f"{_distribution()}, Linux {platform.release()}",
        "python": platform.python_version(),
        "disk": f"{_file_system(directory)}; 8 KB write + fdatasync {_sync_ms(directory):.2f} ms",
        "load": f"{os.getloadavg()[0]:.1f} (1 min, before the run)",
    }


def _field(path: str, name: str) -> str:
    try:
        for line in Path(path).read_text().splitlines():
            if line.startswith(name):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return "unknown"


def _memory() -> str:
    size = _field("/proc/meminfo", "MemTotal").split()[0]
    return f"{int(size) / 2**20:.0f} GB" if size.isdecimal() else "unknown"


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
    except OSError:
        return "unknown"


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    commit = git("rev-parse", "--short=12", "HEAD")
    if not commit:
        return "none yet"
    changed = git("status", "--porcelain", "--", "xqueue_server", "tests/bench")
    return commit + (" with uncommitted changes" if changed else "")


def _file_system(directory: Path) -> str:
    done = subprocess.run(
        ["findmnt", "-n", "-o", "SOURCE,FSTYPE", "-T", directory], capture_output=True, text=True
    )
    return " ".join(done.stdout.split()) or "unknown"


def _sync_ms(directory: Path) -> float:
    """Median of what every commit waits for."""
    taken_s = []
    path = directory / "sync-probe"
    with path.open("wb", buffering=0) as file:
        for _ in range(100):
            begun = time.perf_counter()
            file.write(bytes(8192))
            os.fdatasync(file.fileno())
            taken_s.append(time.perf_counter() - begun)
    path.unlink()
    return statistics.median(taken_s) * 1000
