"""Grades one submission as a worker would: the same bundle, unpacked the same way, the same request
to the same sandbox, the same reply."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from graders.bundle import unpack
from graders.describing import pack_with_tests
from graders.errors import GradingFailed
from graders.grader_file import load_manifest
from graders.manifest import Manifest
from sandbox.backend import SandboxBackend
from sandbox.errors import SandboxError
from sandbox.run import (
    MAX_JOB_BYTES,
    DirectoryGrader,
    GraderSource,
    ImageGrader,
    RunRequest,
    RunResult,
)

DEFAULT_SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a learner hands in."""

    response: str = field(repr=False)
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    seed: int = DEFAULT_SEED
    payload: str | None = None
    """None is what the kit suggests for Studio: `{"grader": name}`."""

    def job(self, manifest: Manifest) -> dict[str, Any]:
        """As a worker makes it. Raises GradingFailed when it is too large for a sandbox."""
        payload = json.dumps({"grader": manifest.name}) if self.payload is None else self.payload
        files = {name: _as_job_file(content) for name, content in self.files.items()}
        job = {"response": self.response, "payload": payload, "files": files, "seed": self.seed}
        if len(json.dumps(job)) > MAX_JOB_BYTES:
            raise GradingFailed(f"the answer and its files are more than {MAX_JOB_BYTES} bytes")
        return job


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenGrader:
    """A grader ready to be tried, as often as wanted."""

    manifest: Manifest
    directory: Path
    """Where the bundle is unpacked; that of the author for a grader that is an image."""
    backend: SandboxBackend

    def grade(self, answer: Answer) -> RunResult:
        """Raises GradingFailed when there is no run at all; a result may still be no grade."""
        request = RunRequest(
            run_id=f"try-{uuid4().hex[:12]}",
            grader=self._source(),
            job=answer.job(self.manifest),
            limits=self.manifest.limits,
            isolation=self.manifest.isolation,
            runtime=self.manifest.runtime,
            tests=self.manifest.tests or None,
        )
        try:
            return self.backend.run(request)
        except SandboxError as error:
            raise GradingFailed(str(error)) from error

    def _source(self) -> GraderSource:
        if self.manifest.tier != 2:
            return DirectoryGrader(path=self.directory, base=self.manifest.base)
        if self.manifest.image is None:
            raise GradingFailed("this grader is an image: build it first with `graders build`")
        return ImageGrader(image=self.manifest.image)


@contextmanager
def opened(directory: Path, backend: SandboxBackend) -> Iterator[OpenGrader]:
    """Packed and unpacked, gone when the block is left; or built, where it is an image.

    Raises:
        ManifestInvalid, BundleRefused, ImageRefused, NoSandbox, GradingFailed
    """
    if load_manifest(directory).tier == 2:
        yield _opened_image(directory, backend)
        return
    bundle = pack_with_tests(directory, backend)
    with tempfile.TemporaryDirectory(prefix="grader-") as folder:
        target = Path(folder, "grader")
        manifest = unpack(bundle.content, target)
        yield OpenGrader(manifest=manifest, directory=target, backend=backend)


def _opened_image(directory: Path, backend: SandboxBackend) -> OpenGrader:
    """Built, which takes a second when nothing changed, and examined as on a grading host."""
    from graders.publishing.docker_program import DockerProgram
    from graders.publishing.image_build import build_image
    from graders.publishing.image_check import examine

    built = build_image(directory, DockerProgram())
    manifest = examine(built.manifest, built.image_id, backend)
    return OpenGrader(manifest=manifest, directory=directory, backend=backend)


def _as_job_file(content: bytes) -> Any:
    """Text, or `{"base64": …}` for bytes that are not UTF-8 or hold a zero."""
    if b"\0" not in content:
        try:
            return content.decode()
        except UnicodeDecodeError:
            pass
    return {"base64": base64.b64encode(content).decode()}
