"""Connections and transactions: the two databases' differences end here and in `leases`.

On PostgreSQL every transaction takes its locks in one order, so that no two wait for each other:

0. a row of `exam_attempts`, before the grades that wait for it; after it only one of the same
   learner's that is in progress, if its time is over, by who begins another;
1. rows of `submissions`: one; or several by ascending id; or, where the order is another, only
   those that nobody has locked (SKIP LOCKED);
2. rows that belong to one of those: what an exam has decided about it, then its callbacks, its
   regrade, its timings; several that are found without their submissions only by SKIP LOCKED;
3. at most one row of `faults`;
4. learners (see `capping`), by name, last of all: `Transaction.do_last`. Whoever has a learner
   waits for no row any more.

On SQLite there is one lock for all who write.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    Row,
    bindparam,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import ColumnElement, Executable
from sqlalchemy.sql.functions import GenericFunction

from xqueue_server.errors import SettingsError, StorageUnavailable
from xqueue_server.instant import Clock, DatabaseClock, SystemClock

SQLITE_BUSY_TIMEOUT_MS = 10_000
SQLITE_LOOK_EVERY_S = 0.02
READ_ONLY = "xqueue_read_only"
POSTGRES_SESSION = "-c idle_in_transaction_session_timeout=30000 -c statement_timeout=30000"


class database_now_us(GenericFunction[int]):  # noqa: N801 - it names an SQL function
    """Microseconds since 1970 by the database's own clock; NULL where the caller must give it."""

    type = BigInteger()
    inherit_cache = True


@compiles(database_now_us)
def _no_database_clock(*_args: Any, **_kw: Any) -> str:
    return "NULL"


@compiles(database_now_us, "postgresql")
def _postgres_clock(*_args: Any, **_kw: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"


NOW: ColumnElement[int] = func.coalesce(
    bindparam("now", type_=BigInteger), database_now_us(), type_=BigInteger
)
"""The present instant in SQL. Statements that use it are run with `now=tx.now`."""

ONCE_NOW = select(NOW).scalar_subquery()
"""`NOW` for WHERE clauses: evaluated once. The bare clock_timestamp() is volatile, which would
rule out an index scan."""


class Transaction:
    """One transaction; `now` is what statements using `NOW` must be given."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self.connection = connection
        self._clock = clock
        self.woken: set[str] = set()
        """Queues in which it has let something into the line that had waited elsewhere."""
        self.arriving: set[int] = set()
        """Submissions that it has put before their learner's cap itself: they have not waited."""
        self._last: dict[tuple[str, ...], LastAct] = {}

    @property
    def now(self) -> int | None:
        """Microseconds since 1970, or None where the database supplies it."""
        return self._clock.now_us()

    @property
    def is_postgres(self) -> bool:
        return self.connection.dialect.name == "postgresql"

    def run(self, statement: Executable, **params: Any) -> int:
        """Execute and return the number of rows touched."""
        return self.connection.execute(statement, params).rowcount

    def run_many(self, statement: Executable, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            self.connection.execute(statement, rows)

    def one(self, statement: Executable, **params: Any) -> Row[Any] | None:
        return self.connection.execute(statement, params).first()

    def all(self, statement: Executable, **params: Any) -> Sequence[Row[Any]]:
        return self.connection.execute(statement, params).all()

    def scalar(self, statement: Executable, **params: Any) -> Any:
        return self.connection.execute(statement, params).scalar()

    def do_last(self, key: tuple[str, ...], act: LastAct) -> None:
        """Do it right before the commit, once for each key and in the order of the keys: what takes
        locks of which another transaction may want the same ones."""
        self._last[key] = act

    def end(self) -> None:
        for key in sorted(self._last):
            self._last[key](self)


LastAct = Callable[[Transaction], object]


def _tell_nobody(_queue: str) -> None:
    """Workers poll."""


class Storage:
    """The database. Safe to share between threads, not between forked processes."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self.engine = engine
        self.clock = clock
        self.when_woken: Callable[[str], object] = _tell_nobody
        """Told of each queue that a transaction has woken, once it is committed."""
        if engine.dialect.name == "postgresql":
            self._reader = engine.execution_options(isolation_level="AUTOCOMMIT")
        else:
            self._reader = engine.execution_options(**{READ_ONLY: True})

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A transaction that commits at the end of the block and rolls back on any error.

        Raises:
            StorageUnavailable: the database is away or stayed locked. If that happened at the
                commit itself, the work may or may not have been done: callers that retry must be
                idempotent.
        """
        with translated_errors(), self.engine.begin() as connection:
            tx = Transaction(connection, self.clock)
            yield tx
            tx.end()
        for queue in tx.woken:
            self.when_woken(queue)

    def write_at_once(self) -> AbstractContextManager[Transaction]:
        """For statements that are each a whole change: on PostgreSQL they commit by themselves.

        That spares two round trips. On SQLite it is `write`. Raises as that does.
        """
        return self.read() if self.engine.dialect.name == "postgresql" else self.write()

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """Statements that each see the latest commits, without a transaction around them."""
        with translated_errors(), self._reader.connect() as connection:
            yield Transaction(connection, self.clock)

    def now_us(self) -> int:
        """The present instant, from the clock that this storage lives by."""
        given = self.clock.now_us()
        if given is not None:
            return given
        with self.read() as tx:
            return int(tx.scalar(select(NOW), now=None))

    def close(self) -> None:
        self.engine.dispose()


@contextmanager
def translated_errors() -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise StorageUnavailable("no free database connection") from error
    except DBAPIError as error:
        if error.connection_invalidated or _is_passing(error.orig):
            raise StorageUnavailable(str(error.orig).strip()) from error
        raise


PASSING_SQLSTATES = ("08", "25006", "40", "53", "55P03", "57")
"""Connection, read-only (a standby during a failover), serialization/deadlock, resources, lock
timeout, operator intervention."""


def _is_passing(error: BaseException | None) -> bool:
    """Whether the same statement may well succeed later."""
    if isinstance(error, sqlite3.OperationalError):
        return error.sqlite_errorname.startswith(
            (
                "SQLITE_BUSY",
                "SQLITE_LOCKED",
                "SQLITE_IOERR",
                "SQLITE_FULL",
                "SQLITE_CANTOPEN",
                "SQLITE_READONLY",
            )
        )
    sqlstate = getattr(error, "sqlstate", "00000")
    # psycopg gives no sqlstate when the server could not be reached at all
    return sqlstate is None or sqlstate.startswith(PASSING_SQLSTATES)


def open_storage(url: str, *, pool_size: int = 16, clock: Clock | None = None) -> Storage:
    """Open the database named by an SQLAlchemy URL (`sqlite:///...` or `postgresql://...`).

    Raises:
        SettingsError: the URL can not be read or names another kind of database.
    """
    parsed = parse_url(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return Storage(_sqlite_engine(parsed, pool_size), clock or SystemClock())
    if backend == "postgresql":
        return Storage(_postgres_engine(parsed, pool_size), clock or DatabaseClock())
    raise SettingsError(
        f"XQUEUE_DATABASE_URL: {backend!r} is not supported; use sqlite or postgresql"
    )


def parse_url(url: str) -> URL:
    """Raises: SettingsError, which does not repeat the URL: it may hold a password."""
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:  # ValueError: a port that is no number
        raise SettingsError("XQUEUE_DATABASE_URL is not an SQLAlchemy URL") from error


def _postgres_engine(url: URL, pool_size: int) -> Engine:
    asked = url.query.get("options", "")  # the operator's own come last and win
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        pool_recycle=1800,
        hide_parameters=True,  # learners' code must not reach a log through an error's text
        connect_args={"connect_timeout": 3, "options": f"{POSTGRES_SESSION} {asked}"},
    )


def _sqlite_engine(url: URL, pool_size: int) -> Engine:
    _make_file(Path(url.database or ""))
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        hide_parameters=True,  # as above
        connect_args={"timeout": 10},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _make_file(path: Path) -> None:
    """For its owner alone, as learners' code and password hashes will be in it. SQLite gives the
    files that it puts beside it the same mode."""
    if path.exists():
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError as error:
        raise SettingsError(
            f"can not make the database {path}: {error.strerror}; set XQUEUE_DATA_DIR to a "
            "directory that this user may write to"
        ) from error


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # no BEGIN of the driver's own
    connection.execute(f"PRAGMA busy_timeout={SQLITE_BUSY_TIMEOUT_MS}")
    _use_write_ahead_log(connection)
    for pragma in (
        "synchronous=FULL",
        "foreign_keys=ON",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """A new database is changed to it by whoever is first. Meanwhile SQLite refuses the others at
    once: for this one change its busy_timeout does not count when somebody is writing."""
    until = time.monotonic() + SQLITE_BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorname.startswith("SQLITE_BUSY")
            if not is_busy or time.monotonic() > until:
                raise
        else:
            return
        time.sleep(SQLITE_LOOK_EVERY_S)


def _begin_immediate(connection: Connection) -> None:
    """Take the write lock at once: upgrading a read lock fails without waiting (SQLITE_BUSY)."""
    if not connection.get_execution_options().get(READ_ONLY):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
