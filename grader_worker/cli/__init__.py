"""`grader-worker`: the composition root of the worker's processes."""

from grader_worker.cli.main import main

__all__ = ["main"]
