"""Every hostile submission and every failing grader comes to what the table says."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from graders.reply import build_reply
from sandbox.conformance import CaseOutcome
from sandbox.hostile.case import Elsewhere
from sandbox.hostile.table import CASES
from sandbox.probe.script import ran
from sandbox.run import ExitReason
from tests.reply.builders import as_html, as_xml
from tests.support.services import missing_service

TOP = Path(__file__).parents[2]


def allowed(case, engine):
    if isinstance(case.plan, Elsewhere):
        return CaseOutcome.ELSEWHERE
    if engine not in case.deviations:
        return CaseOutcome.PASSED
    known = case.expected_on(engine)
    return CaseOutcome.NOT_TRIED if known is None else CaseOutcome.DEVIATES


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.number}-{case.name}")
def test_the_outcome_is_the_expected_one(tried, case):
    result = tried.results[case.number]
    if result.outcome is CaseOutcome.NOT_TRIED and "compiler" in result.detail:
        missing_service("a C compiler that links statically")
    assert result.outcome is allowed(case, tried.engine), result.detail


def test_nothing_is_left_on_the_host(tried):
    assert tried.left.outcome is CaseOutcome.PASSED, tried.left.detail


def test_what_the_sandbox_does_not_decide_is_tested_where_the_table_says():
    missing = [
        case.plan.tests
        for case in CASES
        if isinstance(case.plan, Elsewhere) and not (TOP / case.plan.tests).exists()
    ]
    assert missing == []


def test_the_lms_takes_the_reply_to_every_hostile_run(tried):
    """With the hostile output in every place of a report that a grader might put it."""
    graded = [run for run in tried.runs if run.reason is not ExitReason.GRADER_FAILED]
    assert graded
    for run in graded:
        reply = build_reply(replace(run, reports=tuple(map(outspoken, run.reports))))
        message = json.loads(reply)["msg"]
        assert as_xml(message).tag == "div"
        assert len(as_html(message)) == 1


def outspoken(report):
    if not report.output.startswith('{"type": "ran"'):
        return report
    said = ran(report)
    return replace(
        report, title=said.stdout, output=said.stderr, actual=said.stdout, html=said.stdout
    )
