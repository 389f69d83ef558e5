"""One setting read from the environment as what it is: a number, an address, a secret.

Each raises SettingsError, naming the setting and what to write instead. The values may hold
passwords, so that messages never repeat those.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from xqueue_server.errors import SettingsError
from xqueue_server.settings.model import Network
from xqueue_server.settings.origins import ANY_HTTPS, origin_of

Choice = TypeVar("Choice", bound=StrEnum)


def read_secret(env: Mapping[str, str], name: str) -> str | None:
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


def read_positive(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name)
    if not text:
        return default
    if not re.fullmatch(r"[1-9]\d{0,11}", text):
        raise SettingsError(f"{name} must be a whole number above 0, not {text!r}")
    return int(text)


def read_days(env: Mapping[str, str], name: str, default: int) -> int:
    """0 is for ever."""
    text = env.get(name)
    if not text:
        return default
    if not re.fullmatch(r"0|[1-9]\d{0,4}", text):
        raise SettingsError(
            f"{name} must be a whole number of days up to 99999, or 0 for ever, not {text!r}"
        )
    return int(text)


def read_choice(env: Mapping[str, str], name: str, kind: type[Choice], default: Choice) -> Choice:
    text = env.get(name)
    if not text:
        return default
    try:
        return kind(text)
    except ValueError as error:
        raise SettingsError(f"{name} must be one of {', '.join(kind)}, not {text!r}") from error


def read_origins(env: Mapping[str, str], name: str) -> tuple[str, ...]:
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


def read_http_url(env: Mapping[str, str], name: str, default: str) -> str:
    url = env.get(name) or default
    if origin_of(url) is None:
        raise SettingsError(f"{name}: {url!r} is not an http(s) URL")
    return url.rstrip("/")


def read_networks(env: Mapping[str, str], name: str, default: str = "") -> tuple[Network, ...]:
    text = env.get(name) or default
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise SettingsError(f"{name}: {error}") from error


def read_path(env: Mapping[str, str], name: str) -> Path | None:
    value = env.get(name)
    return Path(value).absolute() if value else None
