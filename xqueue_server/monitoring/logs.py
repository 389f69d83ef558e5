"""Logs: one JSON object a line on stderr, keyed by `action`.

Only what a call names in `extra` is written, so no body, code or credential gets in by accident;
and, while a request is served, its id.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

# Here PostgreSQL repeats the row that it refused, learner's code and all.
_DETAIL = re.compile(r"^DETAIL: .*$", re.MULTILINE)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request that this thread serves; None: it serves none."""


def note_request(record: logging.LogRecord) -> bool:
    """A filter for handlers: lets everything pass, with the id of the request that causes it."""
    if (known := request_id.get()) is not None:
        record.__dict__.setdefault("request_id", known)
    return True


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            text = self.formatException(record.exc_info)
            line["exception"] = _DETAIL.sub("DETAIL: (not logged)", text)
        return json.dumps(line, default=str)


def configure(level: str) -> None:
    """Send everything from `level` on to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(note_request)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
