"""What the log says: facts as JSON, of the sandbox below us as well; libraries' secrets never."""

from __future__ import annotations

import json
import logging

from grader_worker.event_log import JsonFormatter


def line(logger: str, text: str, *arguments: object, **extra: object) -> dict[str, object]:
    record = logging.getLogger(logger).makeRecord(
        logger, logging.WARNING, __file__, 1, text, arguments, None, extra=extra
    )
    return json.loads(JsonFormatter().format(record))


def test_records_of_the_sandbox_keep_their_facts() -> None:
    said = line(
        "sandbox.backends.docker.minding",
        "the Docker Engine is not to be used: %s",
        "no answer",
        action="engine_down",
        why="no answer",
    )
    at = said.pop("at")
    assert isinstance(at, str)
    assert said == {
        "level": "warning",
        "event": "sandbox",
        "logger": "sandbox.backends.docker.minding",
        "message": "the Docker Engine is not to be used: no answer",
        "action": "engine_down",
        "why": "no answer",
    }


def test_of_other_libraries_only_their_text_is_kept() -> None:
    for logger in ("urllib3", "sandboxed"):
        said = line(logger, "text", headers={"Authorization": "secret"})
        assert said["event"] == "library"
        assert "headers" not in said


def test_facts_that_are_no_json_are_written_as_text() -> None:
    assert line("sandbox", "text", why=ValueError("odd"))["why"] == "odd"
