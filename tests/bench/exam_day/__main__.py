"""The day of an exam with all of our programs, and whether everything was as it must be after it.

    python -m tests.bench.exam_day [--learners 1000] [--seconds 90] [--postgres]

Ends with status 1 if something was not.
"""

from __future__ import annotations

import argparse
import sys

from tests.bench.exam_day.day import run
from tests.bench.scratch import scratch


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.bench.exam_day", description=__doc__)
    options.add_argument("--learners", type=int, default=1000)
    options.add_argument("--seconds", type=float, default=90, help="of the exam")
    options.add_argument("--postgres", action="store_true", help="instead of SQLite")
    given = options.parse_args()
    if given.learners < 20:
        options.error("--learners: at least 20, so that somebody plays each part")
    if given.seconds < 20:
        options.error("--seconds: at least 20")
    kind = "postgresql" if given.postgres else "sqlite"
    with scratch() as folder:
        is_well = run(kind, folder, learners=given.learners, seconds=given.seconds)
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
