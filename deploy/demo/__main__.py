"""`python -m deploy.demo demo` (ends by itself) or `run` (until Ctrl-C)."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from types import FrameType

from deploy.demo.playground import play
from deploy.demo.processes import ProcessFailed
from deploy.demo.proof import prove

VERBS = {"demo": prove, "run": play}
INTERRUPTED = 130


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1] not in VERBS:
        print(__doc__, file=sys.stderr)
        return 2
    problem = _sandbox_problem()
    if problem is not None:
        print(problem, file=sys.stderr)
        return 1
    # SIGINT as well: a shell that starts us in the background has it ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        return VERBS[sys.argv[1]]()
    except KeyboardInterrupt:
        print("\nStopped.")
        return 0 if sys.argv[1] == "run" else INTERRUPTED
    except ProcessFailed as failure:
        print(f"\nFAILED: {failure}", file=sys.stderr)
        return 1


def _sandbox_problem() -> str | None:
    """Said before anything is started: without a sandbox nothing is ever graded."""
    if shutil.which("bwrap") is None:
        return "The sandbox needs bubblewrap: install the package `bubblewrap`."
    trial = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"]
    done = subprocess.run(trial, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    return (
        f"bubblewrap can not make a sandbox here: {done.stderr.strip()}\n"
        "In a container: start it with --privileged. On Ubuntu 24.04: run as root, or allow it "
        "with `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`."
    )


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """A closed terminal or a `kill` cleans up just as Ctrl-C does."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
