"""A database that goes away: patience, recovery, and answers to COMMIT that got lost."""

from __future__ import annotations

import secrets
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.server.builders import INVALID_GRADE, QUEUE, Desk, grade, open_desk
from tests.server.web_client import Answer, Server
from xqueue_server.app import create_app
from xqueue_server.errors import SettingsError, StorageUnavailable
from xqueue_server.instant import ManualClock
from xqueue_server.settings import Settings
from xqueue_server.storage import Storage, Transaction, engine, open_storage
from xqueue_server.web import patience as patience_module
from xqueue_server.web.patience import Patience

UNAVAILABLE = "The queue is temporarily unavailable. Please try again."


class SteppedTime:
    """A clock that moves only when somebody sleeps, or by `work_s` for every look at it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class LostAnswers(Storage):
    """Commits, and then says that the connection broke: as often as told."""

    def __init__(self, storage: Storage, times: int = 1) -> None:
        super().__init__(storage.engine, storage.clock)
        self.left = times

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        with super().write() as tx:
            yield tx
        if self.left:
            self.left -= 1
            raise StorageUnavailable("server closed the connection unexpectedly")


class Away(Storage):
    """Refuses the first `times` transactions."""

    def __init__(self, storage: Storage, times: int) -> None:
        super().__init__(storage.engine, storage.clock)
        self.left = times

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        self._refuse()
        with super().read() as tx:
            yield tx

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        self._refuse()
        with super().write() as tx:
            yield tx

    def _refuse(self) -> None:
        if self.left:
            self.left -= 1
            raise StorageUnavailable("connection refused")


# -- patience --------------------------------------------------------------------------------------


def test_a_request_waits_five_seconds_for_the_database_and_no_longer() -> None:
    stepped = SteppedTime()
    patience = Patience(monotonic=stepped.monotonic, sleep=stepped.sleep)

    def never(_is_retry: bool) -> None:
        raise StorageUnavailable("away")

    with pytest.raises(StorageUnavailable):
        patience.with_database(never)
    assert 4.5 < sum(stepped.slept) <= 5
    assert stepped.slept == sorted(stepped.slept)
    assert max(stepped.slept) == 0.5


def test_the_five_seconds_are_shared_by_everything_that_a_request_does() -> None:
    stepped = SteppedTime()
    patience = Patience(monotonic=stepped.monotonic, sleep=stepped.sleep)
    stepped.now += 4.9
    failures = [StorageUnavailable("away")] * 3

    def work(_is_retry: bool) -> None:
        raise failures.pop()

    with pytest.raises(StorageUnavailable):
        patience.with_database(work)
    assert sum(stepped.slept) <= 0.1


def test_the_first_try_is_no_retry_and_the_second_is_one() -> None:
    stepped = SteppedTime()
    seen: list[bool] = []

    def work(is_retry: bool) -> str:
        seen.append(is_retry)
        if len(seen) < 3:
            raise StorageUnavailable("away")
        return "done"

    patience = Patience(monotonic=stepped.monotonic, sleep=stepped.sleep)
    assert patience.with_database(work) == "done"
    assert seen == [False, True, True]


def test_other_errors_are_not_waited_out() -> None:
    stepped = SteppedTime()

    def work(_is_retry: bool) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        Patience(monotonic=stepped.monotonic, sleep=stepped.sleep).with_database(work)
    assert stepped.slept == []


# -- through the web -------------------------------------------------------------------------------


def serve(server_settings: Settings, storage: Storage, desk: Desk) -> Server:
    return Server(create_app(server_settings, storage), desk)


def test_while_the_database_is_away_everything_that_needs_it_says_so(
    server_settings: Settings, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience_module, "PATIENCE_S", 0.0)
    server = serve(server_settings, Away(desk.storage, 10**6), desk)
    expected = Answer(code=1, content=UNAVAILABLE)
    assert server.lms.submit() == expected
    assert server.grader.try_fetch() == expected
    assert server.grader.get("get_queuelen", queue_name=QUEUE) == expected
    for path in ("put_result", "renew_lease", "put_failure"):
        assert server.grader.post(path, xqueue_header="{}", xqueue_body="{}") == expected
    assert server.nobody.post("login", username="lms", password="x") == expected
    assert server.nobody.get("status") == Answer(code=0, content="OK")
    assert server.nobody.raw("GET", "/healthz").status_code == 200
    assert server.nobody.raw("GET", "/readyz").status_code == 503
    assert server.nobody.raw("GET", "/xqueue/get_submission/").status_code == 302


def test_a_database_that_comes_back_in_time_is_not_noticed(
    server_settings: Settings, desk: Desk
) -> None:
    storage = Away(desk.storage, 0)
    server = serve(server_settings, storage, desk)
    storage.left = 2
    assert server.lms.submit() == Answer(code=0, content="1")
    storage.left = 2
    assert server.grader.fetch().submission_id == 1


@pytest.mark.parametrize("times", [1, 3])
def test_a_submit_whose_commit_was_not_confirmed_is_stored_once(
    server_settings: Settings, desk: Desk, times: int
) -> None:
    server = serve(server_settings, LostAnswers(desk.storage, times), desk)
    assert server.lms.submit() == Answer(code=0, content="1")
    assert desk.count("submissions") == 1
    assert desk.count("contents") == 1


def test_a_hand_out_whose_commit_was_not_confirmed_gives_the_same_lease(
    server_settings: Settings, desk: Desk
) -> None:
    first, second = desk.submit(), desk.submit(body="not json")
    server = serve(server_settings, LostAnswers(desk.storage), desk)
    given = server.grader.fetch()
    assert given.submission_id == first
    assert desk.see(second).state == "queued"
    assert desk.count("leases") == 1
    assert server.grader.put(given).code == 0


@pytest.mark.parametrize("body", [grade(), INVALID_GRADE])
def test_a_result_whose_commit_was_not_confirmed_is_stored_once(
    server_settings: Settings, desk: Desk, body: str
) -> None:
    submission_id = desk.submit()
    server = serve(server_settings, LostAnswers(desk.storage, 0), desk)
    given = server.grader.fetch()
    server.services.storage.left = 2  # type: ignore[attr-defined]
    assert server.grader.put(given, body) == Answer(code=0, content="")
    assert len(desk.results_of(submission_id)) == 1
    assert len(desk.outgoing(submission_id)) == (body == grade())


def test_a_renewal_whose_commit_was_not_confirmed_is_answered_as_done(
    server_settings: Settings, desk: Desk
) -> None:
    desk.submit()
    server = serve(server_settings, LostAnswers(desk.storage, 0), desk)
    given = server.grader.fetch()
    server.services.storage.left = 1  # type: ignore[attr-defined]
    assert server.grader.post("renew_lease", xqueue_header=given.header, lease_s="30") == Answer(
        code=0, content=30
    )


@pytest.mark.parametrize("kind", ["platform", "grader"])
def test_a_failure_whose_commit_was_not_confirmed_is_counted_once(
    server_settings: Settings, desk: Desk, kind: str
) -> None:
    submission_id = desk.submit()
    server = serve(server_settings, LostAnswers(desk.storage, 0), desk)
    given = server.grader.fetch()
    server.services.storage.left = 1  # type: ignore[attr-defined]
    server.grader.post("put_failure", xqueue_header=given.header, kind=kind)
    assert desk.see(submission_id).platform_failures == (kind == "platform")
    assert [e.why for e in desk.events_of(submission_id)] == ["arrive", "lease", f"{kind}_failure"]


def test_a_retry_finds_no_submission_of_another_request(desk: Desk) -> None:
    first = desk.submit(request_id="r1")
    second = desk.submit(request_id="r2", is_retry=True)
    assert first != second
    assert desk.submit(request_id="r1", is_retry=True) == first
    assert desk.count("submissions") == 2


def test_a_retry_whose_first_try_took_nothing_takes_the_next(desk: Desk) -> None:
    submission_id = desk.submit()
    assert desk.lease(key=secrets.token_hex(16), is_retry=True).submission_id == submission_id


def test_a_retry_does_not_get_back_a_lease_that_has_ended_meanwhile(desk: Desk) -> None:
    desk.submit()
    key = secrets.token_hex(16)
    desk.lease(key=key)
    desk.sweep_after(601)
    leased = desk.try_lease(key=secrets.token_hex(16), is_retry=True)
    assert leased is not None
    assert leased.attempt == 2


# -- real databases --------------------------------------------------------------------------------


def test_a_server_whose_connections_are_all_cut_recovers_with_the_next_request(
    server_settings: Settings, desk: Desk
) -> None:
    if desk.storage.engine.dialect.name != "postgresql":
        return  # SQLite has no connections that others could cut
    server = serve(server_settings, desk.storage, desk)
    assert server.lms.submit().code == 0
    _cut_connections(desk)
    assert server.lms.submit() == Answer(code=0, content="2")
    _cut_connections(desk)
    given = server.grader.fetch()
    _cut_connections(desk)
    assert server.grader.put(given).code == 0
    assert desk.count("submissions") == 2


def test_a_connection_cut_in_the_middle_of_a_transaction_undoes_it(desk: Desk) -> None:
    if desk.storage.engine.dialect.name != "postgresql":
        return
    with pytest.raises(StorageUnavailable):
        _delete_queues_then(desk, lambda: _cut_connections(desk))
    assert desk.count("queues") == 1


def test_a_postgresql_that_is_not_there_is_unavailable_and_not_a_fault() -> None:
    storage = open_storage("postgresql://nobody:secret@127.0.0.1:9/none")
    try:
        with pytest.raises(StorageUnavailable) as raised, storage.read() as tx:
            tx.one(text("SELECT 1"))
        assert "secret" not in str(raised.value)
    finally:
        storage.close()


def test_an_sqlite_file_that_somebody_else_keeps_locked_is_unavailable(
    tmp_path: Path, migrated_sqlite: Path
) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(migrated_sqlite.read_bytes())
    storage = open_storage(f"sqlite:///{path}")
    with storage.read() as tx:
        tx.run(text("PRAGMA busy_timeout=10"))
    locker = sqlite3.connect(path, isolation_level=None)
    try:
        locker.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageUnavailable, match="locked"), storage.write():
            pass
        locker.execute("ROLLBACK")
        with storage.write() as tx:
            tx.run(text("DELETE FROM queues"))
    finally:
        locker.close()
        storage.close()


def test_an_sqlite_file_that_has_become_read_only_is_unavailable(
    tmp_path: Path, migrated_sqlite: Path
) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(migrated_sqlite.read_bytes())
    storage = open_storage(f"sqlite:///{path}")
    try:
        with storage.read() as tx:
            tx.run(text("PRAGMA query_only=ON"))  # what a read-only file does, for root as well
        with pytest.raises(StorageUnavailable, match="readonly"), storage.write() as tx:
            tx.run(text("DELETE FROM queues"))
    finally:
        storage.close()


def test_a_server_on_a_file_that_is_no_database_is_not_ready(
    server_settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "broken.db"
    path.write_bytes(b"not a database" * 1000)
    storage = open_storage(f"sqlite:///{path}")
    try:
        client = create_app(server_settings, storage).test_client()
        assert client.get("/readyz").status_code == 500
        assert client.get("/healthz").status_code == 200
    finally:
        storage.close()


def test_a_standby_that_takes_no_writes_is_unavailable(
    migrated_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "POSTGRES_SESSION", "-c default_transaction_read_only=on")
    storage = open_storage(migrated_postgres)
    try:
        with pytest.raises(StorageUnavailable, match="read-only"), storage.write() as tx:
            tx.run(text("DELETE FROM queues"))
    finally:
        storage.close()


@pytest.mark.parametrize("url", ["nonsense", "postgresql://u:secret@h:port/x"])
def test_a_url_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(SettingsError, match="XQUEUE_DATABASE_URL") as raised:
        open_storage(url)
    assert "secret" not in str(raised.value)


def test_an_sqlite_file_that_we_make_is_its_owners_alone(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/x.db")
    try:
        with storage.write() as tx:
            tx.run(text("CREATE TABLE t (c)"))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        assert modes == dict.fromkeys(("x.db", "x.db-wal", "x.db-shm"), 0o600)
    finally:
        storage.close()


def test_an_sqlite_file_that_can_not_be_made_is_named() -> None:
    with pytest.raises(SettingsError, match="can not make the database /proc/here"):
        open_storage("sqlite:////proc/here/x.db")


def test_sqlite_is_set_up_to_lose_nothing(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/made/on/the/way/x.db")
    with storage.read() as tx:
        asked = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        assert [tx.scalar(text(f"PRAGMA {name}")) for name in asked] == ["wal", 2, 1, 10_000]
    storage.close()


def test_an_error_rolls_everything_back(desk: Desk) -> None:
    with pytest.raises(ZeroDivisionError):
        _delete_queues_then(desk, lambda: 1 // 0)
    assert desk.count("queues") == 1


def test_now_comes_from_the_clock_that_was_injected(desk: Desk) -> None:
    before = desk.storage.now_us()
    desk.clock.advance(1.5)
    assert desk.storage.now_us() - before == 1_500_000


def test_now_comes_from_the_database_on_postgresql(database_url: str) -> None:
    storage = open_storage(database_url)
    desk = open_desk(storage, ManualClock())
    assert abs(storage.now_us() - _system_now_us()) < 60_000_000
    assert desk.lms.name == "lms"
    storage.close()


def _delete_queues_then(desk: Desk, act: Callable[[], object]) -> None:
    with desk.storage.write() as tx:
        tx.run(text("DELETE FROM queues"))
        act()
        tx.run(text("SELECT 1"))


def _system_now_us() -> int:
    return time.time_ns() // 1000


def _cut_connections(desk: Desk) -> None:
    """As a restart of PostgreSQL does to all the others."""
    other = open_storage(desk.storage.engine.url.render_as_string(hide_password=False))
    with other.read() as tx:
        tx.all(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid != pg_backend_pid()"
            )
        )
    other.close()
