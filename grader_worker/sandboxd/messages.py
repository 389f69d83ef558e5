"""`RunRequest`, `RunResult`, health and description as JSON objects and back, checked.

Both ends are ours, but a deploy restarts them one after the other, so what arrives may be a
different version's: a missing or wrong field is an error, an unknown one is ignored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from grader_worker.errors import FrameError
from sandbox.backend import BackendDescription, BackendHealth
from sandbox.run import (
    DeclaredTest,
    DirectoryGrader,
    ExitReason,
    GraderSource,
    ImageGrader,
    Isolation,
    Limits,
    Picture,
    Preparation,
    RunRequest,
    RunResult,
    TestReport,
    TestStatus,
)
from sandbox.supervisor.frames import FrameError as NotBase64
from sandbox.supervisor.frames import pack_bytes, unpack_bytes

Message = Mapping[str, Any]
T = TypeVar("T")


def encode_request(request: RunRequest) -> dict[str, Any]:
    return {
        "run_id": request.run_id,
        "grader": _encode_grader(request.grader),
        "job": dict(request.job),
        "limits": asdict(request.limits),
        "isolation": request.isolation,
        "runtime": request.runtime,
        "tests": None if request.tests is None else [asdict(test) for test in request.tests],
    }


def decode_request(message: Message) -> RunRequest:
    """Raises FrameError."""
    try:
        return RunRequest(
            run_id=_text(message, "run_id"),
            grader=_decode_grader(_object(message, "grader")),
            job=_object(message, "job"),
            limits=_decode_limits(_object(message, "limits")),
            isolation=_isolation(message),
            runtime=_optional(message, "runtime", _text),
            tests=_optional(message, "tests", lambda m, key: _each(m, key, _decode_test)),
        )
    except ValueError as error:
        raise FrameError(str(error)) from error


def encode_preparation(preparation: Preparation) -> dict[str, Any]:
    return {
        "grader": _encode_grader(preparation.grader),
        "limits": asdict(preparation.limits),
        "isolation": preparation.isolation,
        "runtime": preparation.runtime,
    }


def decode_preparation(message: Message) -> Preparation:
    """Raises FrameError."""
    return Preparation(
        grader=_decode_grader(_object(message, "grader")),
        limits=_decode_limits(_object(message, "limits")),
        isolation=_isolation(message),
        runtime=_optional(message, "runtime", _text),
    )


def encode_prepared(image_created: datetime | None) -> dict[str, Any]:
    return {"image_created": None if image_created is None else image_created.isoformat()}


def decode_prepared(message: Message) -> datetime | None:
    """Raises FrameError. A daemon of an earlier version says nothing."""
    said = _optional(message, "image_created", _text)
    try:
        return None if said is None else datetime.fromisoformat(said)
    except ValueError as error:
        raise FrameError(str(error)) from error


def encode_result(result: RunResult) -> dict[str, Any]:
    return {
        "reason": result.reason.value,
        "reports": [_encode_report(report) for report in result.reports],
        "declared_max": result.declared_max,
        "not_run": [asdict(test) for test in result.not_run],
        "detail": result.detail,
        "notice": result.notice,
        "grader_log": result.grader_log,
        "phases_ms": dict(result.phases_ms),
        "forgeable": result.forgeable,
    }


def decode_result(message: Message) -> RunResult:
    """Raises FrameError."""
    declared_max = message.get("declared_max")
    return RunResult(
        reason=_reason(_text(message, "reason")),
        reports=_each(message, "reports", _decode_report),
        declared_max=None if declared_max is None else _number(message, "declared_max"),
        not_run=_each(message, "not_run", _decode_test),
        detail=_text(message, "detail"),
        notice=_text(message, "notice"),
        grader_log=_text(message, "grader_log"),
        phases_ms=_object(message, "phases_ms"),
        forgeable=_truth(message, "forgeable"),
    )


def encode_health(health: BackendHealth) -> dict[str, Any]:
    return {
        "healthy": health.healthy,
        "problems": list(health.problems),
        "canary": health.canary,
    }


def decode_health(message: Message) -> BackendHealth:
    """Raises FrameError."""
    return BackendHealth(
        healthy=_truth(message, "healthy"),
        problems=_each(message, "problems", str),
        canary=str(message.get("canary", "")),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryWord:
    """What the last canaries of a daemon came to."""

    lives: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonState:
    """What a daemon knows of itself, without trying anything."""

    backend: str
    """Name and version."""
    canary: CanaryWord | None
    """None before the first has come back, and without one."""


def encode_state(state: DaemonState) -> dict[str, Any]:
    return asdict(state)


def decode_state(message: Message) -> DaemonState:
    """Raises FrameError."""
    return DaemonState(
        backend=_text(message, "backend"), canary=_optional(message, "canary", _canary)
    )


def _canary(message: Message, key: str) -> CanaryWord:
    canary = _object(message, key)
    return CanaryWord(lives=_truth(canary, "lives"), detail=_text(canary, "detail"))


def encode_description(description: BackendDescription) -> dict[str, Any]:
    return {
        "name": description.name,
        "version": description.version,
        "unenforced": list(description.unenforced),
        "counters": dict(description.counters),
    }


def decode_description(message: Message) -> BackendDescription:
    """Raises FrameError."""
    return BackendDescription(
        name=_text(message, "name"),
        version=_text(message, "version"),
        unenforced=_each(message, "unenforced", str),
        counters=_object(message, "counters"),
    )


def _encode_grader(grader: GraderSource) -> dict[str, str]:
    if isinstance(grader, DirectoryGrader):
        return {"directory": str(grader.path), "base": grader.base}
    return {"image": grader.image}


def _decode_grader(message: Message) -> GraderSource:
    if "directory" in message:
        return DirectoryGrader(path=Path(_text(message, "directory")), base=_text(message, "base"))
    return ImageGrader(image=_text(message, "image"))


def _decode_limits(message: Message) -> Limits:
    """All of them, so that no end fills in a default the other does not have."""
    values: dict[str, Any] = {}
    for limit in fields(Limits):
        value = _number(message, limit.name)
        if value <= 0 or not math.isfinite(value):
            raise FrameError(f"limit {limit.name} is {value}")
        values[limit.name] = int(value) if limit.type in ("int", int) else float(value)
    return Limits(**values)


def _decode_test(message: Message) -> DeclaredTest:
    return DeclaredTest(
        test_id=_text(message, "test_id"),
        title=_text(message, "title"),
        max_score=_number(message, "max_score"),
        visible=_truth(message, "visible"),
    )


def _encode_report(report: TestReport) -> dict[str, Any]:
    pictures = [
        {"label": picture.label, "data": pack_bytes(picture.data)} for picture in report.pictures
    ]
    return asdict(report) | {"pictures": pictures}


def _decode_report(message: Message) -> TestReport:
    return TestReport(
        test_id=_text(message, "test_id"),
        title=_text(message, "title"),
        score=_number(message, "score"),
        max_score=_number(message, "max_score"),
        visible=_truth(message, "visible"),
        status=_status(message),
        output=_text(message, "output"),
        expected=_optional(message, "expected", _text),
        actual=_optional(message, "actual", _text),
        html=_optional(message, "html", _text),
        pictures=_each(message, "pictures", _decode_picture),
        duration_ms=_optional(message, "duration_ms", _number),
    )


def _decode_picture(message: Message) -> Picture:
    try:
        return Picture(label=_text(message, "label"), data=unpack_bytes(message.get("data")))
    except NotBase64 as error:
        raise FrameError(f"picture: {error}") from error


def _status(message: Message) -> TestStatus | None:
    try:
        return _optional(message, "status", lambda m, key: TestStatus(_text(m, key)))
    except ValueError as error:
        raise FrameError(str(error)) from error


def _isolation(message: Message) -> Isolation | None:
    try:
        return _optional(message, "isolation", lambda m, key: Isolation(_text(m, key)))
    except ValueError as error:
        raise FrameError(str(error)) from error


def _reason(text: str) -> ExitReason:
    try:
        return ExitReason(text)
    except ValueError as error:
        raise FrameError(f"unknown exit reason {text!r}") from error


def _optional(message: Message, key: str, read: Callable[[Message, str], T]) -> T | None:
    return None if message.get(key) is None else read(message, key)


def _text(message: Message, key: str) -> str:
    return _typed(message, key, str)


def _truth(message: Message, key: str) -> bool:
    return _typed(message, key, bool)


def _number(message: Message, key: str) -> float:
    value = message.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FrameError(f"{key} is not a number")
    return value


def _object(message: Message, key: str) -> dict[str, Any]:
    return _typed(message, key, dict)


def _typed(message: Message, key: str, kind: type[T]) -> T:
    value = message.get(key)
    if not isinstance(value, kind):
        raise FrameError(f"{key} is missing or not of the right type")
    return value


def _each(message: Message, key: str, decode: Callable[[Any], T]) -> tuple[T, ...]:
    items = _typed(message, key, list)
    try:
        return tuple(decode(item) for item in items)
    except AttributeError as error:
        raise FrameError(f"{key} holds something else") from error
