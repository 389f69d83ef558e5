"""Grades one answer with a grader written on the spot, as `graders try` does."""

from graders.trying import Answer, opened
from sandbox.run import ExitReason


def grade(backend, directory, response, **answer):
    with opened(directory, backend) as grader:
        return grader.grade(Answer(response=response, **answer))


def reports_of(result):
    assert result.reason is ExitReason.COMPLETED, result
    return {report.test_id: report for report in result.reports}


def graded(backend, directory, response, **answer):
    return reports_of(grade(backend, directory, response, **answer))


def scores(reports):
    return {test_id: report.score for test_id, report in reports.items()}


def statuses(reports):
    return {test_id: report.status for test_id, report in reports.items()}
