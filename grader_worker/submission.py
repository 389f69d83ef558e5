"""What a problem sends: reading the body of a leased submission.

Everything here comes from the LMS, so it is checked for shape; the learner's text is passed on
untouched, the learner's identity not at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from grader_worker.errors import SubmissionUnusable
from sandbox.run import MAX_JOB_BYTES

DEFAULT_SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    response: str = field(repr=False)
    """Empty for a problem that only takes files."""
    payload: str = field(repr=False)
    """The author's grader_payload, verbatim."""
    seed: int = DEFAULT_SEED


def parse_submission(body: str) -> Submission:
    """Read xqueue_body.

    Raises:
        SubmissionUnusable: not JSON, not an object, or without a student_response.
    """
    parts = _json_object(body)
    response = parts.get("student_response")
    if not isinstance(response, str):
        raise SubmissionUnusable("xqueue_body has no student_response text")
    return Submission(
        response=response,
        payload=_payload(parts.get("grader_payload", "")),
        seed=_seed(parts.get("student_info")),
    )


def sandbox_job(submission: Submission, files: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object of `sandbox.run.RunRequest.job`. Holds no learner identity on purpose:
    the code under test could print it, and a grader that needs it can not grade blindly.

    Raises:
        SubmissionUnusable: larger than a sandbox takes. Tried all the same, it would fail there
            again and again, and look like a broken platform.
    """
    job = {
        "response": submission.response,
        "payload": submission.payload,
        "files": dict(files),
        "seed": submission.seed,
    }
    size = len(json.dumps(job))
    if size > MAX_JOB_BYTES:
        raise SubmissionUnusable(f"{size} bytes with its files, at most {MAX_JOB_BYTES}")
    return job


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SubmissionUnusable(f"xqueue_body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise SubmissionUnusable("xqueue_body is not a JSON object")
    return value


def _payload(value: object) -> str:
    """Capa sends text; some servers send the parsed object."""
    return value if isinstance(value, str) else json.dumps(value)


def _seed(student_info: object) -> int:
    """student_info is a JSON string; old problems send none, which is no reason to fail."""
    try:
        info = json.loads(student_info) if isinstance(student_info, str) else student_info
        return int(info["random_seed"])  # type: ignore[index]
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return DEFAULT_SEED
