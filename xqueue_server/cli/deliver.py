"""`xqueue-server deliver`: sends callbacks to the LMS, and does what time alone makes due."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import click

from xqueue_server import logs, settings
from xqueue_server.app import create_dispatcher
from xqueue_server.cli.notifications import notify_forever
from xqueue_server.delivery import Deliverer
from xqueue_server.dispatch import Dispatcher
from xqueue_server.errors import SettingsError, StorageUnavailable
from xqueue_server.in_flight import Concurrency
from xqueue_server.settings import ANY_HTTPS, Mode, Settings
from xqueue_server.storage import Storage, migration, open_storage
from xqueue_server.sweeping import SweepReport, sweep
from xqueue_server.transport.access import Access, read_access
from xqueue_server.transport.http import HttpTransport

log = logging.getLogger(__name__)

SWEEP_EVERY_S = 2.0
SPARE_CONNECTIONS = 5
"""Database connections beside one for each sender: the loop's, the sweeper's, the notifier's."""


@click.command()
@click.option(
    "--concurrency",
    type=click.IntRange(1),
    default=32,
    show_default=True,
    help="Callbacks sent at once.",
)
@click.option(
    "--per-origin",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="At most so many to one LMS.",
)
def deliver(concurrency: int, per_origin: int) -> None:
    """Send callbacks and sweep until SIGTERM, then finish what is being sent.

    Several may run at once. SIGHUP reads the LMS access file again.
    """
    loaded = settings.load()
    logs.configure(loaded.log_level)
    limits = Concurrency(total=concurrency, per_origin=per_origin)
    storage = open_storage(loaded.database_url, pool_size=limits.total + SPARE_CONNECTIONS)
    try:
        _check_database(storage)
        transport = create_transport(loaded, limits)
        with _told_to_stop(partial(_reload_access, loaded, transport)) as stop:
            deliver_and_sweep(loaded, storage, transport, stop, limits)
    finally:
        storage.close()


def deliver_and_sweep(
    loaded: Settings,
    storage: Storage,
    transport: HttpTransport,
    stop: threading.Event,
    limits: Concurrency,
) -> None:
    """Do both until told to stop; returns when everything in flight has ended."""
    deliverer = Deliverer(
        storage, transport, allows_origin=loaded.allows_origin, concurrency=limits
    )
    beside = [
        threading.Thread(
            target=sweep_forever, args=(storage, create_dispatcher(loaded), stop), name="sweep"
        ),
        threading.Thread(target=notify_forever, args=(loaded, storage, stop), name="notify"),
    ]
    for thread in beside:
        thread.start()
    try:
        deliverer.run(stop)
    finally:
        stop.set()  # if this thread fails, the process must end, not go on sweeping alone
        for thread in beside:
            thread.join()


def sweep_forever(storage: Storage, dispatcher: Dispatcher, stop: threading.Event) -> None:
    """Sweep every 2 s. Whatever goes wrong is logged and tried again: it must not end silently."""
    while not stop.wait(SWEEP_EVERY_S):
        try:
            swept = sweep(storage)
            _log_swept(swept)
            for queue in swept.queues_with_work:
                dispatcher.nudge(queue)
        except StorageUnavailable as error:
            log.warning("no database", extra={"action": "sweep_paused", "why": str(error)})
        except Exception:
            log.exception("a sweep failed", extra={"action": "sweep_failed"})


def _log_swept(swept: SweepReport) -> None:
    """What people should hear of: a grader that is not well, and learners without a grade."""
    for action, count, message in (
        ("leases_expired", swept.returned, "leases expired; their submissions wait again"),
        ("submissions_held", swept.held, "submissions are held: all their leases expired"),
        ("submissions_given_up", swept.given_up, "holds lasted too long; the learners are told"),
    ):
        if count:
            log.warning(message, extra={"action": action, "count": count})


def create_transport(loaded: Settings, limits: Concurrency) -> HttpTransport:
    """Raises: SettingsError, also where every callback would be refused."""
    if loaded.mode is Mode.PRODUCTION and not loaded.lms_origins:
        raise SettingsError(
            "XQUEUE_LMS_ORIGINS is empty, so no callback may be sent; "
            "list the LMS, like https://lms.example.org"
        )
    named = _without_any_https(loaded)
    return HttpTransport(
        access=_read_access(loaded),
        is_guarded=lambda origin: not named.allows_origin(origin),
        kept_connections=limits.per_origin,
    )


def _without_any_https(loaded: Settings) -> Settings:
    """These settings allow only the origins that an operator has named one by one."""
    named = tuple(origin for origin in loaded.lms_origins if origin != ANY_HTTPS)
    return dataclasses.replace(loaded, lms_origins=named)


def _read_access(loaded: Settings) -> Mapping[str, Access]:
    return read_access(loaded.lms_access_file, allows_origin=loaded.allows_origin)


def _reload_access(loaded: Settings, transport: HttpTransport) -> None:
    try:
        transport.replace_access(_read_access(loaded))
    except SettingsError as error:  # go on with what was read before
        log.error("LMS access not reloaded: %s", error, extra={"action": "access_kept"})
    else:
        log.info("LMS access reloaded", extra={"action": "access_reloaded"})


def _check_database(storage: Storage) -> None:
    if not migration.is_current(storage):
        raise SettingsError("the database is not migrated; run: xqueue-server db upgrade")


@contextlib.contextmanager
def _told_to_stop(reload: Callable[[], None]) -> Iterator[threading.Event]:
    """An event that SIGTERM or SIGINT sets; SIGHUP calls `reload`."""
    stop = threading.Event()
    handlers = {
        signal.SIGTERM: lambda *_: stop.set(),
        signal.SIGINT: lambda *_: stop.set(),
        signal.SIGHUP: lambda *_: reload(),
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
