"""Asks a grader that is a program which tests it has, by running it once without a submission."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from graders.bundle import Bundle, pack, unpack
from graders.errors import GradingFailed
from graders.manifest import Manifest
from sandbox.backend import SandboxBackend
from sandbox.errors import SandboxError
from sandbox.run import DeclaredTest, DirectoryGrader, ExitReason, RunRequest

DESCRIBE_JOB = {"response": "", "payload": "", "files": {}, "seed": 1, "describe": True}
"""What comes from an LMS has no `describe`: workers build the job from four named parts."""


def pack_with_tests(directory: Path, backend: SandboxBackend) -> Bundle:
    """`bundle.pack`, with the tests that `grade.py` declares itself in the manifest.

    Raises:
        ManifestInvalid, BundleRefused: as `pack`.
        GradingFailed: the grader could not be asked.
    """
    bundle = pack(directory)
    if bundle.manifest.tests or bundle.manifest.tier != 1:
        return bundle
    return pack(directory, replace(bundle.manifest, tests=_ask(bundle, backend)))


def _ask(bundle: Bundle, backend: SandboxBackend) -> tuple[DeclaredTest, ...]:
    with tempfile.TemporaryDirectory(prefix="grader-") as folder:
        manifest = unpack(bundle.content, Path(folder, "grader"))
        request = _request(manifest, Path(folder, "grader"))
        try:
            result = backend.run(request)
        except SandboxError as error:
            raise GradingFailed(f"the grader could not be asked for its tests: {error}") from error
    if result.reason is not ExitReason.COMPLETED:
        log = f"\n{result.grader_log}" if result.grader_log else ""
        raise GradingFailed(f"the grader does not work: {result.detail}{log}")
    return tuple(
        DeclaredTest(
            test_id=report.test_id,
            title=report.title,
            max_score=report.max_score,
            visible=report.visible,
        )
        for report in result.reports
    )


def _request(manifest: Manifest, directory: Path) -> RunRequest:
    return RunRequest(
        run_id=f"describe-{uuid4().hex[:12]}",
        grader=DirectoryGrader(path=directory, base=manifest.base),
        job=DESCRIBE_JOB,
        limits=manifest.limits,
        isolation=manifest.isolation,
        runtime=manifest.runtime,
    )
