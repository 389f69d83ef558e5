"""`xqueue-server sweep` as it runs: what it does, how it ends, and that a fault does not end it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from deploy.demo.processes import LongRunning, ProcessFailed, command, free_port, run_to_end
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import ExamType
from tests.observability.scrape import scrape
from tests.proctoring.conftest import EXAM, LMS
from tests.proctoring.sitting import now, started
from tests.server.builders import QUEUE, Desk, change_queue
from tests.worker.fakes import eventually
from xqueue_server.cli import sweep as program
from xqueue_server.cli.stopping import told_to_stop
from xqueue_server.errors import FilesUnavailable, StorageUnavailable
from xqueue_server.instant import SystemClock
from xqueue_server.models.submission import SubmissionState
from xqueue_server.storage import Storage, open_storage
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.upkeep.housekeeping import tell_of_dead_letters

KEY = b"s" * 32
WITHIN_S = 120


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "XQUEUE_DATABASE_URL": database_url,
        "XQUEUE_DATA_DIR": str(tmp_path / "data"),
        "XQUEUE_SECRET_KEY": KEY.decode(),
        "XQUEUE_LOG_LEVEL": "info",
    }


@pytest.fixture
def ports() -> list[int]:
    return [free_port(), free_port()]


@pytest.fixture
def sweepers(
    settings: dict[str, str], ports: list[int], tmp_path: Path
) -> Iterator[list[LongRunning]]:
    """Two of them, that show metrics and would export traces to somebody who is not there."""
    nobody = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    started = [
        LongRunning(
            f"sweep {port}",
            command("xqueue-server", "sweep", "--metrics", f"127.0.0.1:{port}"),
            settings=settings | nobody,
            log_path=tmp_path / f"sweep-{port}.log",
        )
        for port in ports
    ]
    yield started
    for process in started:
        process.stop()


def test_sweepers_take_back_leases_write_history_and_end_when_told(
    desk: Desk, database_url: str, sweepers: list[LongRunning], ports: list[int]
) -> None:
    """In real time: the lease ended in the year in which the desk lives."""
    attempt = _attempt_that_has_run_out(desk)
    change_queue(desk.storage, lease_s=1)
    submission_id = desk.submit()
    desk.lease()

    eventually(lambda: desk.see(submission_id).state is SubmissionState.QUEUED, WITHIN_S)
    with _really(database_url) as storage:
        eventually(lambda: _beats(storage) == 2, WITHIN_S)
        eventually(lambda: _count(storage, "marks WHERE name = 'load minute'") == 1, WITHIN_S)
    assert desk.count("events WHERE why = 'expire'") == 1, "once, whoever did it"
    ended = f"exam_attempt_history WHERE attempt_id = {attempt.id} AND action = 'time_out'"
    eventually(lambda: desk.count(ended) == 1, WITHIN_S)
    assert now(ProctoringStore(desk.storage, KEY), attempt).completed_at == attempt.expires_at
    # It is counted after it is stored.
    eventually(lambda: _counted(ports, "xqueue_lease_expired_total") == 1, WITHIN_S)
    shown = [scrape(port) for port in ports]
    assert [each.number("xqueue_unexpected_errors_total", where="sweep") for each in shown] == [
        0,
        0,
    ]

    for process in sweepers:
        process.ask_to_stop()
    eventually(lambda: all(process.has_ended for process in sweepers), WITHIN_S)
    assert [process._process.returncode for process in sweepers] == [0, 0]


def _attempt_that_has_run_out(desk: Desk) -> Attempt:
    """By the sweepers' clock; by the desk's own it has just begun."""
    store = ProctoringStore(desk.storage, KEY)
    with store.write() as session:
        session.lmses.add(LMS)
        exam = session.exams.add(replace(EXAM, exam_type=ExamType.TIMED))
    return started(store, exam)


def _counted(ports: list[int], name: str) -> float:
    return sum(scrape(port).total(name) for port in ports)


def _really(url: str) -> closing[Storage]:
    return closing(open_storage(url, clock=SystemClock()))


def _beats(storage: Storage) -> int:
    return _count(storage, "marks WHERE name LIKE 'beat:sweep:%'")


def _count(storage: Storage, what: str) -> int:
    with storage.read() as tx:
        return int(tx.scalar(text(f"SELECT count(*) FROM {what}")))


def test_it_does_not_start_on_a_database_that_is_not_migrated(tmp_path: Path) -> None:
    given = {"XQUEUE_DATA_DIR": str(tmp_path), "XQUEUE_MODE": "demo"}
    with pytest.raises(ProcessFailed, match="xqueue-server db upgrade"):
        run_to_end(command("xqueue-server", "sweep"), settings=given)


class _Rounds(threading.Event):
    """Waits no time at all, and is set after so many rounds."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._left = count

    def wait(self, timeout: float | None = None) -> bool:
        self._left -= 1
        return self.is_set() or self._left < 0


def test_work_that_fails_keeps_nothing_else_from_being_done(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done: list[str] = []

    def away() -> None:
        raise StorageUnavailable("away")

    def faulty() -> None:
        raise ValueError("a fault of ours")

    def no_bucket() -> None:
        raise FilesUnavailable("there is no bucket")

    work = [away, no_bucket, faulty, lambda: done.append("x")]
    program._repeat(work, _Rounds(2), every_s=1)

    assert done == ["x", "x"]
    actions = [getattr(record, "action", "") for record in caplog.records]
    assert actions == ["sweep_paused", "tidy_paused", "sweep_failed"] * 2


def test_half_a_sweeper_takes_the_other_half_with_it() -> None:
    stop = _Rounds(1)

    def ends() -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        program._repeat([ends], stop, every_s=1)
    assert stop.is_set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_sets_the_event_and_the_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with told_to_stop() as stop:
        assert not stop.is_set()
        signal.raise_signal(number)
        assert stop.is_set()
    assert signal.getsignal(number) is before


def test_dead_letters_are_told_once_an_hour_for_each_lms(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        desk.submit()
        desk.put(desk.lease(QUEUE))
    with desk.storage.write() as tx:
        tx.run(text("UPDATE callbacks SET state = 'dead', next_at = NULL"))
    for seconds in (0, 3599, 1):
        desk.clock.advance(seconds)
        tell_of_dead_letters(desk.storage)
    told = [
        (r.__dict__["action"], r.__dict__["origin"], r.__dict__["count"]) for r in caplog.records
    ]
    assert told == [("dead_letters", "https://lms.example.org", 2)] * 2
    assert desk.count("callbacks") == 2
