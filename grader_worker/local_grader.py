"""A grader on this host, as flags or workers.toml name it: a directory or an image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from grader_worker.assignment import Assignment, grader_source
from grader_worker.errors import SettingsError, XQueueError
from grader_worker.published.grader_cache import BundleCache
from graders.bundle import pack
from graders.errors import KitError
from graders.manifest import GRADER_FILE
from sandbox.errors import SandboxError
from sandbox.run import DirectoryGrader, Isolation, Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the operator says beside the grader; None leaves it to the grader's own manifest."""

    limits: Limits | None = None
    isolation: Isolation | None = None
    runtime: str | None = None
    lms_points: float | None = None
    legacy_reason: str = ""


def local_assignment(
    queue: str,
    grader: str,
    wishes: Wishes | None = None,
    *,
    cache_dir: Path,
    relative_to: Path | None = None,
) -> Assignment:
    """A directory with a grader.yaml is packed as if it were to be published, so that what is
    graded does not change while its files are edited; any other is used as it lies there.

    Raises:
        SettingsError: there is no such directory, or it is no grader.
    """
    wishes = wishes or Wishes()
    source = grader_source(grader, relative_to=relative_to)
    if isinstance(source, DirectoryGrader) and (source.path / GRADER_FILE).is_file():
        # Apart from published ones, whose keeper removes what it has not seen in use.
        return _from_manifest(queue, source.path, wishes, BundleCache(cache_dir / "own"))
    return Assignment(
        queue=queue,
        grader=source,
        limits=wishes.limits or Limits(),
        isolation=wishes.isolation,
        runtime=wishes.runtime,
        lms_points=wishes.lms_points,
        legacy_reason=wishes.legacy_reason,
    )


def _from_manifest(queue: str, directory: Path, wishes: Wishes, bundles: BundleCache) -> Assignment:
    try:
        bundle = pack(directory)
        place = bundles.directory(bundle.digest, lambda: bundle.content)
    except (KitError, SandboxError, XQueueError, OSError) as error:
        raise SettingsError(f"grader {directory}: {error}") from error
    manifest = bundle.manifest
    if manifest.tier == 2:
        raise SettingsError(
            f"grader {directory} is an image: run `graders build {directory}` and name the image"
        )
    return Assignment(
        queue=queue,
        grader=DirectoryGrader(path=place, base=manifest.base),
        limits=wishes.limits or manifest.limits,
        isolation=wishes.isolation or manifest.isolation,
        runtime=wishes.runtime or manifest.runtime,
        tests=manifest.tests or None,
        lms_points=wishes.lms_points or manifest.lms_points,
        legacy_reason=wishes.legacy_reason,
    )
