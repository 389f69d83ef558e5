"""A real server, made and started with its own command line, for all the wire tests."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.demo.lms import StandInLms
from deploy.demo.processes import (
    LongRunning,
    answers_http,
    command,
    free_port,
    run_to_end,
    stop_all,
)
from tests.wire.exchange import PASSWORD, USERNAME, Wire
from tests.wire.traffic import OTHER_QUEUE, QUEUE, drain

LEASE_S = "86400"
"""What one test has leased, no other one is given."""
ACCOUNT = ("account", "add", USERNAME, "--role", "lms", "--role", "grader", "--all-queues")


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server that also delivers and sweeps; its data lives as long as the test session."""
    data_dir = tmp_path_factory.mktemp("xqueue")
    url = f"http://127.0.0.1:{free_port()}"
    settings = {"XQUEUE_MODE": "demo", "XQUEUE_DATA_DIR": str(data_dir), "XQUEUE_PUBLIC_URL": url}
    _prepare(settings)
    processes = [_start(settings, data_dir, verb) for verb in ("deliver", "sweep")]
    try:
        bind = ("--bind", url.removeprefix("http://"), "--workers", "1")
        processes.append(_start(settings, data_dir, "serve", *bind))
        processes[-1].wait_until(lambda: answers_http(f"{url}/xqueue/status/"), 60)
        yield url
        assert not [p.failure("died under the tests") for p in processes if p.has_ended]
    finally:
        stop_all(processes)


@pytest.fixture
def anonymous(server_url: str) -> Wire:
    return Wire(server_url)


@pytest.fixture(scope="session")
def session_cookie(server_url: str) -> str:
    wire = Wire(server_url)
    wire.login()
    assert wire.session
    return wire.session


@pytest.fixture
def wire(server_url: str, session_cookie: str) -> Wire:
    """Signed in, with both queues empty."""
    signed_in = Wire(server_url)
    signed_in.session = session_cookie
    drain(signed_in, QUEUE)
    drain(signed_in, OTHER_QUEUE)
    return signed_in


@pytest.fixture
def lms() -> Iterator[StandInLms]:
    with StandInLms() as running:
        yield running


@pytest.fixture
def nonce() -> str:
    """Something that no other test has."""
    return secrets.token_hex(8)


def _prepare(settings: dict[str, str]) -> None:
    run_to_end(command("xqueue-server", "db", "upgrade"), settings=settings)
    for queue in (OTHER_QUEUE, QUEUE):
        added = command("xqueue-server", "queue", "add", queue, "--lease-s", LEASE_S)
        run_to_end(added, settings=settings)
    run_to_end(
        command("xqueue-server", *ACCOUNT, "--password-stdin"), settings=settings, stdin=PASSWORD
    )


def _start(settings: dict[str, str], data_dir: Path, verb: str, *arguments: str) -> LongRunning:
    return LongRunning(
        verb,
        command("xqueue-server", verb, *arguments),
        settings=settings,
        log_path=data_dir / f"{verb}.log",
    )
