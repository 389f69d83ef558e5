"""Runs beside the learner's code, in the learner's process: calls one function, prints its value.

Assumes nothing about its own safety: the code it runs can do whatever this program can. All it
can gain is to answer with another value, because expected values and verdicts are elsewhere.

stdin: JSON `{source, function, args, kwargs}`. The answer is one JSON line on the *original*
stdout; what the learner's code prints goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FILE_NAME = "submission.py"
LONGEST_REPR = 300


def encode(value: Any) -> Any:
    """Exact types only: a subclass may lie about anything."""
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind is list:
        return [encode(item) for item in value]
    if kind is dict and all(type(key) is str and not key.startswith("$") for key in value):
        return {key: encode(item) for key, item in value.items()}
    if kind is dict:
        return {"$dict": [[encode(key), encode(item)] for key, item in value.items()]}
    if kind in (tuple, set, frozenset):
        return {"$" + kind.__name__: [encode(item) for item in value]}
    if kind is complex:
        return {"$complex": [value.real, value.imag]}
    if kind is bytes:
        return {"$bytes": list(value)}
    return {"$other": [kind.__name__, repr(value)[:LONGEST_REPR]]}


def decode(value: Any) -> Any:
    """Arguments may use the same forms as answers."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((tag, content),) = value.items()
        if tag == "$dict":
            return {decode(key): decode(item) for key, item in content}
        makers = {"$tuple": tuple, "$set": set, "$frozenset": frozenset, "$bytes": bytes}
        if tag in makers:
            return makers[tag](decode(item) for item in content)
        if tag == "$complex":
            return complex(*content)
    return {key: decode(item) for key, item in value.items()}


def describe(error: BaseException) -> dict[str, Any]:
    """Type, message and the last line of the learner's own file that was involved."""
    line = error.lineno if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILE_NAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return {"error": type(error).__name__, "message": message[:LONGEST_REPR], "line": line}


def evaluate(request: dict[str, Any]) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "submission", "__builtins__": __builtins__}
    # What the author placed beside this program can be imported, as beside any other.
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - start-up time
    try:
        # Editors put a byte order mark in front; Python takes it from files only.
        source = request["source"].removeprefix("\ufeff")
        exec(compile(source, FILE_NAME, "exec"), names)  # noqa: S102 - its purpose
        if not callable(names.get(request["function"])):
            return {"missing": request["function"]}
        args = [decode(argument) for argument in request["args"]]
        value = names[request["function"]](*args, **decode(request["kwargs"]))
        return {"value": encode(value)}
    except BaseException as error:  # noqa: BLE001 - hostile code raises anything
        try:
            return describe(error)
        except BaseException:  # noqa: BLE001
            return {"error": "Exception", "message": "(cannot be shown)", "line": None}


def main() -> None:
    request = json.loads(sys.stdin.buffer.read())
    answer_fd = os.dup(1)
    os.dup2(2, 1)
    try:
        line = json.dumps(evaluate(request)).encode()
    except BaseException as error:  # noqa: BLE001
        line = json.dumps({"error": type(error).__name__, "message": "", "line": None}).encode()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001, S110 - what it printed is lost, its answer is not
        pass
    while line:
        line = line[os.write(answer_fd, line) :]
    # Threads the learner left running must not keep the process alive.
    os._exit(0)


main()
