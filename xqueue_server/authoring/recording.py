"""What workers say about each test, counted for the course team.

A record is a courtesy: whatever is wrong with it never touches the result it came with.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from xqueue_server.errors import StorageUnavailable
from xqueue_server.keys import key_hash
from xqueue_server.models.grader import MAX_TESTS, is_test_id
from xqueue_server.storage import Storage, Transaction, lease_graders, submissions, test_counts
from xqueue_server.storage.test_counts import GraderKey
from xqueue_server.storage.timings import WorkerTimes
from xqueue_server.submissions.results import IncomingResult

log = logging.getLogger(__name__)

MAX_RECORD_BYTES = 256 * 1024
LONGEST_MS = 24 * 3600 * 1000
STATUSES = frozenset(
    {"passed", "partial", "failed", "error", "time", "memory", "output", "not-run"}
)


def usable(text: str | None) -> str | None:
    """The record, if it is JSON that may be kept; None else."""
    if text is None or len(text.encode()) > MAX_RECORD_BYTES or "tests" not in _parsed(text):
        return None
    return text


def count_tests(storage: Storage, result: IncomingResult) -> None:
    """Count the tests of an accepted result. Never raises for what the record says."""
    statuses = statuses_of(result.record)
    if not statuses:
        return
    try:
        with storage.read() as tx:
            of = _grader_of(tx, result)
        if of is not None:
            with storage.write() as tx:
                test_counts.add(tx, of, statuses)
    except StorageUnavailable as error:
        log.warning("not counted", extra={"action": "tests_not_counted", "why": str(error)})


def is_forgeable(record: str | None) -> bool:
    """Whether the worker says that the learner's own code could have written this result."""
    return _parsed(record or "").get("forgeable") is True


def times_of(record: str | None) -> WorkerTimes:
    """Where the worker says that its time went, of what can be believed."""
    said = _parsed(record or "")
    return WorkerTimes(
        prepare_us=_believable_us(said.get("prepare_ms")), run_us=_believable_us(said.get("run_ms"))
    )


def _believable_us(ms: Any) -> int | None:
    """NaN is in no range; a bool is no number of anybody's."""
    if not isinstance(ms, int | float) or isinstance(ms, bool) or not 0 <= ms <= LONGEST_MS:
        return None
    return round(ms * 1000)


def statuses_of(record: str | None) -> Mapping[str, str]:
    """Test id -> status, of what can be used."""
    tests = _parsed(record or "").get("tests")
    if not isinstance(tests, list):
        return {}
    found: dict[str, str] = {}
    for test in tests[:MAX_TESTS]:
        test_id, status = (
            (test.get("id"), test.get("status")) if isinstance(test, dict) else (None, None)
        )
        if is_test_id(test_id) and isinstance(status, str) and status in STATUSES:
            found[str(test_id)] = status
    return found


def _grader_of(tx: Transaction, result: IncomingResult) -> GraderKey | None:
    handed_out = lease_graders.of_lease(tx, key_hash(result.key))
    submission = submissions.find(tx, result.submission_id)
    if handed_out is None or submission is None or submission.is_trial:
        return None
    return GraderKey(queue=submission.queue, grader=handed_out.grader, version=handed_out.version)


def _parsed(text: str) -> dict[str, Any]:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}
