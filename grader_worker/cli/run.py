"""`grader-worker run`: woken through Redis and RQ."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import click
from click.core import ParameterSource

from grader_worker.cli.assignment_options import AssignmentFlags, assignment_options
from grader_worker.cli.control_option import CONTROL_OPTION
from grader_worker.control import control_path
from grader_worker.errors import SettingsError
from grader_worker.event_log import configure_logging
from grader_worker.nudged import run_nudged
from grader_worker.nudging import RedisAddress
from grader_worker.pool import Pool, parse_bounds
from grader_worker.published.grader_cache import default_cache_dir
from grader_worker.sandboxd.client import SandboxdClient
from grader_worker.server_account import read_secret

_FILE = click.Path(path_type=Path, dir_okay=False)
MAX_HOST_CHARS = 128


@click.command()
@click.option(
    "--redis-url",
    envvar="XQUEUE_REDIS_URL",
    metavar="URL",
    help="The Redis of the XQueue server; with a password in it only as $XQUEUE_REDIS_URL.",
)
@click.option(
    "--redis-url-file",
    type=_FILE,
    envvar="XQUEUE_REDIS_URL_FILE",
    help="File with that address, as rediss://user:password@host:6379/0.",
)
@click.option(
    "--redis-ca-bundle",
    type=_FILE,
    envvar="XQUEUE_REDIS_CA_BUNDLE",
    help="Certificates to trust for a rediss:// address.",
)
@click.option(
    "--autoscale",
    metavar="MIN:MAX",
    help="Follow the number of workers that the server says each queue needs, between these.",
)
@click.option("--host-name", help="What this host is called on the server [its own name].")
@CONTROL_OPTION
@assignment_options
@click.pass_context
def run(
    context: click.Context,
    flags: AssignmentFlags,
    redis_url: str | None,
    redis_url_file: Path | None,
    redis_ca_bundle: Path | None,
    autoscale: str | None,
    host_name: str | None,
    control: Path | None,
) -> None:
    """Like poll, but woken by the server's nudges; needs a running sandboxd on this host.

    SIGHUP reads the settings again; `grader-worker scale` changes the number of workers.
    """
    bounds = parse_bounds(autoscale) if autoscale else None
    settings = flags.settings(autoscale=bounds)
    if context.get_parameter_source("redis_url") is ParameterSource.COMMANDLINE:
        _refuse_password(redis_url or "")
        redis_url_file = None
    redis = RedisAddress(url=_redis_url(redis_url, redis_url_file), ca_bundle=redis_ca_bundle)
    socket_path = flags.socket_path(settings)

    def read_pools() -> tuple[Pool, ...]:
        return flags.settings(autoscale=bounds).pools

    configure_logging()
    run_nudged(
        read_pools,
        redis=redis,
        sandbox=SandboxdClient(socket_path),
        control=control or settings.control or control_path(socket_path),
        cache_dir=default_cache_dir(os.environ),
        host=_host_name(host_name),
    )


def _redis_url(url: str | None, file: Path | None) -> str:
    if file is not None:
        return read_secret(file).strip()
    if not url:
        raise SettingsError("give --redis-url or --redis-url-file")
    return url


def _refuse_password(url: str) -> None:
    """Every user of the host can read a command line."""
    address = url.partition("://")[2].partition("/")[0]
    if "@" in address or "password=" in url:
        raise SettingsError(
            "--redis-url has a password in it, which everybody on this host could read: give it by"
            " --redis-url-file or as $XQUEUE_REDIS_URL"
        )


def _host_name(given: str | None) -> str:
    name = given or socket.gethostname()
    is_path = "/" in name or name in (".", "..")  # it is a part of one on the server
    if is_path or not name.isprintable() or not 0 < len(name) <= MAX_HOST_CHARS:
        raise SettingsError(
            f"--host-name: 1 to {MAX_HOST_CHARS} printable characters without a slash"
        )
    return name
