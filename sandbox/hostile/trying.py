"""Tries a case and judges what came of it.

The common criteria hold for every hostile submission beside what its case expects: the grader
lives, no score is other than the grader's own, tests that were finished are reported, the program
was stopped within its time and two seconds, the next program finds nothing, and so does the next
submission.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from sandbox.conformance import CaseOutcome, CaseResult
from sandbox.errors import SandboxError
from sandbox.hostile.bench import AFTER, BEFORE, CLEAN, LIMITS, NEXT, Bench, NotTried
from sandbox.hostile.case import (
    COMPLETED,
    BrokenGrader,
    Elsewhere,
    Expected,
    HostileCase,
    Procedure,
    Program,
    Submission,
)
from sandbox.hostile.preludes import came_through, gains_in
from sandbox.probe.script import Ran, probe_request, ran
from sandbox.run import ExitReason, Limits, RunResult, TestReport

GRACE_S = 2.0
SHORT = Limits(wall_s=2.0)
"""For graders that hang: the suite waits for them."""
SEARCHED = 300
"""Characters of the learner's text that an operator sees of a failed case."""


class TookTooLong(Exception):
    """A program was stopped, but late."""

    def __init__(self, took_ms: float, allowed_ms: float) -> None:
        super().__init__(f"stopped only after {took_ms:.0f} ms, allowed are {allowed_ms:.0f} ms")
        self.took_ms = took_ms


def try_cases(bench: Bench, cases: Sequence[HostileCase], *, at_once: int) -> Iterator[CaseResult]:
    """Each case's result as it comes; those that must be alone are tried last.

    So are those that took too long beside others: what a loaded host delays proves nothing.
    """
    alone = [case for case in cases if case.alone]
    with ThreadPoolExecutor(at_once) as pool:
        tried = {pool.submit(_unless_late, bench, case): case for case in cases if not case.alone}
        for future in as_completed(tried):
            result = future.result()
            if result is None:
                alone.append(tried[future])
            else:
                yield result
    for case in alone:
        yield try_case(bench, case)


def _unless_late(bench: Bench, case: HostileCase) -> CaseResult | None:
    try:
        return _tried(bench, case)
    except TookTooLong:
        return None


def try_case(bench: Bench, case: HostileCase) -> CaseResult:
    try:
        return _tried(bench, case)
    except TookTooLong as late:
        return _result(case, CaseOutcome.FAILED, str(late), late.took_ms)


def _tried(bench: Bench, case: HostileCase) -> CaseResult:
    """Raises TookTooLong."""
    started_at = time.monotonic()
    outcome, detail = _outcome(bench, case)
    return _result(case, outcome, detail, (time.monotonic() - started_at) * 1000)


def _result(case: HostileCase, outcome: CaseOutcome, detail: str, took_ms: float) -> CaseResult:
    return CaseResult(
        number=case.number,
        group=case.group.value,
        name=case.name,
        promise=case.outcome,
        outcome=outcome,
        detail=detail,
        took_ms=round(took_ms, 1),
    )


def _outcome(bench: Bench, case: HostileCase) -> tuple[CaseOutcome, str]:
    if isinstance(case.plan, Elsewhere):
        return CaseOutcome.ELSEWHERE, f"{case.plan.decided_by}: {case.plan.tests}"
    expected, deviation = case.expected_on(bench.engine), case.deviations.get(bench.engine)
    if expected is None:
        return CaseOutcome.NOT_TRIED, deviation.reason if deviation else ""
    try:
        _carry_out(bench, case, expected)
        _next_submission_is_unaffected(bench)
    except NotTried as missing:
        return CaseOutcome.NOT_TRIED, str(missing)
    except AssertionError as broken:
        return CaseOutcome.FAILED, str(broken)
    except SandboxError as error:
        return CaseOutcome.FAILED, f"the backend failed: {error}"
    return (CaseOutcome.DEVIATES, deviation.reason) if deviation else (CaseOutcome.PASSED, "")


def _carry_out(bench: Bench, case: HostileCase, expected: Expected) -> None:
    match case.plan:
        case Submission() as submission:
            result = bench.backend.run(bench.request_for(submission.programs))
            judge_submission(submission, result, expected)
        case BrokenGrader() as broken:
            for script in broken.scripts:
                request = probe_request(script, broken.response, limits=SHORT)  # type: ignore[arg-type]
                _judge_grader(script, bench.backend.run(request), expected)
        case Procedure() as procedure:
            procedure.carry_out(bench)


def judge_submission(submission: Submission, result: RunResult, expected: Expected) -> None:
    """Raises AssertionError when a criterion does not hold, TookTooLong."""
    reports = judge_run(result, expected)
    if result.reason.value != COMPLETED:
        return
    attacks = [
        judge_attack(reports[f"attack-{number}"], program, expected)
        for number, program in enumerate(submission.programs, 1)
    ]
    if submission.look is not None:
        submission.look(attacks)


def judge_run(result: RunResult, expected: Expected) -> dict[str, TestReport]:
    """What holds for the run as a whole; its reports by test. Raises AssertionError."""
    _expect(result.reason.value in expected.ends, "the run ended otherwise", result)
    reports = {report.test_id: report for report in result.reports}
    _expect(BEFORE in reports, "a finished test is not reported", result)
    _expect(reports[BEFORE].score == 1, "a score was changed", reports[BEFORE])
    spent_s = result.phases_ms.get("run", 0.0) / 1000
    _expect(spent_s <= LIMITS.wall_s + GRACE_S, "the run took too long", spent_s)
    if result.reason.value == COMPLETED:
        _judge_following(reports)
    else:
        _expect(bool(result.notice), "the learner is not told why", result)
    return reports


def judge_attack(report: TestReport, program: Program, expected: Expected) -> Ran:
    """What holds for one hostile program. Raises AssertionError, TookTooLong."""
    attack = ran(report)
    got = [gain for gain in gains_in(attack.stdout) if gain not in expected.gains]
    _expect(not got, "it gained", got)
    verdict = verdict_of(attack, program)
    _expect(verdict in expected.verdicts, f"it ended as {verdict}", _shown(attack))
    _expect(report.score == 0, "it was given a point", report)
    allowed_ms = (float(program.frame.get("wall_s", LIMITS.learner_wall_s)) + GRACE_S) * 1000
    if attack.wall_ms > allowed_ms:
        raise TookTooLong(attack.wall_ms, allowed_ms)
    return attack


def verdict_of(attack: Ran, program: Program) -> str:
    """`died` is an exit of a program that had not come to its end."""
    if attack.reason != "exited" or program.bare or came_through(attack.stdout):
        return attack.reason
    return "died"


def _judge_following(reports: Mapping[str, TestReport]) -> None:
    following = ran(reports[NEXT])
    _expect(following.stdout == CLEAN, "the next program found", _shown(following))
    imported = json.loads(reports[AFTER].output)
    places = [str(imported["file"]), *imported["path"]]
    learners = [place for place in places if place.startswith(("/box", "/tmp"))]  # noqa: S108 - a box's
    _expect(not learners, "the grader imports from the learner's folders", places)


def _judge_grader(script: object, result: RunResult, expected: Expected) -> None:
    _expect(result.reason.value in expected.ends, f"{script!r:.200} ended otherwise", result)
    if result.reason is ExitReason.GRADER_FAILED:
        _expect(bool(result.detail), f"{script!r:.200} failed without a word", result)
    for report in result.reports:
        # Whatever a grader says, the worker must be able to pass it on.
        for text in (report.title, report.output, report.expected or "", report.actual or ""):
            text.encode()


def _next_submission_is_unaffected(bench: Bench) -> None:
    result = bench.backend.run(probe_request(bench.honest_script(), limits=LIMITS))
    _expect(result.reason is ExitReason.COMPLETED, "the next submission", result)
    _expect(result.reports[0].score == 1, "the next submission found", result.reports[0])


def _shown(attack: Ran) -> str:
    return (
        f"{attack.reason} {attack.code} after {attack.wall_ms} ms, "
        f"stdout {attack.stdout[:SEARCHED]!r}, stderr {attack.stderr[-SEARCHED:]!r}"
    )


def _expect(holds: bool, what: str, found: object) -> None:
    if not holds:
        raise AssertionError(f"{what}: {found!r:.1500}")
