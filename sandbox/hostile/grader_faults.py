"""G. Graders and hosts that fail: never a grade, never the learner's fault, always words."""

from __future__ import annotations

from typing import Any

from sandbox.hostile.case import (
    BrokenGrader,
    Deviation,
    Engine,
    Group,
    HostileCase,
    Procedure,
    ends,
)
from sandbox.hostile.unusable import (
    a_hung_engine_is_noticed,
    missing_graders_are_refused,
    unusable_images_are_refused,
)
from sandbox.probe.script import DONE, TESTS, report_step, run_step

GRADER_FAILED = ends("grader-failed")
DOCKER_ONLY = {
    Engine.BUBBLEWRAP: Deviation(reason="takes no images and asks no daemon", expected=None)
}

NONSENSE: tuple[dict[str, Any], ...] = (
    *({"argv": []}, {"argv": "ls"}, {"argv": [1]}, {"argv": ["x"] * 300}),
    *({"stdin": "%%%"}, {"files": ["a"]}, {"files": {"a": 1}}, {"wall_s": -1}),
    *({"wall_s": "2"}, {"cpu_s": True}, {"output_bytes": 0}, {"wall_s": 0}),
)
"""What a `run` frame may not say."""

CASES = (
    HostileCase(
        number="83",
        name="grader-ends",
        group=Group.GRADER_FAULTS,
        attack=(
            "a grader that exits with 0, 1 or 255, crashes, or gives up, after half of its tests"
        ),
        outcome="the grader's fault, with what became of it; no grade",
        plan=BrokenGrader(
            scripts=(
                [TESTS, report_step("t1"), {"do": "exit", "code": 0}],
                [TESTS, report_step("t1"), {"do": "exit", "code": 1}],
                [TESTS, {"do": "exit", "code": 255}],
                [TESTS, report_step("t1"), {"do": "crash"}],
                [{"do": "exit", "code": 0}],
                [TESTS, {"do": "fail", "detail": "the test data is missing"}],
                [TESTS, {"do": "fail"}],
                [{"do": "read", "as": "t1", "path": "/grade/missing.txt"}],
            )
        ),
        expected=GRADER_FAILED,
    ),
    HostileCase(
        number="83a",
        name="grader-hangs",
        group=Group.GRADER_FAULTS,
        attack="a grader that hangs by itself, before and after its first test",
        outcome="the grader's fault once the run's time is over",
        plan=BrokenGrader(scripts=([{"do": "hang"}], [TESTS, report_step("t1"), {"do": "hang"}])),
        expected=GRADER_FAILED,
    ),
    HostileCase(
        number="83b",
        name="grader-asks-for-nonsense",
        group=Group.GRADER_FAULTS,
        attack=(
            "a grader whose `run` has no command, wrong limits, broken base64, too many arguments"
        ),
        outcome="the grader's fault, with what was wrong",
        plan=BrokenGrader(
            scripts=tuple([TESTS, run_step("t1", **frame), DONE] for frame in NONSENSE)
        ),
        expected=GRADER_FAILED,
    ),
    HostileCase(
        number="83c",
        name="grader-missing",
        group=Group.GRADER_FAULTS,
        attack=(
            "no directory, no entry point, links that lead out, a grader that cannot be executed"
        ),
        outcome="refused as not usable, before the learner's code runs",
        plan=Procedure(carry_out=missing_graders_are_refused),
    ),
    HostileCase(
        number="83d",
        name="image-unusable",
        group=Group.GRADER_FAULTS,
        attack=(
            "an image that is missing, empty, of another architecture, not of our base, with "
            "volumes"
        ),
        outcome="refused as not usable, with words",
        plan=Procedure(carry_out=unusable_images_are_refused),
        deviations=DOCKER_ONLY,
    ),
    HostileCase(
        number="84",
        name="engine-hangs",
        group=Group.GRADER_FAULTS,
        attack="a Docker Engine that takes connections and never answers",
        outcome="the platform's failure within the API's time limit; unhealthy until it answers",
        plan=Procedure(carry_out=a_hung_engine_is_noticed),
        deviations=DOCKER_ONLY,
    ),
)
