"""The extras are extras: without them, or without being asked for, all goes on as before."""

from __future__ import annotations

import logging
import sys

import pytest

from xqueue_server.monitoring import error_reports, telemetry, traceparent

CAME = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.fixture(autouse=True)
def _nothing_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*telemetry.ENDPOINTS, "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(telemetry, "_tracer", None)


def test_without_an_endpoint_nothing_is_started_and_contexts_pass_as_they_came() -> None:
    telemetry.start("xqueue-server")
    assert not telemetry.is_on()
    with telemetry.span("submit", CAME) as context:
        assert context == CAME
    with telemetry.span("submit", None) as context:
        assert traceparent.read(context) == context


def test_the_switch_of_opentelemetry_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    telemetry.start("xqueue-server")
    assert not telemetry.is_on()


def test_an_endpoint_without_the_package_is_said_and_not_fatal(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    telemetry.start("xqueue-server")
    assert not telemetry.is_on()
    assert [record.action for record in caplog.records] == ["no_telemetry"]  # type: ignore[attr-defined]


def test_a_dsn_without_the_package_is_said_and_not_fatal(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)
    before = list(logging.getLogger().handlers)
    error_reports.start("http://key@127.0.0.1:1/7", release="1", service="serve")
    assert logging.getLogger().handlers == before
    assert [record.action for record in caplog.records] == ["no_error_reports"]  # type: ignore[attr-defined]
