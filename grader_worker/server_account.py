"""An XQueue server and our account on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from grader_worker.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicAuth:
    """HTTP Basic credentials of a proxy in front of the server."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAccount:
    """`url` is the root below which `/xqueue/` lies, without a trailing slash."""

    url: str
    username: str
    password: str = field(repr=False)
    basic_auth: BasicAuth | None = None
    ca_bundle: Path | None = None
    whole_points: bool = False
    """It loses scores with a fraction, as edx-submissions does."""

    def __post_init__(self) -> None:
        if "@" in self.url.partition("?")[0]:
            # It would be logged, with what is in it.
            raise SettingsError(
                "the server's address has credentials in it: give them by files of their own"
            )
        if not self.url.startswith(("http://", "https://")):
            raise SettingsError(f"server {self.url!r}: expected an http:// or https:// address")
        object.__setattr__(self, "url", self.url.rstrip("/").removesuffix("/xqueue"))


def read_secret(path: Path) -> str:
    """The file's text without the newline that editors add.

    Raises:
        SettingsError: not readable, or empty.
    """
    try:
        secret = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"password file {path}: {error}") from error
    if not secret:
        raise SettingsError(f"password file {path} is empty")
    return secret


def read_basic_auth(path: Path) -> BasicAuth:
    """A file of one line `user:password`."""
    username, colon, password = read_secret(path).partition(":")
    if not colon:
        raise SettingsError(f"basic auth file {path}: expected user:password")
    return BasicAuth(username=username, password=password)
