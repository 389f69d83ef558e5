"""Unexpected errors for Sentry (the extra `sentry`), without anything of a request.

What is reported is named here, and nothing else leaves: kinds of errors with the places in our own
code, and the facts of the log line that are ours. Not the errors' texts, which may quote a
learner's code or a key; those are in the log, under the same request id.
"""

from __future__ import annotations

import logging
from typing import Any

from xqueue_server.monitoring.logs import note_request

log = logging.getLogger(__name__)

FACTS = ("action", "request_id", "submission_id", "callback_id", "queue", "origin")
"""Of a log line, sent as tags."""
KEPT = ("event_id", "timestamp", "level", "platform", "release", "environment", "server_name")
KEPT_OF_A_FRAME = ("filename", "function", "module", "lineno", "in_app")


def start(dsn: str, *, release: str, service: str) -> None:
    """Report from now on what is logged with a stack trace; without a DSN nothing."""
    if not dsn:
        return
    try:
        import sentry_sdk
    except ImportError:
        log.warning(
            "no error reports: XQUEUE_SENTRY_DSN is set, but the extra `sentry` of xqueue-grader "
            "is not installed",
            extra={"action": "no_error_reports"},
        )
        return
    sentry_sdk.init(
        dsn=dsn,
        release=release,
        default_integrations=False,
        auto_enabling_integrations=False,
        include_local_variables=False,
        include_source_context=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        send_default_pii=False,
        before_send=_only_what_is_named,
    )
    sentry_sdk.set_tag("service", service)
    reporter = _Reporter(level=logging.ERROR)
    reporter.addFilter(note_request)
    logging.getLogger().addHandler(reporter)


class _Reporter(logging.Handler):
    """Hears every error that is logged with its exception: that is what "unexpected" means here."""

    def emit(self, record: logging.LogRecord) -> None:
        import sentry_sdk

        if not record.exc_info or record.exc_info[1] is None:
            return
        with sentry_sdk.new_scope() as scope:
            for fact in FACTS:
                if (value := getattr(record, fact, None)) is not None:
                    scope.set_tag(fact, str(value))
            scope.capture_exception(record.exc_info)


def _only_what_is_named(event: Any, _hint: Any) -> Any:
    kept = {name: event[name] for name in KEPT if name in event}
    tags = event.get("tags") or {}
    kept["tags"] = {name: tags[name] for name in (*FACTS, "service") if name in tags}
    errors = (event.get("exception") or {}).get("values") or []
    kept["exception"] = {"values": [_error_without_its_text(error) for error in errors]}
    return kept


def _error_without_its_text(error: Any) -> dict[str, Any]:
    frames = (error.get("stacktrace") or {}).get("frames") or []
    return {
        "type": error.get("type"),
        "module": error.get("module"),
        "value": "(the log has the text)",
        "stacktrace": {
            "frames": [{k: f[k] for k in KEPT_OF_A_FRAME if k in f} for f in frames],
        },
    }
