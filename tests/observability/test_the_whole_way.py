"""One submission through real processes: what each of them then shows, and one trace of it all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.observability.collectors import OtlpCollector, running_otlp
from tests.observability.scrape import Scrape, scrape
from tests.observability.stack import QUEUE, Stack, running_stack, until
from tests.server.builders import LEARNER_CODE, grade, lms_body

RECORD = json.dumps({"tests": [], "prepare_ms": 1500, "run_ms": 2500})


@pytest.fixture
def collector() -> Iterator[OtlpCollector]:
    with running_otlp() as running:
        yield running


@pytest.fixture
def stack(database_url: str, tmp_path: Path, collector: OtlpCollector) -> Iterator[Stack]:
    otel = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}
    with running_stack(database_url, tmp_path, settings=otel) as running:
        yield running


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CAME = f"00-{TRACE}-00f067aa0ba902b7-01"


def grade_one(stack: Stack) -> None:
    """Submit, lease and answer; ends when `deliver` has written down that the LMS has the grade."""
    with stack.connect(stack.desk.lms) as lms, stack.connect(stack.desk.grader) as grader:
        lms._headers |= {"traceparent": CAME}
        lms.post("submit/", xqueue_header=stack.header, xqueue_body=lms_body())
        given = grader.fetch(wait="20")
        assert given is not None
        answer = {"xqueue_header": given.header, "xqueue_body": grade(), "xqueue_record": RECORD}
        assert grader.post("put_result/", **answer)["return_code"] == 0
        late = grader.post("put_result/", xqueue_header=_wrong(given.header), xqueue_body=grade())
        assert late["return_code"] == 1
    until(
        lambda: scrape(stack.deliver_port).number("xqueue_turnaround_seconds_count", queue=QUEUE),
        "the callback is delivered",
    )


def _wrong(header: str) -> str:
    return json.dumps(json.loads(header) | {"submission_key": "f" * 32})


def phases(shown: Scrape) -> dict[str, float]:
    return {
        s.labels["phase"]: s.value
        for s in shown.samples
        if s.name == "xqueue_phase_seconds_sum" and s.labels["queue"] == QUEUE
    }


def test_each_step_shows_once_and_as_one_trace(stack: Stack, collector: OtlpCollector) -> None:
    grade_one(stack)
    _check_counts(stack)
    _check_trace(stack, collector)


def _check_counts(stack: Stack) -> None:
    web, deliver = scrape(stack.web_port), scrape(stack.deliver_port)
    assert web.number("xqueue_submissions_total", queue=QUEUE, result="accepted") == 1
    assert web.number("xqueue_results_total", queue=QUEUE, disposition="accepted") == 1
    assert web.total("xqueue_stale_results_total") == 0  # a key never issued is no lateness
    assert web.number("xqueue_wait_seconds_count", queue=QUEUE) == 1
    assert web.number("xqueue_grading_seconds_count", queue=QUEUE) == 1
    assert set(phases(web)) == {"submit", "queue", "prepare", "run", "report"}
    assert (phases(web)["prepare"], phases(web)["run"]) == (1.5, 2.5)
    assert set(phases(deliver)) == {"deliver"}
    origin = stack.lms.origin
    assert deliver.number("xqueue_callback_attempts_total", origin=origin, outcome="delivered") == 1
    assert deliver.number("xqueue_turnaround_seconds_count", queue=QUEUE) == 1


def _check_trace(stack: Stack, collector: OtlpCollector) -> None:
    until(
        lambda: {"submit", "lease", "result", "deliver"} <= {s.name for s in collector.spans},
        "all spans are exported",
    )
    spans = {span.name: span for span in collector.spans}
    assert {span.trace_id for span in collector.spans} == {TRACE}
    assert spans["submit"].parent_id == "00f067aa0ba902b7"
    for name in ("lease", "result", "deliver"):
        assert spans[name].parent_id == spans["submit"].span_id
    services = {span.name: span.service for span in collector.spans}
    assert (services["submit"], services["deliver"]) == ("xqueue-server", "xqueue-deliver")
    (callback,) = stack.lms.received
    assert callback.headers["traceparent"] == f"00-{TRACE}-{spans['deliver'].span_id}-01"
    exported = collector.everything_received
    for secret in (LEARNER_CODE, "lms-key", "anonymous_student_id", "sessionid", "score"):
        assert secret.encode() not in exported
    lines = stack.log_lines(stack.web)
    told = [line["trace_id"] for line in lines if line.get("path") == "/xqueue/submit/"]
    assert told == [TRACE]
