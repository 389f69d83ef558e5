"""What workers run, and whether they can."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Response

from xqueue_server.authoring import trying
from xqueue_server.models.grader import NAME
from xqueue_server.storage import Transaction, graders, policies, readiness
from xqueue_server.storage.graders import ActiveVersion
from xqueue_server.storage.policies import Policy
from xqueue_server.storage.readiness import HostReport
from xqueue_server.web.api.answer import answer_unless_known, nothing
from xqueue_server.web.api.call import (
    HIGHEST_ID,
    HIGHEST_VERSION,
    ApiCall,
    require_name,
    require_version,
)
from xqueue_server.web.api.caller import WORKER
from xqueue_server.web.api.documents import (
    assignment_document,
    listed_assignment_document,
    trial_assignment_document,
)
from xqueue_server.web.api.problem import ApiError

MAX_READINESS_BYTES = 256 * 1024
MAX_ITEMS = 500
MAX_HOST_CHARS = 128
MAX_PROBLEM_CHARS = 500
EARLIEST_YEAR = 1980


def list_assignments(call: ApiCall) -> Response:
    found: list[dict[str, Any]] = []
    with call.services.storage.read() as tx:
        for queue in call.caller.chosen_queues(tx, WORKER, call.parameters("queue")):
            policy = policies.of_queue(tx, queue)
            found += [listed_assignment_document(v, policy) for v in _runnable(tx, queue, policy)]
    return answer_unless_known(call.request, {"assignments": found})


def _runnable(tx: Transaction, queue: str, policy: Policy) -> list[ActiveVersion]:
    """Active versions, but for forgeable ones where that is not (or no longer) allowed."""
    return [
        active
        for active in graders.active_versions(tx, queue)
        if policy.legacy_reason is not None or not active.version.manifest.is_forgeable
    ]


def show_assignment(call: ApiCall, queue: str, name: str, version: int) -> Response:
    with call.services.storage.read() as tx:
        call.caller.require(tx, WORKER, queue)
        require_version(version, queue, require_name(name, queue))
        grader = graders.get(tx, queue, name)
        found = graders.version_of(tx, queue, name, version)
    active = ActiveVersion(version=found, is_default=grader.is_default)
    return answer_unless_known(call.request, assignment_document(active))


def show_trial_assignment(call: ApiCall, trial_id: int) -> Response:
    if trial_id > HIGHEST_ID:
        raise ApiError(404, "not-found", "No such trial")
    trial = trying.to_run(call.services.storage, call.caller.account, trial_id)
    return answer_unless_known(call.request, trial_assignment_document(trial))


def put_readiness(call: ApiCall) -> Response:
    document = call.document(MAX_READINESS_BYTES)
    host, items = document.get("host"), document.get("items")
    if not isinstance(host, str) or not 0 < len(host) <= MAX_HOST_CHARS or not host.isprintable():
        raise ApiError(422, "invalid", f"host must have 1 to {MAX_HOST_CHARS} characters")
    if not isinstance(items, list) or len(items) > MAX_ITEMS:
        raise ApiError(422, "invalid", f"items must be a list of at most {MAX_ITEMS}")
    reports = [_report(host, index, item) for index, item in enumerate(items)]
    with call.services.storage.read() as tx:
        for queue in sorted({report.queue for report in reports}):
            call.caller.require(tx, WORKER, queue)
    with call.services.storage.write() as tx:
        for report in _in_order(reports):
            # A queue may have been removed and made anew; nobody is to read of what never was.
            if graders.has_version(tx, report.queue, report.name, report.version):
                readiness.store(tx, report)
    return nothing()


def _in_order(reports: list[HostReport]) -> list[HostReport]:
    """One for each version, the last; in one order, so that no two writers wait for each other."""
    last = {(r.queue, r.name, r.version): r for r in reports}
    return [last[key] for key in sorted(last)]


def _report(host: str, index: int, item: Any) -> HostReport:
    where = f"items[{index}]"
    if not isinstance(item, dict):
        raise ApiError(422, "invalid", f"{where} must be an object")
    queue, name, version = item.get("queue"), item.get("name"), item.get("version")
    is_ready, problem = item.get("ready"), item.get("problem")
    if not isinstance(queue, str):
        raise ApiError(422, "invalid", f"{where}.queue must be a queue's name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ApiError(422, "invalid", f"{where}.name must be a grader's name")
    if type(version) is not int or not 0 < version <= HIGHEST_VERSION:
        raise ApiError(422, "invalid", f"{where}.version must be a whole number")
    if not isinstance(is_ready, bool):
        raise ApiError(422, "invalid", f"{where}.ready must be true or false")
    if problem is not None and not isinstance(problem, str):
        raise ApiError(422, "invalid", f"{where}.problem must be text or null")
    return HostReport(
        queue=queue,
        name=name,
        version=version,
        host=host,
        is_ready=is_ready,
        problem=_one_line(problem) if problem else None,
        image_created=_image_created(where, item.get("image_created")),
    )


def _image_created(where: str, value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        created = datetime.fromisoformat(value)
        if created.tzinfo is not None and created.year >= EARLIEST_YEAR:
            return created.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ApiError(
        422,
        "invalid",
        f"{where}.image_created must be null or ISO 8601 with an offset: 2026-11-20T18:00:00Z",
    )


def _one_line(problem: str) -> str:
    """What an engine or a registry said ends on a course team's terminal."""
    shown = "".join(c if c.isprintable() else " " for c in problem[:MAX_PROBLEM_CHARS])
    return " ".join(shown.split())
