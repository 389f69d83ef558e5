"""Where a run keeps its databases and logs."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

HERE = Path("/var/tmp")


@contextmanager
def scratch(parent: Path = HERE) -> Iterator[Path]:
    """A directory on a real disk (/tmp may be memory, where a commit costs nothing). From here on
    SIGTERM ends as Ctrl-C does, so that no program is left running."""
    signal.signal(signal.SIGTERM, _stop)
    directory = Path(tempfile.mkdtemp(prefix="xqueue-bench-", dir=parent))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _stop(*_: object) -> NoReturn:
    raise KeyboardInterrupt
