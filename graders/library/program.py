"""The learner's program: put together from what was handed in, compiled once, run many times."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from graders.library.session import GraderSession, Job, Ran

ROOM_BYTES = 5 * 1024 * 1024
"""Of all files and the input of one execution: in base64 they still fit one frame."""
COMPILER_CHARS = 4000
FILE_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
MAX_KEPT_FILES = 80


class NotRunnable(Exception):
    """Nothing of what was handed in can be run; the text is for the learner."""

    def __init__(self, message: str, status: str = "error") -> None:
        super().__init__(message)
        self.status = status


class Program:
    """`plan` is `.xqueue/plan.json`; `author_files` gives the bytes of a path in the bundle."""

    def __init__(
        self, session: GraderSession, plan: Mapping[str, Any], author_files: Mapping[str, bytes]
    ) -> None:
        self._session = session
        self._plan = plan
        self._author_files = author_files
        self.source = ""
        """The learner's text, with the line ends of Unix."""
        self._files: dict[str, bytes] = {}

    def prepare(self) -> None:
        """Collect the files and compile them. Raises NotRunnable."""
        plan = self._plan
        self._files = {name: self._author_files[path] for name, path in plan["files"].items()}
        self._files |= uploaded(self._session.job, plan["uploads"])
        own = self._files.get(plan["submission"]) if plan["submission"] in plan["uploads"] else None
        text = self._session.job.response if own is None else own.decode(errors="replace")
        self.source = text.replace("\r\n", "\n").removeprefix("\ufeff")
        content = self.source.encode("utf-8", "surrogatepass")
        self._files[plan["submission"]] = content
        self.require_room()
        if plan["compile"]:
            self._compile()

    def run(
        self,
        *,
        stdin: bytes = b"",
        args: Sequence[str] = (),
        files: Mapping[str, bytes] | None = None,
        limits: Mapping[str, Any] | None = None,
        collect: Sequence[str] = (),
    ) -> Ran:
        """One execution in a fresh folder, with `args` appended to the command.

        Raises NotRunnable when there is no room for all of it.
        """
        self.require_room(len(stdin), *map(len, (files or {}).values()))
        argv = [*self._plan["run"], *args]
        return self._session.run(
            argv,
            stdin=stdin,
            files={**self._files, **(files or {})},
            collect=collect,
            zygote=argv[0] == "python3",
            **(limits or self._plan["limits"]),
        )

    def files_for_calls(self) -> dict[str, bytes]:
        """What lies beside the driver that calls functions: all but the learner's own code."""
        own = self._plan["submission"]
        return {name: content for name, content in self._files.items() if name != own}

    def require_room(self, *more: int) -> None:
        """For the files and so many bytes more. Raises NotRunnable."""
        most = min(ROOM_BYTES, int(self._session.limits["scratch_bytes"]) * 3 // 4)
        if sum(map(len, self._files.values())) + sum(more) > most:
            raise NotRunnable(f"What you handed in is too large: there is room for {most} bytes.")

    def _compile(self) -> None:
        seconds = self._plan["compile_s"]
        limits = {"wall_s": seconds, "cpu_s": seconds}
        ran = self._session.run(self._plan["compile"], files=self._files, **limits)
        if ran.reason != "exited":
            raise NotRunnable(_compiler_stopped(ran.reason, seconds), ran.reason)
        if ran.code != 0:
            words = (ran.stderr + ran.stdout).decode(errors="replace").strip()
            shown = words[:COMPILER_CHARS] or f"the compiler ended with status {ran.code}"
            raise NotRunnable(f"Your code could not be compiled:\n{shown}")
        self._keep_what_was_compiled()

    def _keep_what_was_compiled(self) -> None:
        """Bring the files back, so that each test can be given them in a folder of its own."""
        listed = self._session.run(["/bin/ls", "-A1"], keep=True)
        names = [
            name
            for name in listed.stdout.decode(errors="replace").split("\n")
            if FILE_NAME.fullmatch(name) and name not in self._files
        ]
        if not names:
            return
        kept = self._session.run(["/bin/true"], keep=True, collect=names[:MAX_KEPT_FILES]).files
        self._files |= kept or {}


def uploaded(job: Job, names: Sequence[str]) -> dict[str, bytes]:
    """The learner's attached files of those names. Raises NotRunnable when one is missing."""
    missing = [name for name in names if name not in job.files]
    if missing:
        raise NotRunnable(f"Attach {' and '.join(missing)} to your answer.")
    return {name: upload_bytes(job.files[name]) for name in names}


def upload_bytes(content: Any) -> bytes:
    """A file of a job: text, or `{"base64": …}` for what is not UTF-8."""
    if isinstance(content, str):
        return content.encode("utf-8", "surrogatepass")
    from binascii import a2b_base64

    return a2b_base64(content["base64"])


def _compiler_stopped(reason: str, seconds: float) -> str:
    sentences = {
        "time": f"Compiling your code took longer than {seconds:g} s and was stopped.",
        "memory": "Compiling your code used too much memory and was stopped.",
        "output": "The compiler complained so much that it was stopped.",
    }
    return sentences[reason]
