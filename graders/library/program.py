"""The learner's program: put together from what was handed in, compiled once, run many times."""

from __future__ import annotations

import re
import sys

from graders.library.room import has_room, room_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from graders.library.session import GraderSession, Job, Ran

COMPILER_CHARS = 4000
FILE_NAME = re.compile(r"[A-Za-z0-9._$-]{1,64}")
"""As the supervisor takes them; `$` is in the names of Java's nested classes."""
MAX_KEPT_FILES = 80
KEPT_MB = 4
"""All that compiling leaves; the supervisor's MAX_COLLECTED_BYTES."""


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
        self._require_room(self._files)
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
        files = {**self._files, **(files or {})}
        self._require_room(files, len(stdin))
        argv = [*self._plan["run"], *args]
        return self._session.run(
            argv,
            stdin=stdin,
            files=files,
            collect=collect,
            zygote=argv[0] == "python3",
            **(limits or self._plan["limits"]),
        )

    def files_for_calls(self) -> dict[str, bytes]:
        """What lies beside the driver that calls functions: all but the learner's own code."""
        own = self._plan["submission"]
        return {name: content for name, content in self._files.items() if name != own}

    def _require_room(self, files: Mapping[str, bytes], input_bytes: int = 0) -> None:
        """Raises NotRunnable."""
        limits = self._session.limits
        if not has_room(limits, files.values(), input_bytes):
            raise NotRunnable(
                f"What you handed in is too large: there is room for {room_bytes(limits)} bytes."
            )

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
        """Bring the files back, so that each test can be given them in a folder of its own.

        All of them or none: half a program fails in ways that nobody understands.
        """
        names = self._made_by_compiling()
        if not names:
            return
        kept = self._session.run(["/bin/true"], keep=True, collect=names).files or {}
        lost = [name for name in names if name not in kept]
        if lost:
            raise NotRunnable(
                "What compiling your code made is too large to be run: there is room for "
                f"{KEPT_MB} MB, and {lost[0]} did not fit."
            )
        self._files |= kept

    def _made_by_compiling(self) -> list[str]:
        """Names of files. Raises NotRunnable for one that can not be brought back."""
        listed = self._session.run(["/bin/ls", "-A1p"], keep=True)
        found = [name for name in listed.stdout.decode(errors="replace").split("\n") if name]
        folders = [name for name in found if name.endswith("/")]
        if folders:
            print(f"compiling left folders, which are not kept: {folders!r:.200}", file=sys.stderr)  # noqa: T201 - the grader's log
        names = [name for name in found if name not in folders and name not in self._files]
        for name in names:
            if not FILE_NAME.fullmatch(name):
                raise NotRunnable(
                    f"Compiling your code made a file {name!r:.100}, which can not be kept: names "
                    "may have up to 64 of A-Z a-z 0-9 . _ $ -"
                )
        if len(names) > MAX_KEPT_FILES:
            raise NotRunnable(
                f"Compiling your code made {len(names)} files; at most {MAX_KEPT_FILES} are kept."
            )
        return names


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
