"""Where things are inside a container or box, for the host that makes them; the supervisor's own
copy is `layout.h`."""

from __future__ import annotations

from pathlib import Path

XQ = Path(__file__).parent / "bin" / "xq"
"""The supervisor for this host, made by `build.sh` (`make setup` does)."""
XQ_PATH = "/xq/xq"
"""The supervisor in every image built from our base."""

GRADER_UID = 10001
GRADE_DIR = "/grade"
LIBRARY_DIR = "/grade/.xqueue"
SCRATCH_DIR = "/scratch"
BOX_DIR = "/box"
LEARNER_TMP_DIR = "/tmp"  # noqa: S108 - a tmpfs of a container, the learner's own
GRADE_BYTES = 48 * 1024 * 1024
"""Room for a directory grader's files, which are at most a third of it."""
GRADE_FILES = 20000
"""As many as a directory grader has files and folders, and the library's."""
MOST_FILES = 2000
"""Files, folders and links in each of the other writable folders."""
BOX_OVERHEAD_PIDS = 3
"""bubblewrap itself, the first process of the box, and the program."""
