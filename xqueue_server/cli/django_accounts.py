"""Reads accounts that a Django server (the reference XQueue) wrote out as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from xqueue_server.accounts import passwords
from xqueue_server.errors import InvalidRequest
from xqueue_server.storage.accounts import NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class DjangoAccount:
    username: str
    password_hash: str = field(repr=False)
    active: bool

    def problem(self) -> str | None:
        """Why it can not be taken over; None: it can."""
        if not NAME.fullmatch(self.username):
            return "the name has more than 128 characters, or others than letters, digits, .@+-_"
        if not passwords.is_importable(self.password_hash):
            return "its password is not stored as pbkdf2_sha256, or with too many iterations"
        return None


def read_django_accounts(path: Path) -> list[DjangoAccount]:
    """Raises: InvalidRequest with what is wrong with the file."""
    try:
        with click.open_file(str(path), encoding="utf-8") as file:
            entries = json.load(file)
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"{path}: not readable as JSON: {error}") from error
    if not isinstance(entries, list):
        raise InvalidRequest(f"{path}: expected a list of accounts")
    return [_account(entry, f"{path}, entry {i}") for i, entry in enumerate(entries, start=1)]


def _account(entry: Any, where: str) -> DjangoAccount:
    if isinstance(entry, dict):  # `dumpdata` wraps the columns of a row in "fields"
        entry = entry.get("fields", entry)
    username, password_hash = _texts(entry, where)
    return DjangoAccount(
        username=username,
        password_hash=password_hash,
        active=entry.get("is_active", True) is not False,
    )


def _texts(entry: Any, where: str) -> tuple[str, str]:
    found = (entry.get("username"), entry.get("password")) if isinstance(entry, dict) else ()
    match found:
        case (str() as username, str() as password_hash):
            return username, password_hash
        case _:
            raise InvalidRequest(f"{where}: needs the texts username and password")
