"""The settings as the server uses them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from xqueue_server.models.grader import Ceilings
from xqueue_server.settings.origins import ANY_HTTPS, DEMO_ORIGINS

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Mode(StrEnum):
    PRODUCTION = "production"
    DEMO = "demo"
    """Everything on one machine: callbacks to loopback are allowed without being listed."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSettings:
    """An OpenID Connect issuer that people sign in at."""

    issuer: str
    client_id: str
    client_secret: str | None = field(repr=False)
    """None: a public client."""
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LmsOauthSettings:
    """The LMS as OAuth 2 provider that people sign in at."""

    url: str
    client_id: str
    client_secret: str = field(repr=False)
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Settings:
    """A bucket that uploads are kept in."""

    bucket: str
    endpoint: str | None
    """None: Amazon's own."""
    region: str | None
    """None, as both keys: found as AWS's tools find it."""
    prefix: str
    """Ends with a slash, or is empty."""
    access_key: str | None
    secret_key: str | None = field(repr=False)


class PingOutage(StrEnum):
    """What our worker makes of a ping that does not reach us."""

    FAIL = "fail"
    """The page breaks the attempt off."""
    ECHO = "echo"
    """The page goes on; pings that stay away are an incident (see `ping_misses`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """Of JavaScript workers in the pages of exams."""

    bundles: Path | None
    """Directory of providers' bundles."""
    ping_outage: PingOutage
    ping_interval_s: int
    ping_misses: int
    """In a row, that are an incident; 0: never."""


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
    redis_ca_bundle: Path | None
    """Certificates to trust for it; None: the system's."""
    event_bus_redis_url: str = field(repr=False)
    """Of the Open edX event bus; "": there is none."""
    event_bus_topic_prefix: str
    max_body_bytes: int
    """All fields of a request that are not files, together."""
    max_file_bytes: int
    max_files: int
    file_url_ttl_s: int
    s3: S3Settings | None
    """None: uploads are kept in the data directory."""
    trusted_proxies: tuple[Network, ...]
    threads: int
    log_level: str
    ceilings: Ceilings
    """The most that a published grader may ask for; a queue may have its own."""
    webhook_origins: tuple[str, ...]
    """Where fault notifications may go although it is not public https."""
    mail: MailSettings | None
    """None: no e-mail can be sent."""
    keep_code_days: int
    """After a submission's end; 0: for ever. So are the other two."""
    keep_results_days: int
    keep_load_days: int
    keep_attempts_days: int
    """At exams, with their history; 0: for ever."""
    keep_names_days: int
    """Names of learners, and what people wrote about attempts; 0: for ever."""
    workers: WorkerSettings
    metrics_networks: tuple[Network, ...]
    """Whose requests for /metrics are answered without credentials."""
    metrics_dir: Path
    """Where the web processes of a host keep what they have counted, while they live."""
    sentry_dsn: str = field(repr=False)
    """"": unexpected errors stay in the logs."""
    admin_url: str
    """Base of the addresses at which people reach this server, without a trailing slash."""
    identity_provider: OidcSettings | LmsOauthSettings | None
    """None: the admin pages know local accounts only."""
    administrators: tuple[str, ...]
    """Verified e-mail addresses (with @) and subjects of the identity provider."""

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
