"""A supervisor to talk to: the real program in namespaces of its own, without Docker."""

from __future__ import annotations

import base64
import contextlib
import json
import struct
import subprocess
from pathlib import Path

TOP = Path(__file__).parents[2]
XQ = TOP / "sandbox" / "supervisor" / "bin" / "xq"
HOST_PY = TOP / "sandbox" / "supervisor" / "host.py"
LEARNER_UID = 70123
LIMITS = {
    "wall_s": 120,
    "learner_wall_s": 5,
    "learner_cpu_s": 4,
    "memory_bytes": 256 << 20,
    "pids": 40,
    "output_bytes": 65536,
    "scratch_bytes": 8 << 20,
}
HEADER = struct.Struct(">I")


def b64(data):
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


def text(packed):
    return base64.b64decode(packed).decode(errors="replace")


class Supervisor:
    """One `xq` process and its two pipes."""

    def __init__(self, mode="--container", *, host_py=None, scratch_bytes=8 << 20, command=None):
        self.command = command or [
            str(Path(__file__).parent / "container.sh"),
            *(str(XQ), mode, str(LEARNER_UID), str(scratch_bytes)),
            *([str(host_py)] if host_py else []),
        ]
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                stream.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()

    def send(self, frame):
        self.send_body(json.dumps(frame).encode())

    def send_body(self, body):
        self.process.stdin.write(HEADER.pack(len(body)) + body)
        self.process.stdin.flush()

    def receive(self):
        """The next frame, None at the end."""
        header = self.process.stdout.read(4)
        if len(header) < 4:
            return None
        return json.loads(self.process.stdout.read(HEADER.unpack(header)[0]))

    def until(self, kind):
        """All frames up to one of that type."""
        frames = []
        while (frame := self.receive()) is not None:
            frames.append(frame)
            if frame["type"] == kind:
                return frames
        raise AssertionError((frames, self.process.stderr.read().decode(errors="replace")))

    def grade(self, files, *, job=None, limits=None, **more):
        """A whole run: the frames after `ready`."""
        assert self.until("ready")
        self.send(start_frame(files, job=job, limits=limits, **more))
        return self.until("ended")


def start_frame(files, *, job=None, limits=None, **more):
    return {
        "type": "start",
        "job": {"response": "", "payload": "", "files": {}, "seed": 1, **(job or {})},
        "files": [
            {
                "path": path,
                "content": b64(content),
                "executable": content.startswith("#!"),
            }
            for path, content in files.items()
        ],
        "limits": {**LIMITS, **(limits or {})},
        **more,
    }


def commands():
    """Arguments of all processes by number, each ended by a zero."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found[int(folder.name)] = (folder / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
    return found
