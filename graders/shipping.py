"""The grader library as bytes, for whoever opens a sandbox backend.

`sandbox` knows nobody, so it cannot find the library itself: its caller hands these files to
`open_backend(library=…)`, and every directory grader can then import `graders.library`.
"""

from __future__ import annotations

from pathlib import Path

import graders
import sandbox

LIBRARY = ("__init__.py", "library/*.py", "library/gradelib/*.py")
FRAMES = (
    "__init__.py",
    "supervisor/__init__.py",
    "supervisor/frames.py",
    "supervisor/light_json.py",
)


def library_files() -> dict[str, bytes]:
    """Path below the grader's PYTHONPATH -> source. A few tens of kilobytes."""
    return _files(graders.__file__, LIBRARY) | _files(sandbox.__file__, FRAMES)


def _files(package_file: str | None, patterns: tuple[str, ...]) -> dict[str, bytes]:
    assert package_file is not None
    package = Path(package_file).parent
    return {
        path.relative_to(package.parent).as_posix(): path.read_bytes()
        for pattern in patterns
        for path in sorted(package.glob(pattern))
    }
