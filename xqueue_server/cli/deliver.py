"""`xqueue-server deliver`: sends callbacks to the LMS, what is told of exams, and notifications of
faults."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Mapping, Sequence
from functools import partial

import click

from xqueue_server import settings
from xqueue_server.callbacks.delivery import Deliverer
from xqueue_server.callbacks.in_flight import Concurrency
from xqueue_server.cli.metrics_port import metrics_option, served_metrics
from xqueue_server.cli.notifications import notify_forever
from xqueue_server.cli.outgoing import Outgoing, by_kind, keeper
from xqueue_server.cli.stopping import told_to_stop
from xqueue_server.errors import SettingsError
from xqueue_server.monitoring import error_reports, logs, metrics, telemetry
from xqueue_server.settings import ANY_HTTPS, Mode, Settings
from xqueue_server.storage import Storage, migration, open_storage
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.transport.access import Access, read_access
from xqueue_server.transport.http import HttpTransport
from xqueue_server.upkeep.beating import DELIVER, heart
from xqueue_server.version import version

log = logging.getLogger(__name__)

SPARE_CONNECTIONS = 5
"""Database connections beside one for each sender: the loop's, the notifier's."""


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
@metrics_option
def deliver(concurrency: int, per_origin: int, metrics_at: str | None) -> None:
    """Send callbacks and notifications until SIGTERM, then finish what is being sent.

    Several may run at once. SIGHUP reads the LMS access file again.
    """
    loaded = settings.load()
    logs.configure(loaded.log_level)
    metrics.begin_at_zero("deliver")
    telemetry.start("xqueue-deliver")
    error_reports.start(loaded.sentry_dsn, release=version(), service="deliver")
    limits = Concurrency(total=concurrency, per_origin=per_origin)
    storage = open_storage(loaded.database_url, pool_size=limits.total + SPARE_CONNECTIONS)
    try:
        _check_database(storage)
        transport = create_transport(loaded, limits)
        lms_http = create_lms_http(loaded, limits)
        reload = partial(_reload_access, loaded, (transport, lms_http))
        store = ProctoringStore(storage, loaded.secret_key)
        outgoing = Outgoing(
            transport=by_kind(loaded, store, callbacks=transport, lms_http=lms_http),
            keep=keeper(store),
        )
        with served_metrics(metrics_at), told_to_stop(reload) as stop:
            deliver_and_notify(loaded, storage, outgoing, stop, limits)
    finally:
        storage.close()


def deliver_and_notify(
    loaded: Settings,
    storage: Storage,
    outgoing: Outgoing,
    stop: threading.Event,
    limits: Concurrency,
) -> None:
    """Do both until told to stop; returns when everything in flight has ended."""
    deliverer = Deliverer(
        storage,
        outgoing.transport,
        allows_origin=loaded.allows_origin,
        keep=outgoing.keep,
        concurrency=limits,
    )
    notifying = threading.Thread(target=notify_forever, args=(loaded, storage, stop), name="notify")
    notifying.start()
    try:
        deliverer.run(stop, beat=heart(storage, DELIVER))
    finally:
        stop.set()  # if this thread fails, the process must end, not go on notifying alone
        notifying.join()


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


def create_lms_http(loaded: Settings, limits: Concurrency) -> HttpTransport:
    """For what LMSes and providers are told of exams: an operator has entered each by its address,
    so that a private one is meant."""
    return HttpTransport(
        access=_read_access(loaded),
        is_guarded=lambda _: False,
        kept_connections=limits.per_origin,
    )


def _without_any_https(loaded: Settings) -> Settings:
    """These settings allow only the origins that an operator has named one by one."""
    named = tuple(origin for origin in loaded.lms_origins if origin != ANY_HTTPS)
    return dataclasses.replace(loaded, lms_origins=named)


def _read_access(loaded: Settings) -> Mapping[str, Access]:
    return read_access(loaded.lms_access_file, allows_origin=loaded.allows_origin)


def _reload_access(loaded: Settings, transports: Sequence[HttpTransport]) -> None:
    try:
        access = _read_access(loaded)
    except SettingsError as error:  # go on with what was read before
        log.error("LMS access not reloaded: %s", error, extra={"action": "access_kept"})
    else:
        for transport in transports:
            transport.replace_access(access)
        log.info("LMS access reloaded", extra={"action": "access_reloaded"})


def _check_database(storage: Storage) -> None:
    if problem := migration.problem(storage):
        raise SettingsError(problem)
