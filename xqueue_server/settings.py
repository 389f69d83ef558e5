"""The server's settings: one frozen object, read once from the environment.

Every name starts with XQUEUE_. A name that is not known is refused, because a misspelt setting
that is silently ignored shows only when it hurts.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from xqueue_server.errors import SettingsError
from xqueue_server.grader import Ceilings

MB = 1024 * 1024
ANY_HTTPS = "https://*"
"""As an entry of XQUEUE_LMS_ORIGINS: any https origin whose every address is public."""

INJECTED_BY_KUBERNETES = re.compile(
    r"XQUEUE_(PORT(_.*)?|SERVICE_.*|\w+_SERVICE_(HOST|PORT(_\w+)?)|\w+_PORT(_\d+_(TCP|UDP)(_\w+)?)?)"
)
"""For every service whose name begins with `xqueue` (`xqueue-web` gives XQUEUE_WEB_PORT, …)."""
# The values may hold passwords, so that messages never repeat them.
DATABASES = re.compile(r"(postgresql(\+\w+)?://|sqlite(\+\w+)?:///).")
REDIS = re.compile(r"(rediss?|unix)://.")
SMTP_SERVER = re.compile(r"(?P<host>[\w.-]+|\[[0-9a-fA-F:]+\])(:(?P<port>[1-9]\d{0,4}))?")
DEMO_ORIGINS = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?")

Choice = TypeVar("Choice", bound=StrEnum)
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class MailSecurity(StrEnum):
    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"
    """Only for a relay on the same host or network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """How notifications leave by SMTP."""

    host: str
    port: int
    security: MailSecurity
    user: str | None
    password: str | None = field(repr=False)
    sender: str


class Mode(StrEnum):
    PRODUCTION = "production"
    DEMO = "demo"
    """Everything on one machine: callbacks to loopback are allowed without being listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    mode: Mode
    data_dir: Path
    database_url: str = field(repr=False)
    secret_key: bytes = field(repr=False)
    public_url: str
    """Base of the file URLs handed to graders, without a trailing slash."""
    lms_origins: tuple[str, ...]
    lms_access_file: Path | None
    """TOML with CA bundle and credentials per LMS origin (see docs/reference/settings.md)."""
    redis_url: str = field(repr=False)
    max_body_bytes: int
    """All fields of a request that are not files, together."""
    max_file_bytes: int
    max_files: int
    file_url_ttl_s: int
    trusted_proxies: tuple[Network, ...]
    threads: int
    log_level: str
    ceilings: Ceilings
    """The most that a published grader may ask for; a queue may have its own."""
    webhook_origins: tuple[str, ...]
    """Where fault notifications may go although it is not public https."""
    mail: MailSettings | None
    """None: no e-mail can be sent."""

    @property
    def is_sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    def allows_origin(self, origin: str) -> bool:
        """Whether callbacks may go to this origin (`scheme://host[:port]`, lower case)."""
        if origin in self.lms_origins:
            return True
        if ANY_HTTPS in self.lms_origins and origin.startswith("https://"):
            return True
        return self.mode is Mode.DEMO and DEMO_ORIGINS.fullmatch(origin) is not None


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
    "XQUEUE_MAX_BODY_BYTES": "limit of a request's fields together; default 10 MB",
    "XQUEUE_MAX_FILE_BYTES": "limit of one uploaded file; default 10 MB",
    "XQUEUE_MAX_FILES": "most files of one submission; default 20",
    "XQUEUE_FILE_URL_TTL_S": "how long a file URL handed to a grader works; default 3600",
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
    "XQUEUE_LOG_LEVEL": "debug, info (default), warning or error",
}
"""Every name and what it is for; the settings page of the docs is checked against it."""


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read and check the environment.

    Raises:
        SettingsError: names the setting that is wrong and what to write instead.
    """
    env = dict(os.environ if environ is None else environ)
    _refuse_unknown(env)
    mode = _choice(env, "XQUEUE_MODE", Mode, Mode.PRODUCTION)
    data_dir = Path(env.get("XQUEUE_DATA_DIR") or "/var/lib/xqueue").absolute()
    database_url = _database_url(env, data_dir)
    return Settings(
        mode=mode,
        data_dir=data_dir,
        database_url=database_url,
        secret_key=_secret_key(env, data_dir, database_url),
        public_url=_http_url(env, "XQUEUE_PUBLIC_URL", "http://127.0.0.1:8040"),
        lms_origins=_origins(env, "XQUEUE_LMS_ORIGINS"),
        lms_access_file=_optional_path(env, "XQUEUE_LMS_ACCESS_FILE"),
        redis_url=_redis_url(env),
        max_body_bytes=_positive(env, "XQUEUE_MAX_BODY_BYTES", 10 * MB),
        max_file_bytes=_positive(env, "XQUEUE_MAX_FILE_BYTES", 10 * MB),
        max_files=_positive(env, "XQUEUE_MAX_FILES", 20),
        file_url_ttl_s=_positive(env, "XQUEUE_FILE_URL_TTL_S", 3600),
        trusted_proxies=_networks(env.get("XQUEUE_TRUSTED_PROXIES", "")),
        threads=_positive(env, "XQUEUE_THREADS", 16),
        log_level=_log_level(env),
        ceilings=_ceilings(env),
        webhook_origins=_origins(env, "XQUEUE_WEBHOOK_ORIGINS"),
        mail=_mail(env),
    )


def origin_of(url: str) -> str | None:
    """`scheme://host[:port]` of an absolute http(s) URL, normalised; None if it is not one."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    if scheme not in ("http", "https") or not host or parts.username is not None:
        return None
    if not re.fullmatch(r"[a-z0-9._:-]+", host):
        return None
    shown = f"[{host}]" if ":" in host else host
    is_default = port is None or port == {"http": 80, "https": 443}[scheme]
    return f"{scheme}://{shown}" if is_default else f"{scheme}://{shown}:{port}"


def _refuse_unknown(env: Mapping[str, str]) -> None:
    for name in env:
        if not name.startswith("XQUEUE_") or name in SETTINGS:
            continue
        if INJECTED_BY_KUBERNETES.fullmatch(name):
            continue
        near = difflib.get_close_matches(name, SETTINGS, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; see `xqueue-server doctor --settings`"
        raise SettingsError(f"{name} is not a setting{hint}")


def _secret(env: Mapping[str, str], name: str) -> str | None:
    """A value given directly or through NAME_FILE (a mounted secret)."""
    path = env.get(f"{name}_FILE")
    if path and env.get(name):
        raise SettingsError(f"{name} and {name}_FILE are both set; keep one")
    if not path:
        return env.get(name) or None
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name}_FILE: can not read {path}") from error
    if not text:  # a default instead could mean another, empty database
        raise SettingsError(f"{name}_FILE: {path} is empty")
    return text


def _database_url(env: Mapping[str, str], data_dir: Path) -> str:
    given = _secret(env, "XQUEUE_DATABASE_URL")
    if given is not None and not DATABASES.match(given):
        raise SettingsError(
            "XQUEUE_DATABASE_URL must be like postgresql://user:password@host/database "
            "or sqlite:////path/to/file"
        )
    return given or f"sqlite:///{data_dir}/xqueue.db"


def _redis_url(env: Mapping[str, str]) -> str:
    url = _secret(env, "XQUEUE_REDIS_URL") or ""
    if url and not _is_redis_url(url):
        raise SettingsError("XQUEUE_REDIS_URL must be like redis://host:6379/0 or unix:///path")
    return url


def _is_redis_url(url: str) -> bool:
    try:
        return urlsplit(url).port != 0 and REDIS.match(url) is not None
    except ValueError:  # a port that is no number
        return False


def _secret_key(env: Mapping[str, str], data_dir: Path, database_url: str) -> bytes:
    given = _secret(env, "XQUEUE_SECRET_KEY")
    if given is not None:
        if len(given) < 32:
            raise SettingsError("XQUEUE_SECRET_KEY must have 32 characters or more")
        return given.encode()
    if not database_url.startswith("sqlite"):
        raise SettingsError(
            "XQUEUE_SECRET_KEY (or _FILE) is required with PostgreSQL, the same on every host; "
            "make one with: python3 -c 'import secrets; print(secrets.token_hex(32))'"
        )
    return _own_secret_key(data_dir / "secret_key")


def _own_secret_key(path: Path) -> bytes:
    """The key kept beside an SQLite database, made at the first start by whoever comes first."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        if not path.exists():
            draft.touch(mode=0o600)
            draft.write_text(secrets.token_hex(32))
            try:
                os.link(draft, path)  # fails if another process was faster: its key is the key
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        key = path.read_text().strip().encode()
    except OSError as error:
        raise SettingsError(
            f"can not keep a secret key in {path.parent}: {error.strerror}; "
            "set XQUEUE_DATA_DIR to a writable directory"
        ) from error
    if len(key) < 32:
        raise SettingsError(f"{path} does not hold a secret key; remove it to make a new one")
    return key


def _ceilings(env: Mapping[str, str]) -> Ceilings:
    return Ceilings(
        wall_s=_positive(env, "XQUEUE_MAX_GRADER_WALL_S", 120),
        memory_bytes=_positive(env, "XQUEUE_MAX_GRADER_MEMORY_BYTES", 1024 * MB),
        cpus=_positive(env, "XQUEUE_MAX_GRADER_CPUS", 2),
        pids=_positive(env, "XQUEUE_MAX_GRADER_PIDS", 256),
        output_bytes=_positive(env, "XQUEUE_MAX_GRADER_OUTPUT_BYTES", MB),
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
        security=_choice(env, "XQUEUE_SMTP_SECURITY", MailSecurity, MailSecurity.STARTTLS),
        user=env.get("XQUEUE_SMTP_USER") or None,
        password=_secret(env, "XQUEUE_SMTP_PASSWORD"),
        sender=sender,
    )


def _origins(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    found = []
    for entry in filter(None, (part.strip() for part in env.get(name, "").split(","))):
        if entry == ANY_HTTPS:
            found.append(entry)
            continue
        origin = origin_of(entry)
        if origin is None or urlsplit(entry).path.strip("/"):
            raise SettingsError(f"{name}: {entry!r} is not an origin like https://lms.example.org")
        found.append(origin)
    return tuple(found)


def _http_url(env: Mapping[str, str], name: str, default: str) -> str:
    url = env.get(name) or default
    if origin_of(url) is None:
        raise SettingsError(f"{name}: {url!r} is not an http(s) URL")
    return url.rstrip("/")


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise SettingsError(f"XQUEUE_TRUSTED_PROXIES: {error}") from error


def _positive(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name)
    if not text:
        return default
    if not re.fullmatch(r"[1-9]\d{0,11}", text):
        raise SettingsError(f"{name} must be a whole number above 0, not {text!r}")
    return int(text)


def _optional_path(env: Mapping[str, str], name: str) -> Path | None:
    value = env.get(name)
    return Path(value).absolute() if value else None


def _choice(env: Mapping[str, str], name: str, kind: type[Choice], default: Choice) -> Choice:
    text = env.get(name)
    if not text:
        return default
    try:
        return kind(text)
    except ValueError as error:
        raise SettingsError(f"{name} must be one of {', '.join(kind)}, not {text!r}") from error


def _log_level(env: Mapping[str, str]) -> str:
    level = (env.get("XQUEUE_LOG_LEVEL") or "info").lower()
    if level not in ("debug", "info", "warning", "error"):
        raise SettingsError(
            f"XQUEUE_LOG_LEVEL must be debug, info, warning or error, not {level!r}"
        )
    return level.upper()
