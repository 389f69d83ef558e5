"""What the server is told beside the grade: about each test, so that it can count failures, and
how long it took."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from grader_worker.lease import Lease

MAX_RECORD_BYTES = 256 * 1024
"""The most that the server takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Where the time of a grading went."""

    prepare_ms: float
    """From the lease on: fetching files, waiting for a place in the sandbox, making it."""
    run_ms: float
    """The grader itself, with the learner's code."""

    @classmethod
    def of(cls, record: Mapping[str, Any], took_s: float) -> Timing:
        """All that the sandbox does not call running was preparing."""
        took_ms = took_s * 1000
        run_ms = record.get("phases_ms", {}).get("run", took_ms)
        return cls(prepare_ms=round(max(0.0, took_ms - run_ms), 3), run_ms=round(run_ms, 3))


def record_text(lease: Lease, record: Mapping[str, Any], timing: Timing) -> str:
    """Only ids and statuses of a learner's submission, all of a course team's trial; of both,
    whether the result is forgeable and what took how long.

    Of a grader that the server does not know it can not count the tests: then there are none.
    """
    mark = {"forgeable": True} if record.get("forgeable") else {}
    times = asdict(timing)
    whole = json.dumps(dict(record) | times)
    is_trial = lease.grader is not None and lease.grader.trial is not None
    if is_trial and len(whole) <= MAX_RECORD_BYTES:
        return whole
    counted = record.get("tests", ()) if lease.grader is not None else ()
    tests = [{"id": test["id"], "status": test["status"]} for test in counted]
    return json.dumps({"tests": tests} | mark | times)
