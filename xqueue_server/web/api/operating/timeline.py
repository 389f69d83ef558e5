"""One submission's whole story."""

from __future__ import annotations

from typing import Any

from flask import Response

from xqueue_server.models.regrade import Regrade, RegradeState
from xqueue_server.storage.timings import Timing
from xqueue_server.submissions import timeline
from xqueue_server.submissions.timeline import Sending, Step, StepKind
from xqueue_server.web.api.answer import answer_unless_known, instant, instant_or_none
from xqueue_server.web.api.call import ApiCall
from xqueue_server.web.api.operating.callbacks import (
    CALLBACK_IN_FULL,
    attempt_document,
    callback_document,
)
from xqueue_server.web.api.operating.seeing import submission_for
from xqueue_server.web.api.operating.submissions import REASON, SEERS
from xqueue_server.web.api.route import Route
from xqueue_server.web.api.schema import (
    ID,
    INSTANT,
    NUMBER,
    TEXT,
    WHOLE,
    YES_NO,
    list_of,
    nullable,
    one_of,
    record,
)


def show_timeline(call: ApiCall, submission_id: int) -> Response:
    with call.services.storage.read() as tx:
        submission_for(call, tx, submission_id)
        story = timeline.story(tx, submission_id)
    document = {
        "id": submission_id,
        "reason": story.reason.as_object(),
        "steps": [_step_document(step) for step in story.steps],
        "callbacks": [_sending_document(sending) for sending in story.sendings],
        "regrades": [_regrade_document(regrade) for regrade in story.regrades],
        "timings": [_timing_document(timing) for timing in story.timings],
    }
    return answer_unless_known(call.request, document)


def _step_document(step: Step) -> dict[str, Any]:
    return {
        "at": instant(step.at),
        "kind": step.kind,
        "what": step.what,
        "by": step.by,
        "detail": step.detail,
    }


def _sending_document(sending: Sending) -> dict[str, Any]:
    attempts = [attempt_document(attempt) for attempt in sending.attempts]
    return callback_document(sending.callback) | {"attempts": attempts}


def _regrade_document(regrade: Regrade) -> dict[str, Any]:
    return {
        "id": regrade.id,
        "batch_id": regrade.batch_id,
        "state": regrade.state,
        "old_result_id": regrade.old_result_id,
        "new_result_id": regrade.new_result_id,
        "old_score": regrade.old_score,
        "new_score": regrade.new_score,
        "lms_had_it": regrade.lms_had_it,
        "started_at": instant(regrade.started_at),
        "finished_at": instant_or_none(regrade.finished_at),
        "detail": regrade.detail,
    }


def _timing_document(timing: Timing) -> dict[str, Any]:
    return {
        "attempt": timing.attempt,
        "leased_at": instant(timing.leased_at),
        "received_at": instant(timing.received_at),
        "wait_s": _seconds(timing.wait_us),
        "service_s": _seconds(timing.service_us),
        "prepare_s": _seconds(timing.prepare_us),
        "run_s": _seconds(timing.run_us),
        "deliver_s": _seconds(timing.deliver_us),
    }


def _seconds(duration_us: int | None) -> float | None:
    return None if duration_us is None else duration_us / 1e6


STEP = record(
    "Step", at=INSTANT, kind=one_of(StepKind), what=TEXT, by=nullable(TEXT), detail=nullable(TEXT)
)
REGRADE = record(
    "Regrade",
    id=ID,
    batch_id=ID,
    state=one_of(RegradeState),
    old_result_id=nullable(ID),
    new_result_id=nullable(ID),
    old_score=nullable(NUMBER),
    new_score=nullable(NUMBER),
    lms_had_it=nullable(YES_NO),
    started_at=INSTANT,
    finished_at=nullable(INSTANT),
    detail=nullable(TEXT),
)
TIMING = record(
    "Timing",
    attempt=WHOLE,
    leased_at=INSTANT,
    received_at=INSTANT,
    wait_s=NUMBER,
    service_s=NUMBER,
    prepare_s=nullable(NUMBER),
    run_s=nullable(NUMBER),
    deliver_s=nullable(NUMBER),
)

ROUTES = (
    Route(
        method="GET",
        path="/submissions/<int:submission_id>/timeline",
        view=show_timeline,
        about="All that happened to a submission, with its callbacks, regrades and timings",
        who=SEERS,
        answers={
            200: record(
                "Timeline",
                id=ID,
                reason=REASON,
                steps=list_of(STEP),
                callbacks=list_of(CALLBACK_IN_FULL),
                regrades=list_of(REGRADE),
                timings=list_of(TIMING),
            ),
            304: None,
        },
    ),
)
