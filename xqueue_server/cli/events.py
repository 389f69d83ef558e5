"""`xqueue-server events`: what pages that are open are told, as Server-Sent Events."""

from __future__ import annotations

import click

from xqueue_server import settings
from xqueue_server.cli.metrics_port import metrics_option, served_metrics
from xqueue_server.cli.stopping import told_to_stop
from xqueue_server.errors import SettingsError
from xqueue_server.live.process import Bind, listening, serve_until
from xqueue_server.monitoring import error_reports, logs, metrics, telemetry
from xqueue_server.storage import migration, open_storage
from xqueue_server.upkeep.beating import EVENTS, heart
from xqueue_server.version import version

CONNECTIONS = 4
"""To the database: the feed's, and those for pages that come back after long."""


@click.command()
@click.option("--bind", default="127.0.0.1:8042", show_default=True, metavar="HOST:PORT")
@click.option(
    "--most-clients",
    type=click.IntRange(1),
    default=2000,
    show_default=True,
    help="Streams at once; more are answered 503, and their pages ask every few seconds instead.",
)
@metrics_option
def events(bind: str, most_clients: int, metrics_at: str | None) -> None:
    """Stream news of exam attempts to open pages until SIGTERM, then end the streams.

    Several may run at once, behind the same address as `serve`: a proxy sends /proctoring/events
    here. /healthz and /readyz are its own.
    """
    loaded = settings.load()
    logs.configure(loaded.log_level)
    metrics.begin_at_zero("events")
    telemetry.start("xqueue-events")
    error_reports.start(loaded.sentry_dsn, release=version(), service="events")
    storage = open_storage(loaded.database_url, pool_size=CONNECTIONS)
    try:
        if problem := migration.problem(storage):
            raise SettingsError(problem)
        with (
            listening(_bind(bind)) as opened,
            served_metrics(metrics_at),
            told_to_stop() as stop,
        ):
            serve_until(
                stop,
                opened,
                storage,
                loaded.secret_key,
                most_clients=most_clients,
                beat=heart(storage, EVENTS),
            )
    finally:
        storage.close()


def _bind(text: str) -> Bind:
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdecimal()) or not int(port) < 65_536:
        raise SettingsError(f"--bind: {text!r} is not HOST:PORT, like 127.0.0.1:8042")
    return Bind(host=host.strip("[]"), port=int(port))
