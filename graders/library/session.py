"""A grader program's conversation with the supervisor, over the socket it finds at fd 3.

def grade(session):
    session.announce([{"id": "t1", "title": "adds", "max": 1}])
    ran = session.run(["python3", "-I", "submission.py"], files={"submission.py": ...})
    session.report("t1", score=1 if ran.stdout == b"3\\n" else 0)

grade_with(grade)
"""

from __future__ import annotations

import os
import sys

from sandbox.supervisor.frames import (
    MAX_FRAME_BYTES,
    MAX_START_BYTES,
    pack_bytes,
    read_frame,
    unpack_bytes,
    write_frame,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, NoReturn

CHANNEL_FD = 3
LAST_LINES = 5


class SupervisorGone(Exception):
    """Nobody is listening any more; the grader can only end."""


class GraderGaveUp(Exception):
    """Raised by `fail` and carried to the course team: the grader, not the learner, is at fault."""


class Job:
    """What is to be graded. `response` is the learner's text, `payload` the author's string."""

    __slots__ = ("describe", "files", "payload", "response", "seed")

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.response: str = fields["response"]
        self.payload: str = fields["payload"]
        self.files: dict[str, Any] = dict(fields.get("files") or {})
        self.seed: int = fields.get("seed", 0)
        self.describe: bool = bool(fields.get("describe"))
        """Nothing is to be graded: the course team asks which tests there are. No LMS
        can say it."""


class Ran:
    """How one execution of the learner's program ended.

    `reason` is `exited`, `time`, `memory` or `output`; `code` is as a shell shows it, 128 + signal
    for a program killed by one. `stdout` and `stderr` are its first bytes, up to the limit.
    `files` are those asked for with `collect` that it left; None where the sandbox gives none.
    """

    __slots__ = ("code", "files", "reason", "stderr", "stdout", "wall_ms")

    def __init__(
        self,
        *,
        reason: str,
        code: int,
        stdout: bytes,
        stderr: bytes,
        wall_ms: float,
        files: dict[str, bytes] | None = None,
    ) -> None:
        self.reason = reason
        self.code = code
        self.stdout = stdout
        self.stderr = stderr
        self.wall_ms = wall_ms
        self.files = files


class GraderSession:
    """One submission. Every method blocks until the supervisor has taken it."""

    def __init__(self, channel_fd: int = CHANNEL_FD) -> None:
        self._fd = channel_fd
        # It carries everything the learner handed in.
        first = self._receive(MAX_START_BYTES)
        self.job = Job(first["job"])
        self.limits: dict[str, Any] = first["limits"]

    def announce(self, tests: Sequence[Mapping[str, Any]]) -> None:
        """Say which tests there are, once and first: `{id, title, max, visible}` each.

        `id` is 1 to 64 of `A-Z a-z 0-9 . _ -`; `visible: false` hides the test's output from
        learners.
        """
        write_frame(self._fd, {"type": "tests", "tests": [dict(test) for test in tests]})

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        files: Mapping[str, bytes] | None = None,
        wall_s: float | None = None,
        cpu_s: float | None = None,
        output_bytes: int | None = None,
        memory_bytes: int | None = None,
        collect: Sequence[str] | None = None,
        keep: bool = False,
        zygote: bool = False,
    ) -> Ran:
        """Run a program as the learner, in an empty folder holding only `files`.

        Its environment is empty, it has stdin, stdout and stderr and nothing else, and nothing it
        starts outlives the call. Limits above those of the queue are lowered to them.

        `keep` leaves in the folder what the run before left there; `collect` names files to bring
        back from it; `zygote` starts a Python program from an interpreter that is running already.
        """
        asked = {
            "wall_s": wall_s,
            "cpu_s": cpu_s,
            "output_bytes": output_bytes,
            "memory_bytes": memory_bytes,
            "collect": list(collect) if collect else None,
            "keep": keep or None,
            "zygote": zygote or None,
        }
        write_frame(
            self._fd,
            {
                "type": "run",
                "argv": list(argv),
                "stdin": pack_bytes(stdin),
                "files": {name: pack_bytes(content) for name, content in (files or {}).items()},
                **{name: value for name, value in asked.items() if value is not None},
            },
        )
        answer = self._receive()
        return Ran(
            reason=answer["reason"],
            code=answer["code"],
            stdout=unpack_bytes(answer["stdout"]),
            stderr=unpack_bytes(answer["stderr"]),
            wall_ms=answer["wall_ms"],
            files=_collected(answer.get("files")),
        )

    def report(
        self,
        test_id: str,
        *,
        score: float,
        status: str | None = None,
        output: str = "",
        expected: str | None = None,
        actual: str | None = None,
        html: str | None = None,
        pictures: Sequence[tuple[str, bytes]] = (),
        duration_ms: float | None = None,
    ) -> None:
        """Say how one announced test came out. It counts from now on, whatever happens next.

        `status` is one of passed, partial, failed, error, time, memory, output; `pictures` are
        labels with PNG or JPEG bytes.
        """
        shown = [{"label": label, "data": pack_bytes(data)} for label, data in pictures]
        said = {
            "status": status,
            "output": output or None,
            "expected": expected,
            "actual": actual,
            "html": html,
            "pictures": shown or None,
            "duration_ms": duration_ms,
        }
        write_frame(
            self._fd,
            {
                "type": "report",
                "id": test_id,
                "score": score,
                **{name: value for name, value in said.items() if value is not None},
            },
        )

    def done(self) -> None:
        """Every test has been reported. Nothing said after this is heard."""
        write_frame(self._fd, {"type": "done"})

    def fail(self, detail: str) -> NoReturn:
        """Give up because the grader is at fault: no grade, and the course team reads why."""
        raise GraderGaveUp(detail)

    def give_up(self, detail: str) -> None:
        write_frame(self._fd, {"type": "fail", "detail": detail})

    def _receive(self, max_bytes: int = MAX_FRAME_BYTES) -> dict[str, Any]:
        frame = read_frame(self._fd, max_bytes)
        if frame is None:
            raise SupervisorGone
        return frame


def _collected(files: Mapping[str, str] | None) -> dict[str, bytes] | None:
    if files is None:
        return None
    return {name: unpack_bytes(content) for name, content in files.items()}


def grade_with(grade: Callable[[GraderSession], None]) -> NoReturn:
    """Run a grader's function over the one submission; any exception is the grader's failure.

    The program is over then.
    """
    session = GraderSession()
    try:
        grade(session)
    except GraderGaveUp as gave_up:
        session.give_up(str(gave_up))
    except Exception as error:  # noqa: BLE001 - the outermost frame of the grader program
        _print_traceback()
        session.give_up(f"{type(error).__name__}: {error}{_where(error)}")
    else:
        _flush()
        session.done()
    _flush()
    # The supervisor ends everything now. To take the interpreter apart would only cost time.
    os._exit(0)


def _flush() -> None:
    """What the grader printed is its log, which is complete once it is done."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue  # closed or replaced by the grader


def _print_traceback() -> None:
    """To stderr, which the course team reads as the grader's log."""
    import traceback

    traceback.print_exc(file=sys.stderr)


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f" ({trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})"
