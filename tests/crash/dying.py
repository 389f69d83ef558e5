"""Runs one of our programs so that it is killed (SIGKILL, whole process group) at a chosen step.

    python -m tests.crash.dying --at xqueue_server.storage.submissions.insert_new --when after \\
        --marker FILE -- xqueue-server serve --bind 127.0.0.1:8040

The named function is wrapped from outside, so that the product knows nothing of this. The first
process that gets there creates the marker and dies; others that find the marker go on, so that
gunicorn workers and restarted programs live.

  --within F     only while F is being called by the same thread: which of many COMMITs, say
  --armed-by F   only once F has returned in the same thread: what happens after the answer, say
  --alone        kill this process, not its group (one gunicorn worker, say)
  --set M.N=V    let the module's constant N be the literal V, to shorten what a test would wait for
"""

from __future__ import annotations

import argparse
import ast
import functools
import importlib
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAMS = {
    "xqueue-server": "xqueue_server.cli.main",
    "grader-worker": "grader_worker.cli.main",
    "fake-sandboxd": "tests.crash.fake_sandboxd",
}
OUR_PACKAGES = (
    *("xqueue_server", "proctoring_hooks", "grader_worker", "sandbox", "graders"),
    "tests",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a dotted name lives: `getattr(owner, name)`."""

    owner: Any
    name: str

    @property
    def value(self) -> Any:
        return getattr(self.owner, self.name)

    def replace(self, value: Any) -> None:
        """Also where other modules of ours have imported it by name."""
        before = self.value
        setattr(self.owner, self.name, value)
        for module in [m for n, m in sys.modules.items() if n.startswith(OUR_PACKAGES)]:
            for name, held in list(vars(module).items()):
                if held is before and callable(before):
                    setattr(module, name, value)


def find(dotted: str) -> Place:
    """Import as much of the name as is a module; the rest are attributes.

    Raises:
        LookupError: there is no such thing: the code has changed, and the step with it.
    """
    parts = dotted.split(".")
    for length in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:length])
        try:
            owner = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise
            continue
        for name in parts[length:-1]:
            owner = getattr(owner, name, None)
        if not hasattr(owner, parts[-1]):
            break
        return Place(owner=owner, name=parts[-1])
    raise LookupError(f"{dotted} does not exist")


class Calls:
    """Which of the watched functions this thread is in, and which it has left."""

    def __init__(self) -> None:
        self._here = threading.local()

    def watch(self, dotted: str) -> None:
        place = find(dotted)
        function = place.value

        @functools.wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            running = self._counter("running")
            running[dotted] += 1
            try:
                return function(*args, **kwargs)
            finally:
                running[dotted] -= 1
                self._counter("ended")[dotted] += 1

        place.replace(watched)

    def is_within(self, dotted: str) -> bool:
        return self._counter("running")[dotted] > 0

    def has_left(self, dotted: str) -> bool:
        return self._counter("ended")[dotted] > 0

    def _counter(self, name: str) -> Counter[str]:
        counter: Counter[str] = self._here.__dict__.setdefault(name, Counter())
        return counter


def arm(options: argparse.Namespace) -> None:
    """Wrap the function at which this process is to die."""
    calls = Calls()
    place = find(options.at)
    function = place.value
    for name in filter(None, (options.within, options.armed_by)):
        calls.watch(name)

    def is_time() -> bool:
        if options.within and not calls.is_within(options.within):
            return False
        return not options.armed_by or calls.has_left(options.armed_by)

    @functools.wraps(function)
    def dying(*args: Any, **kwargs: Any) -> Any:
        if options.when == "before" and is_time():
            die_once(options.marker, alone=options.alone)
        result = function(*args, **kwargs)
        if options.when == "after" and is_time():
            die_once(options.marker, alone=options.alone)
        return result

    place.replace(dying)


def die_once(marker: Path, *, alone: bool) -> None:
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    if alone:
        os.kill(os.getpid(), signal.SIGKILL)
    else:
        os.killpg(0, signal.SIGKILL)
    threading.Event().wait()  # another thread must not go on while the signal is on its way


def main(argv: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(argv)
    program, *arguments = options.command
    for setting in options.set:
        name, _, literal = setting.partition("=")
        find(name).replace(ast.literal_eval(literal))
    if options.at:
        arm(options)
    run: Callable[..., None] = importlib.import_module(PROGRAMS[program]).main
    run(arguments, prog_name=program)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dying", description=__doc__)
    parser.add_argument("--at")
    parser.add_argument("--when", choices=["before", "after"])
    parser.add_argument("--marker", type=Path)
    parser.add_argument("--within")
    parser.add_argument("--armed-by")
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("command", nargs="+")
    return parser


if __name__ == "__main__":
    main()
