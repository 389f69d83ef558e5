"""Calls a function of the learner's code in a fresh process and reads what it answered.

The answer is bytes from a hostile process: decoded as JSON, never unpickled, believed to be a
value and nothing more.
"""

from __future__ import annotations

import os

from graders.library.room import has_room
from graders.library.values import show
from sandbox.supervisor import light_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from graders.library.session import GraderSession, Ran

DRIVER = "driver.py"
PRINTED_CHARS = 2000
LONGEST_MESSAGE = 500
TOO_DEEP = "A value is nested too deeply to be given to your function."
"""Where a grader calls with what another call returned."""
UNREADABLE = "The result of your function could not be read."
MOST_LINES = 10_000_000
"""No submission has more; a line beyond it was made up."""


class Answer:
    """What a call came to: `value` when `problem` is None, otherwise a sentence for the learner.

    `status` is None for a value, else time, memory, output or error; `error` is the name of the
    exception's type when there was one.
    """

    __slots__ = ("error", "printed", "problem", "status", "value", "wall_ms")

    def __init__(
        self,
        *,
        value: object = None,
        problem: str | None = None,
        printed: str = "",
        status: str | None = None,
        error: str | None = None,
    ) -> None:
        self.value = value
        self.problem = problem
        self.printed = printed
        self.status = status or ("error" if problem else None)
        self.error = error
        self.wall_ms = 0.0

    @property
    def shown(self) -> str:
        """What it returned as a learner would write it, or what went wrong."""
        return show(self.value) if self.problem is None else self.problem


def call_function(
    session: GraderSession,
    source: str,
    function: str,
    args: Sequence[object] = (),
    kwargs: Mapping[str, object] | None = None,
    *,
    wall_s: float | None = None,
    cpu_s: float | None = None,
    output_bytes: int | None = None,
    memory_bytes: int | None = None,
    files: Mapping[str, bytes] | None = None,
) -> Answer:
    """Call `function(*args, **kwargs)` of `source`, with `files` beside it.

    Never raises for anything the learner did.
    """
    request = {"source": source, "function": function, "args": list(args), "kwargs": kwargs or {}}
    try:
        stdin = _json(request)
    except RecursionError:
        return Answer(problem=TOO_DEEP)
    beside = {**(files or {}), DRIVER: _driver_source()}
    if not has_room(session.limits, beside.values(), len(stdin)):
        what = "Your code and the files beside it are" if files else "Your code is"
        return Answer(problem=f"{what} too long to be run.")
    ran = session.run(
        ["python3", "-I", DRIVER],
        stdin=stdin,
        files=beside,
        wall_s=wall_s,
        cpu_s=cpu_s,
        output_bytes=output_bytes,
        memory_bytes=memory_bytes,
        # Called once per test: a new interpreter each time would take longer than the call.
        zygote=True,
    )
    answer = _answer(ran, function, wall_s or session.limits["learner_wall_s"])
    answer.wall_ms = ran.wall_ms
    return answer


def _answer(ran: Ran, function: str, wall_s: float) -> Answer:
    printed = ran.stderr.decode(errors="replace")[:PRINTED_CHARS]
    problem = _stopped(ran, wall_s)
    if problem is not None:
        status = "error" if ran.reason == "exited" else ran.reason
        return Answer(problem=problem, printed=printed, status=status)
    return _read_answer(ran, function, printed)


def _json(value: object) -> bytes:
    """Not in ASCII, which makes six bytes of an é; a lone surrogate goes as it is."""
    return light_json.dumps(value, ascii_only=False).encode("utf-8", "surrogatepass")


def _driver_source() -> bytes:
    path = os.path.join(os.path.dirname(__file__), DRIVER)  # noqa: PTH118, PTH120 - start-up time
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read()


def _stopped(ran: Ran, wall_s: float) -> str | None:
    """Why a program that did not end by itself was stopped."""
    sentences = {
        "time": f"Your code took longer than {wall_s:g} s and was stopped. Does a loop never end?",
        "memory": "Your code used too much memory and was stopped.",
        "output": "Your code printed too much and was stopped.",
    }
    if ran.reason != "exited":
        return sentences[ran.reason]
    if not ran.stdout:
        return f"Your program ended (status {ran.code}) before the function returned."
    return None


def _read_answer(ran: Ran, function: str, printed: str) -> Answer:
    try:
        answer = light_json.loads(ran.stdout)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        return Answer(problem=UNREADABLE, printed=printed)
    if "value" in answer:
        return Answer(value=answer["value"], printed=printed)
    if "missing" in answer:
        return Answer(
            problem=f"Your code does not define a function `{function}`.", printed=printed
        )
    name = answer.get("error")
    if not isinstance(name, str) or not name:
        return Answer(problem=UNREADABLE, printed=printed)
    return Answer(problem=_exception(name, answer), printed=printed, error=name)


def _exception(name: str, answer: Mapping[str, Any]) -> str:
    """As Python would say it; what is not of the form that the driver writes is left out."""
    line, message = answer.get("line"), answer.get("message")
    known = type(line) is int and 0 < line < MOST_LINES
    where = f" in line {line} of your code" if known else ""
    words = f": {message}" if isinstance(message, str) and message else ""
    return f"{name}{where}{words}"[:LONGEST_MESSAGE]
