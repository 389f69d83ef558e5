"""Graders and their versions as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from xqueue_server.models.grader import Grader, GraderSource, GraderVersion
from xqueue_server.models.trial import Trial
from xqueue_server.storage.graders import ActiveVersion
from xqueue_server.storage.policies import Policy
from xqueue_server.storage.readiness import HostReadiness
from xqueue_server.web.api.answer import instant, instant_or_none

READY_WITHIN_S = 600.0


def source_document(source: GraderSource) -> dict[str, Any]:
    return {"digest": source.digest and f"sha256:{source.digest}", "image": source.image}


def version_document(version: GraderVersion, grader: Grader) -> dict[str, Any]:
    """Without the manifest, of which authors have the original."""
    manifest = version.manifest
    return {
        "queue": version.queue,
        "name": version.name,
        "version": version.version,
        "active": grader.active == version.version,
        "default": grader.is_default,
        **source_document(version.source),
        "title": manifest.title,
        "base": manifest.base,
        "isolation": manifest.isolation,
        "forgeable": manifest.is_forgeable,
        "lms_points": manifest.lms_points,
        "limits": manifest.limits,
        "published_by": version.published_by,
        "published_at": instant(version.published_at),
    }


def queue_isolation_document(
    policy: Policy, demanded: str | None, source: GraderSource
) -> dict[str, Any] | None:
    """The operator's choice, where it holds for such a grader."""
    chosen = policy.isolation_of(demanded, source)
    return None if chosen is None else asdict(chosen)


def grader_document(
    grader: Grader, version: GraderVersion, hosts: Sequence[HostReadiness], policy: Policy
) -> dict[str, Any]:
    """`version` is the active one, or the latest where none is."""
    manifest = version.manifest
    of_active = [
        h for h in hosts if h.name == grader.name and h.version == grader.active is not None
    ]
    return {
        "queue": grader.queue,
        "name": grader.name,
        "title": manifest.title,
        "default": grader.is_default,
        "active_version": grader.active,
        "latest_version": grader.latest,
        "isolation": manifest.isolation,
        "queue_isolation": queue_isolation_document(policy, manifest.isolation, version.source),
        "forgeable": manifest.is_forgeable,
        "lms_points": manifest.lms_points,
        "hosts_ready": sum(h.is_ready for h in of_active),
        "hosts_not_ready": sum(not h.is_ready for h in of_active),
        "image_created": instant_or_none(
            min((h.image_created for h in of_active if h.image_created), default=None)
        ),
    }


def readiness_document(host: HostReadiness) -> dict[str, Any]:
    return {
        "host": host.host,
        "version": host.version,
        "ready": host.is_ready,
        "problem": host.problem,
        "at": instant(host.at),
        "image_created": instant_or_none(host.image_created),
    }


def listed_assignment_document(active: ActiveVersion, policy: Policy) -> dict[str, Any]:
    """With what may change while the version does not."""
    version = active.version
    demanded = version.manifest.isolation
    chosen = queue_isolation_document(policy, demanded, version.source)
    return assignment_document(active) | {"queue_isolation": chosen}


def assignment_document(active: ActiveVersion) -> dict[str, Any]:
    """What a worker needs to run a version; workers keep it, so it never changes."""
    version = active.version
    return {
        "queue": version.queue,
        "name": version.name,
        "version": version.version,
        "default": active.is_default,
        **source_document(version.source),
        "isolation": version.manifest.isolation,
        "forgeable": version.manifest.is_forgeable,
        "manifest": json.loads(version.manifest_text),
    }


def trial_assignment_document(trial: Trial) -> dict[str, Any]:
    return {
        "queue": trial.queue,
        "name": trial.name,
        "version": 0,
        "trial": trial.id,
        "default": False,
        **source_document(trial.source),
        "isolation": trial.manifest.isolation,
        "forgeable": trial.manifest.is_forgeable,
        "manifest": json.loads(trial.manifest_text),
    }
