"""What a case is tried on: a backend, and what the host sets out as bait.

The bait is a secret in the grader's folder, notes and job, and two listeners of the host: what a
program must not find is really there.
"""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox import owner
from sandbox.backend import SandboxBackend
from sandbox.hostile.case import Engine, Language, Program
from sandbox.hostile.preludes import whole_source
from sandbox.probe.script import DONE, probe_request
from sandbox.run import KIB, MIB, DirectoryGrader, Limits, RunRequest
from sandbox.supervisor.frames import pack_bytes

LIMITS = Limits(
    wall_s=60,
    learner_wall_s=20,
    learner_cpu_s=10,
    memory_bytes=128 * MIB,
    pids=48,
    output_bytes=256 * KIB,
    scratch_bytes=8 * MIB,
)
"""One for all cases, so that a warm pool serves them all."""
FOLDER_PREFIX = f"xqueue-hostile-{owner.this_process()}-"
BEFORE, NEXT, AFTER = "before", "next", "after"
CLEAN = "clean\n"
LOOK = Program(
    source="""
import time
def living():
    found = []
    for pid in pids():
        try:
            with open("/proc/%d/status" % pid) as file:
                fields = dict(line.split(":", 1) for line in file.read().splitlines())
        except OSError:
            continue
        dead = "Z" in fields["State"] and int(fields["Threads"]) <= 1
        # The first process of a box or of a learner's container has our uid.
        init = pid == 1 and fields["Name"].strip() in ("bwrap", "xq")
        if int(fields["Uid"].split()[0]) == os.getuid() and not dead and not init:
            found.append(pid)
    return [pid for pid in found if pid != os.getpid()]
left = living()
if left:
    say("LEFT processes %s" % left)
if sorted(os.listdir("/box")) != ["attack.py"] or os.listdir("/tmp"):
    say("LEFT files %s %s" % (os.listdir("/box")[:9], os.listdir("/tmp")[:9]))
hoard = bytearray(40 << 20)
if os.fork() == 0:
    os._exit(0)
os.wait()
say("clean")
os._exit(0)
""",
)
"""The honest program after every attack: nobody is left, its folders are empty, it has memory."""


class NotTried(Exception):
    """This host lacks what the case needs; the text says what."""


@dataclass(slots=True)
class Bench:
    """One engine with the bait laid out. Made by `open_bench`."""

    backend: SandboxBackend
    engine: Engine
    grader: DirectoryGrader
    secret: str
    targets: Mapping[str, Any]
    folder: Path
    _compiled: dict[str, bytes] = field(default_factory=dict)

    def request_for(self, programs: Sequence[Program], limits: Limits = LIMITS) -> RunRequest:
        """The programs one after the other under an honest grader that knows the secret."""
        names = [f"attack-{number}" for number, _ in enumerate(programs, 1)]
        every: list[str] = [BEFORE, *names, NEXT, AFTER]
        expected = pack_bytes(f"the right answer {self.secret}".encode())
        script: list[dict[str, Any]] = [
            {"do": "tests", "tests": [{"id": name, "title": name, "max": 1} for name in every]},
            {"do": "write", "path": "/scratch/notes.txt", "text": self.secret},
            {"do": "report", "id": BEFORE, "score": 1, "expected": self.secret},
            *(
                self._run_step(name, program, expected)
                for name, program in zip(names, programs, strict=True)
            ),
            self._run_step(NEXT, LOOK, pack_bytes(CLEAN.encode())),
            {"do": "import", "name": "colorsys", "as": AFTER},
            DONE,
        ]
        return probe_request(script, limits=limits, grader=self.grader)

    def honest_script(self) -> list[dict[str, Any]]:
        tests = [{"id": "t1", "title": "honest", "max": 1}]
        step = self._run_step("t1", LOOK, pack_bytes(CLEAN.encode()))
        return [{"do": "tests", "tests": tests}, step, DONE]

    def _run_step(self, name: str, program: Program, expected: str) -> dict[str, Any]:
        files, argv = self._files(program), _argv(program)
        return {
            "do": "run",
            "as": name,
            "argv": argv,
            "files": {name: pack_bytes(content) for name, content in files.items()},
            "stdin": pack_bytes(program.stdin),
            "expect": expected,
            **program.frame,
        }

    def _files(self, program: Program) -> dict[str, bytes]:
        files = {"targets.json": json.dumps(self.targets).encode()} if _wants(program) else {}
        if program.language is Language.C:
            return files | {"attack": self._binary(program.source)} | dict(program.files)
        source = program.source if program.bare else whole_source(program.source, program.language)
        suffix = "py" if program.language is Language.PYTHON else "sh"
        return files | {f"attack.{suffix}": source.encode()} | dict(program.files)

    def _binary(self, source: str) -> bytes:
        """Compiled statically, because the images have other libraries. Raises NotTried."""
        if source not in self._compiled:
            self._compiled[source] = _compile(whole_source(source, Language.C), self.folder)
        return self._compiled[source]


def _wants(program: Program) -> bool:
    return "targets.json" in program.source


def _argv(program: Program) -> list[str]:
    match program.language:
        case Language.PYTHON if program.frame.get("zygote"):
            return ["python3", "-I", "/box/attack.py"]
        case Language.PYTHON:
            return ["python3", "-I", "-S", "/box/attack.py"]
        case Language.SHELL:
            return ["/bin/sh", "/box/attack.sh"]
        case Language.C:
            return ["/box/attack"]


def _compile(source: str, folder: Path) -> bytes:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise NotTried("no C compiler on this host")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        path, binary = Path(scratch, "attack.c"), Path(scratch, "attack")
        path.write_text(source)
        command = [compiler, "-static", "-O1", "-w", "-s", "-o", str(binary), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise NotTried(f"the C compiler of this host fails: {done.stderr.strip()[-200:]}")
        return binary.read_bytes()


@contextmanager
def open_bench(backend: SandboxBackend, engine: Engine) -> Iterator[Bench]:
    """The bait is gone again when the block is left; the backend stays the caller's."""
    with ExitStack() as bait:
        folder = Path(bait.enter_context(tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX)))
        secret = f"XQ-SECRET-{secrets.token_hex(8)}"
        yield Bench(
            backend=backend,
            engine=engine,
            grader=_grader_with(secret, folder / "grader"),
            secret=secret,
            targets=_listen(bait),
            folder=folder,
        )


def _grader_with(secret: str, folder: Path) -> DirectoryGrader:
    probe = Path(__file__).parents[1] / "probe" / "grade.py"
    folder.mkdir()
    (folder / "grade.py").write_bytes(probe.read_bytes())
    (folder / "secret.txt").write_text(secret)
    return DirectoryGrader(path=folder)


def _listen(bait: ExitStack) -> dict[str, Any]:
    """Listeners of this host, and where else something might answer."""
    server = bait.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    server.bind(("0.0.0.0", 0))  # noqa: S104 - a learner might come by any interface
    server.listen()
    name = f"xqueue-hostile-{secrets.token_hex(4)}"
    local = bait.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    local.bind(f"\0{name}")
    local.listen()
    port = server.getsockname()[1]
    hosts = {"127.0.0.1", "172.17.0.1", *_own_addresses()}
    return {
        "v4": [
            *((host, port) for host in sorted(hosts)),
            *(("172.17.0.1", number) for number in (2375, 6379, 5432, 22)),
            *(("127.0.0.1", number) for number in (22, 6379, 5432, 8040)),
            *(("192.0.2.1", 80), ("198.51.100.1", 443), ("10.0.0.1", 80), ("10.0.2.2", 80)),
        ],
        "v6": [("::1", port), ("2001:db8::1", 80), ("fd00::1", 80)],
        "abstract": [name],
    }


def _own_addresses() -> set[str]:
    try:
        found = socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    except OSError:
        return set()
    return {str(entry[4][0]) for entry in found}
