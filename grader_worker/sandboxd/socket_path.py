"""Where sandboxd and the workers' supervisor listen, and that only one of each does."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path

from grader_worker.errors import SettingsError

SOCKET_VARIABLE = "GRADER_WORKER_SOCKET"
MAX_PATH_BYTES = 107
"""Linux's sun_path, without its NUL."""


def default_socket_path(environ: Mapping[str, str]) -> Path:
    """The user's own runtime directory, or the system's for a service without one."""
    runtime = environ.get("XDG_RUNTIME_DIR")
    return Path(runtime or "/run") / "xqueue" / "sandboxd.sock"


class ListeningSocket:
    """The socket and the lock that says it is ours.

    The lock, not the socket file, decides who is alive: a file left by a killed process looks
    like a live one until somebody connects, and two starts at once would both find it dead.
    """

    def __init__(self, path: Path, *, of: str = "sandboxd", flag: str = "--socket") -> None:
        """`of` and `flag` are for the operator who has two of them."""
        if len(os.fsencode(path)) > MAX_PATH_BYTES:
            raise SettingsError(f"socket {path}: longer than {MAX_PATH_BYTES} bytes")
        self.path = path
        self._lock_fd = _lock(path, of, flag)
        try:
            self.listener = _listen(path)
        except BaseException:
            os.close(self._lock_fd)
            raise

    def close(self) -> None:
        """Stop listening; connections that were accepted stay."""
        self.listener.close()
        self.path.unlink(missing_ok=True)
        os.close(self._lock_fd)
        self._lock_fd = -1

    def abandon(self) -> None:
        """In a fork, or after `close`: the socket file and the lock stay with whoever has them."""
        self.listener.close()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1


def _lock(path: Path, of: str, flag: str) -> int:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock_fd = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingsError(f"socket {path}: {error}; choose another with {flag}") from error
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock_fd)
        raise SettingsError(
            f"another {of} is serving {path}: one per host is enough, or choose {flag}"
        ) from error
    return lock_fd


def _listen(path: Path) -> socket.socket:
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Before bind: between bind and a later chmod anyone could connect.
    umask = os.umask(0o177)
    try:
        listener.bind(str(path))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise SettingsError(f"socket {path}: {error}") from error
    finally:
        os.umask(umask)
    return listener


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SettingsError(f"socket {path}: something else is there")
    path.unlink()
