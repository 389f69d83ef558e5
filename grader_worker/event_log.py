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
SANDBOX = "sandbox"
"""The logger of the package below us: its records carry their facts as `extra`."""
_OF_ANY_RECORD = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})


class JsonFormatter(logging.Formatter):
    """Ours carry `event` and facts, those of the sandbox become event `sandbox` with theirs, and
    those of libraries event `library` with their text alone."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
        }
        facts = getattr(record, "facts", None)
        if facts is not None:
            entry |= {"event": record.getMessage(), **facts}
        else:
            is_sandbox = record.name == SANDBOX or record.name.startswith(f"{SANDBOX}.")
            event = "sandbox" if is_sandbox else "library"
            entry |= {"event": event, "logger": record.name, "message": record.getMessage()}
            # What a library attaches to a record may be anything, a request's headers for one.
            entry |= _extra(record) if is_sandbox else {}
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {name: fact for name, fact in vars(record).items() if name not in _OF_ANY_RECORD}


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
