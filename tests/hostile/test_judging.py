"""The judge of the hostile suite sees what it is there to see: every criterion can fail."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from sandbox.backends.fake import FakeBackend
from sandbox.conformance import CaseOutcome
from sandbox.errors import SandboxUnavailable
from sandbox.hostile.bench import open_bench
from sandbox.hostile.case import Deviation, Engine, Expected, Group, HostileCase, hostile, verdicts
from sandbox.hostile.preludes import gains_in, whole_source
from sandbox.hostile.table import case_of
from sandbox.hostile.trying import TookTooLong, judge_submission, try_case, try_cases
from sandbox.run import ExitReason, RunResult
from sandbox.run import TestReport as Report
from sandbox.supervisor.frames import pack_bytes

PLAN = hostile("pass")
IMPORTED = json.dumps({"file": "/usr/lib/colorsys.py", "path": ["/grade/.xqueue", "/usr/lib"]})


def execution(stdout="ATTACKED\n", *, reason="exited", wall_ms=5.0):
    packed = pack_bytes(stdout.encode())
    frame = {"reason": reason, "code": 0, "stdout": packed, "stderr": "", "wall_ms": wall_ms}
    return json.dumps(frame)


def reported(test_id, score, output=""):
    return Report(test_id=test_id, title=test_id, score=score, max_score=1, output=output)


def run_of(attack=None, *, before=1, attack_score=0, following="clean\n", imported=IMPORTED):
    return RunResult(
        reason=ExitReason.COMPLETED,
        reports=(
            reported("before", before),
            reported("attack-1", attack_score, attack or execution()),
            reported("next", 1, execution(following)),
            reported("after", 0, imported),
        ),
        declared_max=4,
    )


NOTHING_GAINED = Expected()


def judged(result, expected=NOTHING_GAINED):
    judge_submission(PLAN, result, expected)


def test_a_run_in_which_nothing_was_gained_passes():
    judged(run_of())


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (run_of(execution("GAINED the secret\nATTACKED\n")), "the secret"),
        (run_of(execution("")), "ended as died"),
        (run_of(execution("ATTACKED\n", reason="time")), "ended as time"),
        (run_of(attack_score=1), "given a point"),
        (run_of(before=0), "score was changed"),
        (run_of(following="LEFT processes [7]\nclean\n"), "next program found"),
        (run_of(following=""), "next program found"),
        (run_of(imported=json.dumps({"file": "/box/colorsys.py", "path": []})), "imports from"),
        (run_of(imported=json.dumps({"file": None, "path": ["/tmp"]})), "imports from"),
        (replace(run_of(), reports=()), "finished test is not reported"),
        (replace(run_of(), reason=ExitReason.GRADER_FAILED), "ended otherwise"),
        (replace(run_of(), phases_ms={"run": 1e6}), "took too long"),
    ],
)
def test_each_broken_criterion_is_seen(result, said):
    with pytest.raises(AssertionError, match=said):
        judged(result)


def test_a_gain_that_is_known_passes_and_another_one_does_not():
    known = Expected(gains=frozenset({"files"}))
    judged(run_of(execution("GAINED files\nATTACKED\n")), known)
    with pytest.raises(AssertionError, match="more files"):
        judged(run_of(execution("GAINED more files\nATTACKED\n")), known)


def test_a_program_stopped_late_is_told_apart():
    with pytest.raises(TookTooLong):
        judged(run_of(execution(wall_ms=60_000)))


def test_a_run_cut_short_must_tell_the_learner_why():
    cut = replace(run_of(), reason=ExitReason.LEARNER_LIMIT)
    expected = Expected(ends=frozenset({"learner-limit"}))
    judged(replace(cut, notice="it ran out of memory"), expected)
    with pytest.raises(AssertionError, match="not told why"):
        judged(cut, expected)


# -- cases on a backend that answers what we say -------------------------------------------------


def case(**changes):
    fields = {
        "number": "999",
        "name": "made-up",
        "group": Group.ESCAPE,
        "attack": "none",
        "outcome": "none",
        "plan": PLAN,
    }
    return HostileCase(**(fields | changes))


def honest(score=1):
    return RunResult(reason=ExitReason.COMPLETED, reports=(reported("t1", score),), declared_max=1)


def outcome_of(made_up, *answers):
    with open_bench(FakeBackend(answers), Engine.BUBBLEWRAP) as bench:
        return try_case(bench, made_up)


def test_a_case_passes():
    assert outcome_of(case(), run_of(), honest()).outcome is CaseOutcome.PASSED


def test_a_next_submission_that_is_affected_fails_the_case():
    result = outcome_of(case(), run_of(), honest(0))
    assert result.outcome is CaseOutcome.FAILED
    assert "next submission" in result.detail


def test_a_backend_that_breaks_fails_the_case():
    result = outcome_of(case(), SandboxUnavailable("the daemon is gone"))
    assert (result.outcome, "daemon is gone" in result.detail) == (CaseOutcome.FAILED, True)


def test_a_known_deviation_is_shown_with_its_reason():
    known = {Engine.BUBBLEWRAP: Deviation(reason="no limit", expected=verdicts("memory"))}
    result = outcome_of(case(deviations=known), run_of(execution("", reason="memory")), honest())
    assert (result.outcome, result.detail) == (CaseOutcome.DEVIATES, "no limit")


def test_a_deviation_that_has_gone_fails_so_that_the_table_is_corrected():
    known = {Engine.BUBBLEWRAP: Deviation(reason="no limit", expected=verdicts("memory"))}
    assert outcome_of(case(deviations=known), run_of(), honest()).outcome is CaseOutcome.FAILED


def test_what_came_late_beside_others_is_tried_again_alone():
    late = run_of(execution(wall_ms=60_000))
    with open_bench(FakeBackend([late, run_of(), honest()]), Engine.BUBBLEWRAP) as bench:
        (result,) = try_cases(bench, [case()], at_once=2)
    assert result.outcome is CaseOutcome.PASSED


def test_what_is_late_alone_fails():
    late = run_of(execution(wall_ms=60_000))
    with open_bench(FakeBackend([late, late]), Engine.BUBBLEWRAP) as bench:
        (result,) = try_cases(bench, [case()], at_once=2)
    assert result.outcome is CaseOutcome.FAILED
    assert "60000 ms" in result.detail


# -- programs without a sandbox around them ------------------------------------------------------


def gains_without_a_sandbox(number, tmp_path, **environment):
    """Only of programs that look and touch nothing."""
    with open_bench(FakeBackend(), Engine.BUBBLEWRAP) as bench:
        (program,) = case_of(number).plan.programs
        targets = tmp_path / "targets.json"
        targets.write_text(json.dumps(bench.targets))
        source = whole_source(program.source, program.language)
        script = tmp_path / "attack.py"
        script.write_text(source.replace("/box/targets.json", str(targets)))
        ran = subprocess.run(
            [sys.executable, "-I", "-S", str(script)],
            capture_output=True,
            text=True,
            timeout=300,
            env=environment,
            check=True,
        )
    return gains_in(ran.stdout)


def test_the_network_case_reaches_the_listener_where_nothing_keeps_it_away(tmp_path):
    gains = gains_without_a_sandbox("48", tmp_path)
    assert any("127.0.0.1" in gain for gain in gains), gains
    assert any("xqueue-hostile" in gain for gain in gains), gains


def test_the_environment_case_sees_a_variable_and_a_descriptor(tmp_path):
    reader, writer = os.pipe()
    try:
        gains = gains_without_a_sandbox("44", tmp_path, SECRET="x")
    finally:
        os.close(reader)
        os.close(writer)
    assert "the variable SECRET" in gains


def test_the_memory_case_finds_a_secret_that_is_there(tmp_path):
    (program,) = case_of("43").plan.programs
    script = tmp_path / "attack.py"
    planted = 'planted = ["XQ-SECRET-" + "0123456789abcdef"]\n'
    script.write_text(planted + whole_source(program.source, program.language))
    ran = subprocess.run(
        [sys.executable, "-I", "-S", str(script)], capture_output=True, text=True, check=True
    )
    assert gains_in(ran.stdout) != []
