"""One JSON object per line on stderr, keyed by an event name.

Callers pass facts, never learners' code, replies or credentials: nothing here could tell them
apart from harmless text.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

_logger = logging.getLogger("grader_worker")


class JsonFormatter(logging.Formatter):
    """Ours carry `event` and facts; records of libraries become event `library`."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
        }
        facts = getattr(record, "facts", None)
        if facts is None:
            entry |= {"event": "library", "logger": record.name, "message": record.getMessage()}
        else:
            entry |= {"event": record.getMessage(), **facts}
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def log_event(event: str, **facts: object) -> None:
    """`event` is a stable kebab-case name; absent facts (None) are left out."""
    _logger.info(event, extra=_present(facts))


def log_warning(event: str, **facts: object) -> None:
    _logger.warning(event, extra=_present(facts))


def log_crash(event: str, **facts: object) -> None:
    """With the traceback of the exception being handled."""
    _logger.error(event, exc_info=True, extra=_present(facts))


def _present(facts: dict[str, object]) -> dict[str, object]:
    return {"facts": {name: value for name, value in facts.items() if value is not None}}


def configure_logging(stream: TextIO | None = None, *, level: int = logging.INFO) -> None:
    """Replace all handlers of the process; called once, by the command line."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    _logger.setLevel(level)
