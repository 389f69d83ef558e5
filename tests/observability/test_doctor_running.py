"""What `doctor` says of a server in use: what is silent, what waits, and what to do."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from deploy.demo.processes import free_port
from tests.delivery.certificates import Authority
from tests.delivery.lms import running_lms
from tests.observability.stack import until
from tests.server.builders import add_queue, open_desk
from xqueue_server.cli import checks_running
from xqueue_server.cli.checks_network import check_network
from xqueue_server.cli.checks_running import check_running
from xqueue_server.cli.finding import Finding, Verdict
from xqueue_server.cli.main import main
from xqueue_server.instant import ManualClock
from xqueue_server.settings import load
from xqueue_server.storage import Storage, beats


def found(storage: Storage) -> dict[str, Finding]:
    return {finding.what: finding for finding in check_running(storage)}


def test_processes_that_are_silent_are_named_with_the_command_that_starts_them(
    storage: Storage, clock: ManualClock
) -> None:
    with storage.write() as tx:
        beats.beat(tx, "deliver", "host:1")
        beats.beat(tx, "sweep", "host:2")
    assert found(storage)["deliver"].verdict is Verdict.OK
    clock.advance(beats.SILENT_S + 1)
    with storage.write() as tx:
        beats.beat(tx, "sweep", "host:3")
    told = found(storage)
    assert told["sweep"].verdict is Verdict.OK
    assert (told["deliver"].verdict, told["deliver"].to_do) == (
        Verdict.WARN,
        "start: xqueue-server deliver",
    )


def test_clocks_that_differ_are_warned_of(
    storage: Storage, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = (clock.now_us() or 0) / 1e6
    monkeypatch.setattr(checks_running.time, "time", lambda: theirs + 4.9)
    assert found(storage)["clock"].verdict is Verdict.OK
    monkeypatch.setattr(checks_running.time, "time", lambda: theirs - 60)
    assert (found(storage)["clock"].verdict, found(storage)["clock"].found) == (
        Verdict.WARN,
        "60.0 s between this host and the database",
    )


def test_a_queue_that_nobody_serves_is_named_when_somebody_has_waited(
    storage: Storage, clock: ManualClock
) -> None:
    add_queue(storage)
    open_desk(storage, clock).submit()
    assert found(storage)["workers"].verdict is Verdict.OK
    clock.advance(beats.SILENT_S + 1)
    told = found(storage)["workers"]
    assert (told.verdict, "python" in told.found) == (Verdict.WARN, True)
    with storage.write() as tx:
        tx.run(text("UPDATE queues SET paused_at = 1"))
    assert found(storage)["workers"].verdict is Verdict.OK


def test_what_waits_for_people_is_counted(storage: Storage, clock: ManualClock) -> None:
    add_queue(storage)
    desk = open_desk(storage, clock)
    desk.submit()
    assert found(storage)["held submissions"].verdict is Verdict.OK
    with storage.write() as tx:
        tx.run(text("UPDATE submissions SET state = 'held', held_at = 1"))
    assert found(storage)["held submissions"].found == "1 wait for people"


def reach(origin: str, tmp_path: Path, access: str | None = None) -> Finding:
    env = {"XQUEUE_DATA_DIR": str(tmp_path), "XQUEUE_LMS_ORIGINS": f"https://*, {origin}"}
    if access is not None:
        (tmp_path / "access.toml").write_text(access)
        env["XQUEUE_LMS_ACCESS_FILE"] = str(tmp_path / "access.toml")
    (finding,) = check_network(load(env))
    return finding


def test_an_lms_that_answers_can_be_reached_and_nothing_is_sent_to_it(tmp_path: Path) -> None:
    with running_lms() as lms:
        assert reach(lms.origin, tmp_path).verdict is Verdict.OK
        until(lambda: lms.connections == 1, "the LMS sees the connection")
        assert lms.received == []


def test_an_lms_that_is_not_there_is_warned_of(tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        told = reach(f"http://127.0.0.1:{taken.getsockname()[1]}", tmp_path)
    assert told.verdict is Verdict.WARN
    assert "Connection refused" in told.found


@pytest.fixture
def redis() -> Iterator[str]:
    """A Redis of our own, whose policy is to throw keys away."""
    port = free_port()
    options = ["--maxmemory-policy", "allkeys-lru", "--save", "", "--bind", "127.0.0.1"]
    process = subprocess.Popen(
        ["redis-server", "--port", str(port), *options], stdout=subprocess.DEVNULL
    )
    try:
        until(lambda: _listens(port), "Redis listens")
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_a_redis_that_throws_keys_away_is_warned_of(
    redis: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XQUEUE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("XQUEUE_REDIS_URL", redis)
    told: list[dict[str, Any]] = json.loads(CliRunner().invoke(main, ["doctor", "--json"]).stdout)
    (about,) = [each for each in told if each["what"] == "Redis"]
    assert about["verdict"] == "warn"
    assert "allkeys-lru" in about["found"]


def test_a_certificate_that_is_not_trusted_is_told_apart_from_an_lms_that_is_away(
    tmp_path: Path,
) -> None:
    authority = Authority()
    with running_lms(authority.server_context("127.0.0.1")) as lms:
        told = reach(lms.origin, tmp_path)
        assert told.verdict is Verdict.WARN
        assert "TLS" in told.found
        (tmp_path / "ca.pem").write_bytes(authority.pem)
        access = f'["{lms.origin}"]\nca_bundle = "{tmp_path}/ca.pem"\n'
        assert reach(lms.origin, tmp_path, access).verdict is Verdict.OK
