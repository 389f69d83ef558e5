"""The key that signs sessions and file URLs: given, or made and kept beside an SQLite database."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from xqueue_server.errors import SettingsError
from xqueue_server.settings.reading import read_secret


def read_secret_key(env: Mapping[str, str], data_dir: Path, database_url: str) -> bytes:
    given = read_secret(env, "XQUEUE_SECRET_KEY")
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
