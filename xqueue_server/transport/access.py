"""The LMS access file: which CA and which credentials go with which LMS origin.

    ["https://lms.example.org"]
    ca_bundle = "/etc/xqueue/lms-ca.pem"
    basic_user = "xqueue"
    basic_password_file = "/run/secrets/lms_password"

Credentials never come from a submission. Secrets are in files of their own, read at start.
"""

from __future__ import annotations

import base64
import difflib
import ssl
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xqueue_server.errors import SettingsError
from xqueue_server.settings import origin_of

KEYS = ("ca_bundle", "basic_user", "basic_password_file", "bearer_token_file")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How one LMS origin is reached."""

    tls: ssl.SSLContext | None = field(default=None, repr=False)
    """None: the system's certificate authorities."""
    authorization: str | None = field(default=None, repr=False)
    """Value of the Authorization header."""


def read_access(path: Path | None, *, allows_origin: Callable[[str], bool]) -> Mapping[str, Access]:
    """Read the file and everything that it names; no file, no entries.

    Raises:
        SettingsError: names the entry that is wrong and what to write instead.
    """
    if path is None:
        return {}
    try:
        with path.open("rb") as file:
            tables = tomllib.load(file)
    except OSError as error:
        raise _wrong(f"can not read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _wrong(f"{path} is not TOML: {error}") from error
    return {
        _checked_origin(name, allows_origin): _access(name, table) for name, table in tables.items()
    }


def _wrong(message: str) -> SettingsError:
    return SettingsError(f"XQUEUE_LMS_ACCESS_FILE: {message}")


def _checked_origin(name: str, allows_origin: Callable[[str], bool]) -> str:
    if origin_of(name) != name:
        raise _wrong(f'["{name}"] is not an origin like ["https://lms.example.org"]')
    if not allows_origin(name):
        raise _wrong(f"{name} is not in XQUEUE_LMS_ORIGINS")
    return name


def _access(origin: str, table: Any) -> Access:
    entries = _checked_entries(origin, table)
    bundle = entries.get("ca_bundle")
    if bundle and not origin.startswith("https://"):
        raise _wrong(f"{origin}: ca_bundle has no meaning without https")
    return Access(
        tls=_tls(origin, bundle) if bundle else None,
        authorization=_authorization(origin, entries),
    )


def _checked_entries(origin: str, table: Any) -> dict[str, str]:
    if not isinstance(table, dict):
        raise _wrong(f'{origin!r} must be a table: ["https://lms.example.org"]')
    for key, value in table.items():
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(KEYS)}"
            raise _wrong(f"{origin}: {key!r} is not known; {hint}")
        if not isinstance(value, str) or not value:
            raise _wrong(f"{origin}: {key} must be a text")
    return table


def _tls(origin: str, bundle: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=bundle)
    except (OSError, ssl.SSLError) as error:
        raise _wrong(f"{origin}: can not use ca_bundle {bundle}: {error}") from error


def _authorization(origin: str, entries: Mapping[str, str]) -> str | None:
    user, password_file = entries.get("basic_user"), entries.get("basic_password_file")
    token_file = entries.get("bearer_token_file")
    if (user is None) != (password_file is None):
        raise _wrong(f"{origin}: basic_user and basic_password_file belong together")
    if user is not None and token_file is not None:
        raise _wrong(f"{origin}: give basic_user or bearer_token_file, not both")
    if token_file is not None:
        return f"Bearer {_secret(origin, token_file)}"
    if user is None or password_file is None:
        return None
    pair = f"{user}:{_secret(origin, password_file)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _secret(origin: str, path: str) -> str:
    try:
        secret = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(f"{origin}: can not read {path}") from error
    if not secret or not secret.isprintable():
        raise _wrong(f"{origin}: {path} must hold the secret alone, on one line")
    return secret
