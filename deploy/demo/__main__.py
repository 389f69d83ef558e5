"""`python -m deploy.demo demo` (ends by itself) or `run` (until Ctrl-C)."""

from __future__ import annotations

import shutil
import signal
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
    if shutil.which("bwrap") is None:
        print("The sandbox needs bubblewrap: install the package `bubblewrap`.", file=sys.stderr)
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


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """A closed terminal or a `kill` cleans up just as Ctrl-C does."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
