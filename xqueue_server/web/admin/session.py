"""The session of the admin pages: a random cookie whose hash is stored, for half a day.

It has nothing in common with the sessions of the XQueue protocol, so that neither opens what the
other does. Signing out removes the row; a new password or a disabled account makes it void.
"""

from __future__ import annotations

import hashlib
import re
import secrets

from flask import Request, Response

from xqueue_server.models.account import Account
from xqueue_server.settings import Settings
from xqueue_server.storage import Storage, Transaction, accounts, admin_sessions
from xqueue_server.storage.proctoring import console_sessions
from xqueue_server.web.admin.paths import BASE
from xqueue_server.web.admin.security import is_https

COOKIE = "xqueue_admin"
LASTS_S = 12 * 3600
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


def begin(storage: Storage, account: Account) -> str:
    """The cookie of a new session."""
    secret = secrets.token_urlsafe(32)
    with storage.write() as tx:
        admin_sessions.add(
            tx,
            _hash(secret),
            account_id=account.id,
            credential_version=account.credential_version,
            lasts_s=LASTS_S,
        )
    return secret


def secret_of(request: Request) -> str | None:
    secret = request.cookies.get(COOKIE, "")
    return secret if _SECRET.fullmatch(secret) else None


def account_of(tx: Transaction, secret: str) -> Account | None:
    """The account as it is now, if the session still counts for it."""
    found = admin_sessions.find(tx, _hash(secret))
    account = accounts.by_id(tx, found[0]) if found else None
    if found is None or account is None or not account.active:
        return None
    return account if account.credential_version == found[1] else None


def end(storage: Storage, secret: str) -> None:
    """Also the account's sessions at the console, which began from here: whoever signs out on a
    shared computer leaves nothing open there."""
    with storage.write() as tx:
        found = admin_sessions.find(tx, _hash(secret))
        admin_sessions.end(tx, _hash(secret))
        if found is not None:
            console_sessions.end_of_account(tx, found[0])


def set_cookie(response: Response, request: Request, settings: Settings, secret: str) -> None:
    response.set_cookie(
        COOKIE,
        secret,
        max_age=LASTS_S,
        path=BASE,
        httponly=True,
        samesite="Lax",
        secure=is_https(request, settings),
    )


def drop_cookie(response: Response) -> None:
    response.delete_cookie(COOKIE, path=BASE, httponly=True, samesite="Lax")


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
