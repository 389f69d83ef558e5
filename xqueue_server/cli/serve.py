"""`xqueue-server serve`: gunicorn with the web application, configured by our settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from gunicorn.app.base import BaseApplication

from xqueue_server import settings
from xqueue_server.app import create_app
from xqueue_server.errors import SettingsError
from xqueue_server.monitoring import error_reports, logs, telemetry
from xqueue_server.settings import Settings
from xqueue_server.storage import migration, open_storage
from xqueue_server.version import version
from xqueue_server.web import gunicorn_metrics

MEMORY_DIRECTORY = "/dev/shm"  # noqa: S108 - gunicorn's heartbeat files, kept off the disk


class WebServer(BaseApplication):
    """gunicorn, with the application made in each worker, after the fork."""

    def __init__(self, loaded: Settings, options: dict[str, Any]) -> None:
        self._settings = loaded
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        telemetry.start("xqueue-server")
        error_reports.start(self._settings.sentry_dsn, release=version(), service="serve")
        return create_app(self._settings)


@click.command()
@click.option("--bind", default="127.0.0.1:8040", show_default=True, help="HOST:PORT or unix:PATH.")
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
@click.option(
    "--keepalive-s",
    type=click.IntRange(1),
    default=75,
    show_default=True,
    help="Longer than the proxy's own.",
)
def serve(bind: str, workers: int, keepalive_s: int) -> None:
    """Serve the XQueue protocol until SIGTERM, then finish what is in flight."""
    loaded = settings.load()
    logs.configure(loaded.log_level)
    _check_database(loaded)
    with gunicorn_metrics.shared_metrics(loaded.metrics_dir):
        WebServer(loaded, gunicorn_options(loaded, bind, workers, keepalive_s)).run()


def _check_database(loaded: Settings) -> None:
    """Refuse to start on a schema that this code does not know."""
    storage = open_storage(loaded.database_url)
    try:
        if problem := migration.problem(storage):
            raise SettingsError(problem)
    finally:
        storage.close()


def gunicorn_options(loaded: Settings, bind: str, workers: int, keepalive_s: int) -> dict[str, Any]:
    return {
        "bind": bind,
        "workers": workers,
        "worker_class": "xqueue_server.web.gunicorn_worker.Worker",  # gthread
        "threads": loaded.threads,
        "timeout": 60,
        "graceful_timeout": 30,
        "keepalive": keepalive_s,
        "max_requests": 50_000,
        "max_requests_jitter": 5_000,
        "worker_tmp_dir": MEMORY_DIRECTORY if Path(MEMORY_DIRECTORY).is_dir() else None,
        "forwarded_allow_ips": "",  # we read X-Forwarded-For ourselves, see client_address
        "control_socket_disable": True,
        "proc_name": "xqueue-server",
        "pre_fork": gunicorn_metrics.give_place,
        "post_fork": gunicorn_metrics.take_place,
        "logger_class": "xqueue_server.web.gunicorn_log.GunicornLog",
    }
