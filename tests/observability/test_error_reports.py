"""What Sentry is told of an unexpected error: where, and nothing of whose."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.observability.collectors import Sink, running_sentry
from tests.observability.scrape import scrape
from tests.observability.stack import Stack, running_stack, until
from tests.server.builders import LEARNER_CODE, lms_body, lms_header


@pytest.fixture
def sentry() -> Iterator[Sink]:
    with running_sentry() as running:
        yield running


@pytest.fixture
def stack(database_url: str, tmp_path: Path, sentry: Sink) -> Iterator[Stack]:
    dsn = f"http://publickey@127.0.0.1:{sentry.port}/7"
    with running_stack(
        database_url, tmp_path, with_deliver=False, settings={"XQUEUE_SENTRY_DSN": dsn}
    ) as running:
        yield running


@contextmanager
def refused_contents(stack: Stack) -> Iterator[None]:
    """The database refuses every submission, with an error that quotes all of it."""
    engine = stack.desk.storage.engine
    with engine.begin() as connection:
        connection.execute(
            text("ALTER TABLE contents ADD CONSTRAINT never CHECK (header = '') NOT VALID")
        )
    try:
        yield
    finally:
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE contents DROP CONSTRAINT never"))


# It alone repeats, in its error, the row that it refuses.
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_an_unexpected_error_is_reported_without_code_key_or_cookie(
    stack: Stack, sentry: Sink
) -> None:
    with refused_contents(stack), stack.connect(stack.desk.lms) as lms:
        session = lms._headers["Cookie"].removeprefix("sessionid=")
        header = lms_header(
            f"{stack.lms.origin}/courses/c/xqueue/42/p/score_update", key="k3y-of-lms"
        )
        answer = lms.post("submit/?query=in-the-url", xqueue_header=header, xqueue_body=lms_body())
        assert "Internal error" in str(answer["content"])
    until(lambda: sentry.bodies, "the report arrives")
    event = _event(sentry)
    told = sentry.everything_received
    for secret in (LEARNER_CODE, LEARNER_CODE.encode().hex(), "k3y-of-lms", session, "in-the-url"):
        assert secret.encode() not in told
        assert json.dumps(secret)[1:-1].encode() not in told
    assert event["exception"]["values"][-1]["type"] == "IntegrityError"
    frames = event["exception"]["values"][-1]["stacktrace"]["frames"]
    assert any(frame["module"].startswith("xqueue_server.") for frame in frames)
    assert not [frame for frame in frames if "vars" in frame or "context_line" in frame]
    (line,) = [x for x in stack.log_lines(stack.web) if x.get("action") == "unexpected_error"]
    assert event["tags"]["request_id"] == line["request_id"]
    assert "request" not in event
    assert scrape(stack.web_port).number("xqueue_unexpected_errors_total", where="web") == 1


def _event(sentry: Sink) -> dict:  # type: ignore[type-arg]
    """The event in an envelope: lines of JSON, each item after a line that describes it."""
    lines = [json.loads(line) for line in sentry.bodies[0].splitlines() if line.strip()]
    return next(line for line in lines if "exception" in line)
