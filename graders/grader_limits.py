"""`limits` at the top of `grader.yaml`: of one execution, and of the whole sandbox."""

from __future__ import annotations

from dataclasses import replace

from graders.grader_test import GraderTest, RunBounds
from graders.languages import Language
from graders.yaml_section import Section
from graders.yaml_source import Mapping
from sandbox.run import KIB, MIB, Limits

LIMIT_KEYS = (
    "time_s",
    "cpu_s",
    "memory_mb",
    "output_kb",
    "compile_s",
    "total_s",
    "processes",
    "disk_mb",
)


def read_limits(section: Section) -> Section:
    nothing = Mapping(line=section.line, entries={}, keys={})
    limits = Section(section.entries.get("limits", nothing), section.source, "the limits")
    limits.refuse_unknown(
        LIMIT_KEYS, {"wall_s": "The key is `total_s` (whole grading) or `time_s`."}
    )
    return limits


def top_bounds(limits: Section, language: Language) -> RunBounds:
    time_s = limits.number("time_s", above=0) or language.test_wall_s
    output_kb = limits.number("output_kb", above=0)
    return RunBounds(
        time_s=time_s,
        cpu_s=limits.number("cpu_s", above=0) or time_s,
        output_bytes=int(output_kb * KIB) if output_kb else language.limits.output_bytes,
    )


def sandbox_limits(
    limits: Section,
    language: Language,
    tests: tuple[GraderTest, ...],
    top: RunBounds,
    compile_s: float,
) -> Limits:
    """Of the whole sandbox: what the most demanding test needs."""
    every = (top, *(test.bounds for test in tests))
    memory_mb = limits.number("memory_mb", least=16)
    disk_mb = limits.number("disk_mb", least=1)
    base = language.limits
    return replace(
        base,
        wall_s=limits.number("total_s", above=0, most=3600) or base.wall_s,
        learner_wall_s=max(compile_s, *(bounds.time_s for bounds in every)),
        learner_cpu_s=max(compile_s, *(bounds.cpu_s for bounds in every)),
        memory_bytes=int(memory_mb * MIB) if memory_mb else base.memory_bytes,
        pids=limits.whole("processes", least=1, most=10_000) or base.pids,
        output_bytes=max(bounds.output_bytes for bounds in every),
        scratch_bytes=int(disk_mb * MIB) if disk_mb else base.scratch_bytes,
    )
