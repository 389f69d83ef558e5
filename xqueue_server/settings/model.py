"""The settings as the server uses them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from xqueue_server.grader import Ceilings
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
