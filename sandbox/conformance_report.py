"""The dated report of a check of this host: for people, and as JSON for machines.

`docs/reference/sandbox.md` describes the fields; `SCHEMA` grows when one changes its meaning.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sandbox.backend import BackendDescription
from sandbox.backends.docker import GRADER_BASE_IMAGE
from sandbox.conformance import CaseOutcome, CaseResult
from sandbox.seccomp import profile_hash

SCHEMA = 1
MARKS = {
    CaseOutcome.PASSED: "ok",
    CaseOutcome.FAILED: "FAILED",
    CaseOutcome.NOT_ENFORCED: "missing",
    CaseOutcome.DEVIATES: "deviates",
    CaseOutcome.NOT_TRIED: "not tried",
    CaseOutcome.ELSEWHERE: "elsewhere",
}
CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")
CORE_PATTERN_IS_A_PROGRAM = (
    "a learner's crash starts that program as root on the host, whatever the sandbox; "
    "write a plain file name there"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """Of the machine that runs the sandbox: with Docker, the engine's."""

    kernel: str
    machine: str
    cgroup_version: str
    processors: int
    runtime: str | None = None
    image: str | None = None
    image_id: str | None = None
    warnings: tuple[str, ...] = ()
    """What weakens every sandbox of this host, and is the operator's to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    made_at: datetime
    engine: str
    """A row of the hostile suite's table, as `docker/runc split-uid`."""
    backend: BackendDescription
    host: HostFacts
    suites: Mapping[str, Sequence[CaseResult]]

    @property
    def failed(self) -> list[CaseResult]:
        every = [result for results in self.suites.values() for result in results]
        return [result for result in every if result.outcome is CaseOutcome.FAILED]

    @property
    def unenforced(self) -> list[str]:
        missing = [
            f"{result.name}: {result.detail}"
            for results in self.suites.values()
            for result in results
            if result.outcome in (CaseOutcome.NOT_ENFORCED, CaseOutcome.DEVIATES)
        ]
        return [*self.backend.unenforced, *missing]


def facts_of_this_host() -> HostFacts:
    return HostFacts(
        kernel=platform.release(),
        machine=platform.machine(),
        cgroup_version="2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "1",
        processors=os.cpu_count() or 1,
        warnings=_warnings(),
    )


def facts_of_engine(runtime: str | None, image: str = GRADER_BASE_IMAGE) -> HostFacts:
    """What the Docker Engine says of its host. Raises ImportError without the Docker SDK."""
    import docker

    client = docker.from_env(timeout=20)
    try:
        info = client.info()
        image_id = client.images.get(image).id
    finally:
        client.close()
    return HostFacts(
        kernel=info["KernelVersion"],
        machine=info["Architecture"],
        cgroup_version=info.get("CgroupVersion", "1"),
        processors=info["NCPU"],
        runtime=runtime or info["DefaultRuntime"],
        image=image,
        image_id=image_id,
        warnings=_warnings() if info["Name"] == platform.node() else (),
    )


def _warnings() -> tuple[str, ...]:
    try:
        pattern = CORE_PATTERN.read_text().strip()
    except OSError:
        return ()
    if not pattern.startswith("|"):
        return ()
    program = pattern.split()[0]
    return (f"kernel.core_pattern is {program}: {CORE_PATTERN_IS_A_PROGRAM}",)


def as_json(report: Report) -> str:
    content = {
        "schema": SCHEMA,
        "made_at": report.made_at.isoformat(timespec="seconds"),
        "verdict": "failed" if report.failed else "passed",
        "engine": report.engine,
        "backend": {"name": report.backend.name, "version": report.backend.version},
        "host": dataclasses.asdict(report.host),
        "seccomp_profile_hash": profile_hash(),
        "unenforced": report.unenforced,
        "suites": {
            name: [dataclasses.asdict(result) for result in results]
            for name, results in report.suites.items()
        },
    }
    return json.dumps(content, indent=2) + "\n"


def as_line(result: CaseResult) -> str:
    number = f"{result.number:>4} " if result.number else ""
    took = f"{result.took_ms:>8.0f} ms"
    return f"{MARKS[result.outcome]:<10}{number}{result.name:<32}{took}  {result.promise}"


def as_text(report: Report) -> str:
    """All but the lines of the cases, which are shown as they come."""
    host = report.host
    every = [result for results in report.suites.values() for result in results]
    counts = ", ".join(
        f"{count} {MARKS[outcome]}"
        for outcome in CaseOutcome
        if (count := sum(result.outcome is outcome for result in every))
    )
    made_at = report.made_at.isoformat(timespec="seconds")
    machine = f"{host.machine}, {host.processors} processors, cgroup v{host.cgroup_version}"
    lines = [
        f"{report.engine}: {counts} of {len(every)} cases at {made_at}",
        f"{report.backend.name} {report.backend.version}, runtime {host.runtime or 'none'}",
        f"kernel {host.kernel} ({machine}), seccomp profile {profile_hash()}",
    ]
    if host.image:
        lines.append(f"image {host.image} {host.image_id}")
    lines += [f"WARNING: {warning}" for warning in host.warnings]
    lines.append("NOT enforced on this host:" if report.unenforced else "Every limit is enforced.")
    lines += [f"  - {sentence}" for sentence in report.unenforced]
    return "\n".join(lines)
