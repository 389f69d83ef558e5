"""Puts a program's files into place and becomes that program.

Imports nothing of ours: the bubblewrap backend hands this one file into the grader's box and
runs it there, so that a grader directory needs to be readable for nobody but the worker.
"""

from __future__ import annotations

import binascii
import errno
import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

GRADE_DIR = "/grade"
LIBRARY_DIR = "/grade/.xqueue"
SCRATCH_DIR = "/scratch"
GRADE_BYTES = 48 * 1024 * 1024
"""Room for a directory grader's files, which are at most a third of it."""
CHANNEL_FD = 3
"""Where a grader finds its socket to the supervisor."""
ERROR_FD = 4

GRADER_ENV = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "HOME": SCRATCH_DIR,
    "TMPDIR": SCRATCH_DIR,
    "PYTHONPATH": f"{LIBRARY_DIR}:/xq/lib",
    "PYTHONDONTWRITEBYTECODE": "1",
}


NOT_EXECUTABLE = (errno.ENOEXEC, errno.ENAMETOOLONG, errno.ELOOP)


class NoEntryPoint(FileNotFoundError):
    """The grader has neither an executable `grade` nor a `grade.py`."""


def place_files(top: str, files: Iterable[Mapping[str, Any]]) -> None:
    """Write `{path, content (base64), executable}` below `top`, creating folders.

    The host made the paths from a directory listing; they hold no `..`.
    """
    for file in files:
        path = os.path.join(top, file["path"])  # noqa: PTH118 - pathlib costs start-up time
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
        mode = 0o700 if file["executable"] else 0o600
        write_new_file(path, binascii.a2b_base64(file["content"]), mode)


def write_new_file(path: str, content: bytes, mode: int = 0o600) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
    finally:
        os.close(fd)


def entry_point(python: str) -> list[str]:
    """The grader's command: an executable `grade`, or else `grade.py`."""
    if os.access(f"{GRADE_DIR}/grade", os.X_OK):
        return [f"{GRADE_DIR}/grade"]
    if os.access(f"{GRADE_DIR}/grade.py", os.R_OK):
        return [python, "-s", f"{GRADE_DIR}/grade.py"]
    raise NoEntryPoint("no executable `grade` and no `grade.py` in the grader's directory")


def failure_kind(error: BaseException) -> str:
    """Whose fault a failed start is, in the words of `starting.NotStarted`."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return "no-space"
    unusable = isinstance(error, FileNotFoundError | PermissionError | NotADirectoryError)
    if unusable or (isinstance(error, OSError) and error.errno in NOT_EXECUTABLE):
        return "missing"
    # A lone surrogate or a NUL is a ValueError.
    too_long = isinstance(error, OSError) and error.errno == errno.E2BIG
    return "bad-arguments" if too_long or isinstance(error, ValueError) else "failed"


def become_grader(python: str, files: Iterable[Mapping[str, Any]]) -> None:
    """Place the grader's files and exec its entry point. Returns never, or raises."""
    place_files(GRADE_DIR, files)
    command = entry_point(python)
    os.chdir(GRADE_DIR)
    os.execve(command[0], command, GRADER_ENV)  # noqa: S606 - no shell is the point


def main() -> None:
    """`python3 -I -S placing.py`: the files as JSON on stdin, a failure as text on fd 4."""
    os.set_inheritable(ERROR_FD, False)
    try:
        files = json.load(sys.stdin)
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        become_grader(sys.executable, files)
    except OSError as error:
        os.write(ERROR_FD, f"{failure_kind(error)}:{error}".encode())
        os._exit(127)


if __name__ == "__main__":
    main()
