"""Puts the settings together from the environment."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from xqueue_server.errors import SettingsError
from xqueue_server.models.grader import Ceilings
from xqueue_server.settings.model import (
    MailSecurity,
    MailSettings,
    Mode,
    PingOutage,
    Settings,
    WorkerSettings,
)
from xqueue_server.settings.names import refuse_unknown
from xqueue_server.settings.people import read_administrators, read_identity_provider
from xqueue_server.settings.reading import (
    read_choice,
    read_days,
    read_http_url,
    read_networks,
    read_origins,
    read_path,
    read_positive,
    read_secret,
)
from xqueue_server.settings.s3 import read_s3
from xqueue_server.settings.secret_key import read_secret_key

MB = 1024 * 1024
LOCAL_URL = "http://127.0.0.1:8040"
# The values may hold passwords, so that messages never repeat them.
DATABASES = re.compile(r"(postgresql(\+\w+)?://|sqlite(\+\w+)?:///).")
REDIS = re.compile(r"(rediss?|unix)://.")
LEAST_PING_INTERVAL_S = 12
SENTRY = re.compile(r"https?://[0-9a-zA-Z]+@[^/@\s]+(/[^\s]*)?/\d+")
TOPIC_PREFIX = re.compile(r"[\w.-]{0,100}", re.ASCII)
LOOPBACK = "127.0.0.0/8, ::1"
SMTP_SERVER = re.compile(r"(?P<host>[\w.-]+|\[[0-9a-fA-F:]+\])(:(?P<port>[1-9]\d{0,4}))?")


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read and check the environment.

    Raises:
        SettingsError: names the setting that is wrong and what to write instead.
    """
    env = dict(os.environ if environ is None else environ)
    refuse_unknown(env)
    mode = read_choice(env, "XQUEUE_MODE", Mode, Mode.PRODUCTION)
    data_dir = Path(env.get("XQUEUE_DATA_DIR") or "/var/lib/xqueue").absolute()
    database_url = _database_url(env, data_dir)
    redis_url = _redis_url(env, "XQUEUE_REDIS_URL")
    file_url_ttl_s = read_positive(env, "XQUEUE_FILE_URL_TTL_S", 3600)
    return Settings(
        mode=mode,
        data_dir=data_dir,
        database_url=database_url,
        secret_key=read_secret_key(env, data_dir, database_url),
        public_url=read_http_url(env, "XQUEUE_PUBLIC_URL", LOCAL_URL),
        lms_origins=read_origins(env, "XQUEUE_LMS_ORIGINS"),
        lms_access_file=read_path(env, "XQUEUE_LMS_ACCESS_FILE"),
        redis_url=redis_url,
        redis_ca_bundle=_redis_ca_bundle(env, redis_url),
        event_bus_redis_url=_redis_url(env, "XQUEUE_EVENT_BUS_REDIS_URL"),
        event_bus_topic_prefix=_topic_prefix(env),
        max_body_bytes=read_positive(env, "XQUEUE_MAX_BODY_BYTES", 10 * MB),
        max_file_bytes=read_positive(env, "XQUEUE_MAX_FILE_BYTES", 10 * MB),
        max_files=read_positive(env, "XQUEUE_MAX_FILES", 20),
        file_url_ttl_s=file_url_ttl_s,
        s3=read_s3(env, ttl_s=file_url_ttl_s),
        trusted_proxies=read_networks(env, "XQUEUE_TRUSTED_PROXIES"),
        threads=read_positive(env, "XQUEUE_THREADS", 16),
        log_level=_log_level(env),
        ceilings=_ceilings(env),
        webhook_origins=read_origins(env, "XQUEUE_WEBHOOK_ORIGINS"),
        mail=_mail(env),
        keep_code_days=read_days(env, "XQUEUE_KEEP_CODE_DAYS", 180),
        keep_results_days=read_days(env, "XQUEUE_KEEP_RESULTS_DAYS", 730),
        keep_load_days=read_days(env, "XQUEUE_KEEP_LOAD_DAYS", 400),
        keep_attempts_days=read_days(env, "XQUEUE_KEEP_ATTEMPTS_DAYS", 730),
        keep_names_days=read_days(env, "XQUEUE_KEEP_NAMES_DAYS", 180),
        workers=_workers(env),
        admin_url=read_http_url(env, "XQUEUE_ADMIN_URL", env.get("XQUEUE_PUBLIC_URL") or LOCAL_URL),
        identity_provider=read_identity_provider(env),
        administrators=read_administrators(env),
        metrics_networks=read_networks(env, "XQUEUE_METRICS_NETWORKS", LOOPBACK),
        metrics_dir=read_path(env, "XQUEUE_METRICS_DIR") or _memory_directory(),
        sentry_dsn=_sentry_dsn(env),
    )


def _workers(env: Mapping[str, str]) -> WorkerSettings:
    misses = env.get("XQUEUE_PING_MISSES") or "3"
    if not re.fullmatch(r"\d{1,3}", misses, re.ASCII):
        raise SettingsError(f"XQUEUE_PING_MISSES must be a whole number, 0: none, not {misses!r}")
    interval_s = read_positive(env, "XQUEUE_PING_INTERVAL_S", 60)
    if interval_s % 2 or interval_s < LEAST_PING_INTERVAL_S:
        raise SettingsError(
            f"XQUEUE_PING_INTERVAL_S must be an even number from {LEAST_PING_INTERVAL_S} on, not "
            f"{interval_s}: exam pages never ping at an odd one, and allow 10 s less for the answer"
        )
    return WorkerSettings(
        bundles=read_path(env, "XQUEUE_WORKER_BUNDLES"),
        ping_outage=read_choice(env, "XQUEUE_PING_OUTAGE", PingOutage, PingOutage.ECHO),
        ping_interval_s=interval_s,
        ping_misses=int(misses),
    )


def _memory_directory() -> Path:
    memory = Path("/dev/shm")  # noqa: S108 - what is made there is a directory of our own
    return memory if memory.is_dir() else Path(tempfile.gettempdir())


def _sentry_dsn(env: Mapping[str, str]) -> str:
    dsn = read_secret(env, "XQUEUE_SENTRY_DSN") or env.get("SENTRY_DSN") or ""
    if dsn and not SENTRY.fullmatch(dsn):
        raise SettingsError("XQUEUE_SENTRY_DSN must be like https://key@sentry.example.org/42")
    return dsn


def _database_url(env: Mapping[str, str], data_dir: Path) -> str:
    given = read_secret(env, "XQUEUE_DATABASE_URL")
    if given is not None and not DATABASES.match(given):
        raise SettingsError(
            "XQUEUE_DATABASE_URL must be like postgresql://user:password@host/database "
            "or sqlite:////path/to/file"
        )
    return given or f"sqlite:///{data_dir}/xqueue.db"


def _redis_url(env: Mapping[str, str], name: str) -> str:
    url = read_secret(env, name) or ""
    if url and not _is_redis_url(url):
        raise SettingsError(f"{name} must be like redis://host:6379/0 or unix:///path")
    return url


def _topic_prefix(env: Mapping[str, str]) -> str:
    prefix = env.get("XQUEUE_EVENT_BUS_TOPIC_PREFIX") or ""
    if not TOPIC_PREFIX.fullmatch(prefix):
        raise SettingsError("XQUEUE_EVENT_BUS_TOPIC_PREFIX may have letters, digits, _ . and -")
    return prefix


def _redis_ca_bundle(env: Mapping[str, str], redis_url: str) -> Path | None:
    path = read_path(env, "XQUEUE_REDIS_CA_BUNDLE")
    if path is not None and not redis_url.startswith("rediss://"):
        raise SettingsError("XQUEUE_REDIS_CA_BUNDLE goes with an XQUEUE_REDIS_URL of rediss://")
    return path


def _is_redis_url(url: str) -> bool:
    try:
        return urlsplit(url).port != 0 and REDIS.match(url) is not None
    except ValueError:  # a port that is no number
        return False


def _ceilings(env: Mapping[str, str]) -> Ceilings:
    return Ceilings(
        wall_s=read_positive(env, "XQUEUE_MAX_GRADER_WALL_S", 120),
        memory_bytes=read_positive(env, "XQUEUE_MAX_GRADER_MEMORY_BYTES", 1024 * MB),
        cpus=read_positive(env, "XQUEUE_MAX_GRADER_CPUS", 2),
        pids=read_positive(env, "XQUEUE_MAX_GRADER_PIDS", 256),
        output_bytes=read_positive(env, "XQUEUE_MAX_GRADER_OUTPUT_BYTES", MB),
    )


def _mail(env: Mapping[str, str]) -> MailSettings | None:
    server, sender = env.get("XQUEUE_SMTP_SERVER"), env.get("XQUEUE_SMTP_FROM") or ""
    if not server:
        return None
    found = SMTP_SERVER.fullmatch(server)
    if not found:
        raise SettingsError("XQUEUE_SMTP_SERVER must be like mail.example.org:587")
    if "@" not in sender or not sender.isprintable():
        raise SettingsError("XQUEUE_SMTP_FROM must be an address like xqueue@example.org")
    return MailSettings(
        host=found["host"].strip("[]"),
        port=int(found["port"] or 587),
        security=read_choice(env, "XQUEUE_SMTP_SECURITY", MailSecurity, MailSecurity.STARTTLS),
        user=env.get("XQUEUE_SMTP_USER") or None,
        password=read_secret(env, "XQUEUE_SMTP_PASSWORD"),
        sender=sender,
    )


def _log_level(env: Mapping[str, str]) -> str:
    level = (env.get("XQUEUE_LOG_LEVEL") or "info").lower()
    if level not in ("debug", "info", "warning", "error"):
        raise SettingsError(
            f"XQUEUE_LOG_LEVEL must be debug, info, warning or error, not {level!r}"
        )
    return level.upper()
