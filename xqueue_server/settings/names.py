"""The names of all settings. They are documented in docs/reference/settings.md."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

from xqueue_server.errors import SettingsError

SETTINGS: dict[str, str] = {
    "XQUEUE_MODE": "production (default) or demo",
    "XQUEUE_DATA_DIR": "directory for files, the secret key and SQLite; default /var/lib/xqueue",
    "XQUEUE_DATABASE_URL": "SQLAlchemy URL; default SQLite in the data directory",
    "XQUEUE_DATABASE_URL_FILE": "file that holds the same",
    "XQUEUE_SECRET_KEY": "signs sessions and file URLs; 32 characters or more",
    "XQUEUE_SECRET_KEY_FILE": "file that holds the same",
    "XQUEUE_PUBLIC_URL": "where graders reach this server; default http://127.0.0.1:8040",
    "XQUEUE_LMS_ORIGINS": "comma-separated exact origins that callbacks may go to",
    "XQUEUE_LMS_ACCESS_FILE": "TOML file with CA bundle and credentials per LMS origin",
    "XQUEUE_REDIS_URL": "Redis that carries nudges to RQ workers; empty (default): none",
    "XQUEUE_REDIS_URL_FILE": "file that holds the same",
    "XQUEUE_REDIS_CA_BUNDLE": "certificates to trust for a rediss:// address",
    "XQUEUE_EVENT_BUS_REDIS_URL": "Redis of the Open edX event bus; empty (default): none",
    "XQUEUE_EVENT_BUS_REDIS_URL_FILE": "file that holds the same",
    "XQUEUE_EVENT_BUS_TOPIC_PREFIX": "the LMS's EVENT_BUS_TOPIC_PREFIX; default none",
    "XQUEUE_MAX_BODY_BYTES": "limit of a request's fields together; default 10 MB",
    "XQUEUE_MAX_FILE_BYTES": "limit of one uploaded file; default 10 MB",
    "XQUEUE_MAX_FILES": "most files of one submission; default 20",
    "XQUEUE_FILE_URL_TTL_S": "how long a file URL handed to a grader works; default 3600",
    "XQUEUE_S3_BUCKET": "bucket for uploaded files; empty (default): the data directory",
    "XQUEUE_S3_ENDPOINT": "address of its S3 service; default Amazon's",
    "XQUEUE_S3_REGION": "its region; default as AWS's tools find it",
    "XQUEUE_S3_PREFIX": "beginning of the objects' names; default none",
    "XQUEUE_S3_ACCESS_KEY": "credentials there; default as AWS's tools find them",
    "XQUEUE_S3_SECRET_KEY": "the secret that belongs to it",
    "XQUEUE_S3_SECRET_KEY_FILE": "file that holds the same",
    "XQUEUE_TRUSTED_PROXIES": "comma-separated networks whose X-Forwarded-For is believed",
    "XQUEUE_THREADS": "threads of each web process; default 16",
    "XQUEUE_MAX_GRADER_WALL_S": "most seconds of one run of a published grader; default 120",
    "XQUEUE_MAX_GRADER_MEMORY_BYTES": "most memory of one; default 1 GB",
    "XQUEUE_MAX_GRADER_CPUS": "most processors of one; default 2",
    "XQUEUE_MAX_GRADER_PIDS": "most processes of one; default 256",
    "XQUEUE_MAX_GRADER_OUTPUT_BYTES": "most output of one execution; default 1 MB",
    "XQUEUE_WEBHOOK_ORIGINS": "comma-separated origins of webhooks that are not public https",
    "XQUEUE_SMTP_SERVER": "HOST or HOST:PORT (587) that takes e-mail; empty (default): none",
    "XQUEUE_SMTP_SECURITY": "starttls (default), tls or none",
    "XQUEUE_SMTP_USER": "user name there; empty (default): no login",
    "XQUEUE_SMTP_PASSWORD": "its password",
    "XQUEUE_SMTP_PASSWORD_FILE": "file that holds the same",
    "XQUEUE_SMTP_FROM": "sender of notifications; required with XQUEUE_SMTP_SERVER",
    "XQUEUE_ADMIN_URL": "where people reach the admin pages; default XQUEUE_PUBLIC_URL",
    "XQUEUE_OIDC_ISSUER": "OpenID Connect issuer that people sign in at; empty (default): none",
    "XQUEUE_OIDC_CLIENT_ID": "this server's client id there",
    "XQUEUE_OIDC_CLIENT_SECRET": "its secret; empty (default): a public client",
    "XQUEUE_OIDC_CLIENT_SECRET_FILE": "file that holds the same",
    "XQUEUE_OIDC_NAME": "the issuer's name on the button; default single sign-on",
    "XQUEUE_LMS_OAUTH_URL": "instead: LMS whose OAuth 2 provider people sign in at",
    "XQUEUE_LMS_OAUTH_CLIENT_ID": "this server's client id there",
    "XQUEUE_LMS_OAUTH_CLIENT_SECRET": "its secret",
    "XQUEUE_LMS_OAUTH_CLIENT_SECRET_FILE": "file that holds the same",
    "XQUEUE_LMS_OAUTH_NAME": "the LMS's name on the button; default the LMS",
    "XQUEUE_ADMIN_SUBJECTS": "comma-separated e-mails or subjects that may administer everything",
    "XQUEUE_KEEP_CODE_DAYS": "days that a learner's code is kept after the end; default 180",
    "XQUEUE_KEEP_RESULTS_DAYS": "days that a submission and its results are; default 730",
    "XQUEUE_KEEP_ATTEMPTS_DAYS": "days that an exam attempt is kept after its end; default 730",
    "XQUEUE_KEEP_NAMES_DAYS": "days that names and words about exam attempts are; default 180",
    "XQUEUE_WORKER_BUNDLES": "directory of proctoring providers' worker bundles; default none",
    "XQUEUE_PING_OUTAGE": "echo (default) or fail: a ping while this server is away",
    "XQUEUE_PING_INTERVAL_S": "seconds between pings of an exam's page; default 60",
    "XQUEUE_PING_MISSES": "missed pings in a row that are an incident; default 3, 0: none",
    "XQUEUE_KEEP_LOAD_DAYS": "days that the history of load is kept; default 400",
    "XQUEUE_LOG_LEVEL": "debug, info (default), warning or error",
    "XQUEUE_METRICS_NETWORKS": "comma-separated networks that may read /metrics; default loopback",
    "XQUEUE_METRICS_DIR": "directory for the counts of web processes; default in memory",
    "XQUEUE_SENTRY_DSN": "where unexpected errors are reported; empty (default): nowhere",
    "XQUEUE_SENTRY_DSN_FILE": "file that holds the same",
}
"""Every name and what it is for; the settings page of the docs is checked against it."""
INJECTED_BY_KUBERNETES = re.compile(
    r"XQUEUE_(PORT(_.*)?|SERVICE_.*|\w+_SERVICE_(HOST|PORT(_\w+)?)|\w+_PORT(_\d+_(TCP|UDP)(_\w+)?)?)"
)
"""For every service whose name begins with `xqueue` (`xqueue-web` gives XQUEUE_WEB_PORT, …)."""


def refuse_unknown(env: Mapping[str, str]) -> None:
    for name in env:
        if not name.startswith("XQUEUE_") or name in SETTINGS:
            continue
        if INJECTED_BY_KUBERNETES.fullmatch(name):
            continue
        near = difflib.get_close_matches(name, SETTINGS, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; see `xqueue-server doctor --settings`"
        raise SettingsError(f"{name} is not a setting{hint}")
