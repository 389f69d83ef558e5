"""Cases 83c, 83d and 84: graders, images and engines that cannot work at all."""

from __future__ import annotations

import io
import socket
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import docker

from sandbox.backends.docker import DockerBackend, DockerSettings
from sandbox.errors import GraderNotUsable, SandboxUnavailable
from sandbox.probe.script import DONE, TESTS, probe_request
from sandbox.run import DirectoryGrader, ImageGrader, Limits, RunRequest

if TYPE_CHECKING:
    from sandbox.hostile.bench import Bench

FOREIGN_PROGRAM = b"\x7fELF\x02\x02\x01" + bytes(9) + b"\x00\x02\x00\x16" + bytes(100)
"""An executable of a machine (S/390) that this one is not."""
ENTRY_POINTS = ("xq/xq", "usr/bin/python3", "usr/local/bin/python3", "bin/sh")
API_TIMEOUT_S = 1.0
NOTICED_WITHIN_S = 15.0


def missing_graders_are_refused(bench: Bench) -> None:
    """Raises AssertionError when one is run all the same."""
    with tempfile.TemporaryDirectory(prefix="xqueue-hostile-") as folder:
        top = Path(folder)
        for name in ("empty", "leads-out", "no-program"):
            (top / name).mkdir()
        (top / "leads-out" / "grade.py").symlink_to("/etc/passwd")
        program = top / "no-program" / "grade"
        program.write_bytes(FOREIGN_PROGRAM)
        program.chmod(0o755)
        for name in ("missing", "empty", "leads-out", "no-program"):
            grader = DirectoryGrader(path=top / name)
            _refused(bench, probe_request([TESTS, DONE], grader=grader), name)


def unusable_images_are_refused(bench: Bench) -> None:
    """Raises AssertionError when one is run all the same."""
    foreign = dict.fromkeys(ENTRY_POINTS, FOREIGN_PROGRAM)
    _refused(bench, _request(f"xqueue/hostile:{uuid4().hex}"), "missing")
    for what, files, changes in (
        ("empty", {"nothing": b""}, ()),
        ("of another architecture", foreign, ()),
        ("with a volume", foreign, ("VOLUME /data",)),
    ):
        with _image(files, changes) as name:
            _refused(bench, _request(name), what)


def a_hung_engine_is_noticed(_: Bench) -> None:
    """Raises AssertionError when it counts as anything but the platform's failure."""
    with _silent_engine() as address:
        backend = DockerBackend(DockerSettings(docker_host=address, api_timeout_s=API_TIMEOUT_S))
        try:
            started_at = time.monotonic()
            try:
                result = backend.run(probe_request([TESTS, DONE]))
            except SandboxUnavailable:
                took_s = time.monotonic() - started_at
            else:
                raise AssertionError(f"a hung engine gave {result}")
            assert took_s < NOTICED_WITHIN_S, f"noticed only after {took_s:.1f} s"
            assert not backend.check().healthy, "a hung engine is healthy"
        finally:
            backend.close()


def _request(image: str) -> RunRequest:
    request = probe_request([TESTS, DONE], limits=Limits(wall_s=5))
    return RunRequest(
        run_id=request.run_id,
        grader=ImageGrader(image=image),
        job=request.job,
        limits=request.limits,
    )


def _refused(bench: Bench, request: RunRequest, what: str) -> None:
    try:
        result = bench.backend.run(request)
    except GraderNotUsable as refusal:
        if not str(refusal):
            raise AssertionError(f"{what}: refused without a word") from refusal
        return
    raise AssertionError(f"{what}: it was run: {result}")


@contextmanager
def _image(files: dict[str, bytes], changes: Sequence[str]) -> Iterator[str]:
    """An image of these files alone, removed afterwards."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
    client = docker.from_env(timeout=60)
    tag = uuid4().hex
    try:
        client.api.import_image_from_data(
            content.getvalue(), repository="xqueue/hostile", tag=tag, changes=list(changes)
        )
        yield f"xqueue/hostile:{tag}"
    finally:
        client.images.remove(f"xqueue/hostile:{tag}", force=True)
        client.close()


@contextmanager
def _silent_engine() -> Iterator[str]:
    """The address of a socket that takes every connection and says nothing."""
    with tempfile.TemporaryDirectory(prefix="xqueue-hostile-") as folder:
        path = str(Path(folder, "engine.sock"))
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
        listener.listen()
        taken: list[socket.socket] = []

        def take() -> None:
            while True:
                try:
                    taken.append(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        try:
            yield f"unix://{path}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join()
            for connection in taken:
                connection.close()
