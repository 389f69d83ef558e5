"""The metrics of all worker processes of one `serve`, in files of a directory of its own.

gunicorn starts a worker for each one that ends; the new one takes the place that is free, and with
it the file, so that no count is lost and there are never more files than workers.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xqueue_server.errors import SettingsError
from xqueue_server.monitoring import metrics

PREFIX = "xqueue-metrics-"
_place = -1
"""Of this process; the master has none, and counts nothing."""


@contextmanager
def shared_metrics(parent: Path) -> Iterator[None]:
    """Share the metrics of this process's children for as long as the block runs.

    Raises:
        SettingsError: the directory can not be written to.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _remove_left_over(parent)
        directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        lock = os.open(directory / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_SH)
    except OSError as error:
        raise SettingsError(
            f"can not keep metrics in {parent}: {error.strerror}; "
            "set XQUEUE_METRICS_DIR to a writable directory"
        ) from error
    master = os.getpid()
    metrics.share(directory, lambda: _place)
    try:
        yield
    finally:
        if os.getpid() == master:  # gunicorn's workers leave through here too
            shutil.rmtree(directory, ignore_errors=True)
            os.close(lock)


def _remove_left_over(parent: Path) -> None:
    """Of servers that were killed: every process of a living one holds the lock."""
    for directory in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if directory.is_symlink() or directory.stat().st_uid != os.geteuid():
                continue
            lock = os.open(directory / "lock", os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory)
            finally:
                os.close(lock)


def give_place(server: Any, worker: Any) -> None:
    """gunicorn's `pre_fork`: the lowest place that no worker has; a dead one keeps its own
    until gunicorn has noticed."""
    taken = {each.metrics_place for each in server.WORKERS.values()}
    worker.metrics_place = min(set(range(len(taken) + 1)) - taken)


def take_place(_server: Any, worker: Any) -> None:
    """gunicorn's `post_fork`, in the worker."""
    global _place
    _place = worker.metrics_place
