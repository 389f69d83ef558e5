"""Directories of graders, written from text."""

from pathlib import Path
from textwrap import dedent

SQUARE = """
name: square
language: python
tests:
  - {id: three, call: square, args: [3], returns: 9}
"""


def write_files(directory: Path, files) -> Path:
    """Path -> text (without its common indentation) or bytes."""
    for path, content in files.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            content = dedent(content).lstrip("\n").encode()
        target.write_bytes(content)
    return directory
