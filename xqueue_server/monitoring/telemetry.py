"""Spans for OpenTelemetry, where it is installed (the extra `telemetry`) and OTEL_* says where to.

One submission is one trace: submit, lease, result and deliver. The trace context travels in the
database, because these are requests of different clients to different processes. Without
OpenTelemetry the context that came is passed on as it is.

Attributes are names of queues and origins, counts and our own ids: never a body, a key or a
learner.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from xqueue_server.monitoring import traceparent

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

log = logging.getLogger(__name__)

Attribute = str | int | bool
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_tracer: Tracer | None = None


def start(service: str) -> None:
    """Begin to export, if the environment says where to. In the process that makes the spans: it
    starts a thread."""
    global _tracer
    is_off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if is_off or not any(os.environ.get(name) for name in ENDPOINTS):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning(
            "no traces: OTEL_EXPORTER_OTLP_ENDPOINT is set, but the extra `telemetry` of "
            "xqueue-grader is not installed",
            extra={"action": "no_telemetry"},
        )
        return
    name = os.environ.get("OTEL_SERVICE_NAME") or service
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = provider.get_tracer("xqueue_server")


def is_on() -> bool:
    return _tracer is not None


@contextmanager
def span(name: str, parent: str | None, **attributes: Attribute) -> Iterator[str]:
    """A span around the block; yields the `traceparent` for whatever comes of it.

    `parent` is a checked traceparent, or None where a trace begins.
    """
    if _tracer is None:
        yield parent or traceparent.new()
        return
    with _tracer.start_as_current_span(
        name,
        context=_context(parent),
        attributes=attributes,
        record_exception=False,  # its text may quote what a learner sent
    ) as current:
        yield _traceparent_of(current)


def record(name: str, parent: str | None, *, began_ns: int, **attributes: Attribute) -> None:
    """A span of what has just ended, where its trace is only known at the end.

    `began_ns` as `time.time_ns` gave it. Without a parent there is nothing to belong to.
    """
    if _tracer is not None and parent is not None:
        _tracer.start_span(
            name, context=_context(parent), attributes=attributes, start_time=began_ns
        ).end()


def _context(parent: str | None) -> Any:
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {traceparent.HEADER: parent} if parent else {}
    return TraceContextTextMapPropagator().extract(carrier, context=Context())


def _traceparent_of(current: Any) -> str:
    known = current.get_span_context()
    return f"00-{known.trace_id:032x}-{known.span_id:016x}-{known.trace_flags:02x}"
