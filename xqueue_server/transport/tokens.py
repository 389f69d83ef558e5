"""Access tokens of OAuth2 clients (RFC 6749, 4.4), as Open edX gives and takes them: got once, used
by all threads until shortly before their end."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from proctoring_hooks.providers.base import Credentials
from xqueue_server.settings import origin_of
from xqueue_server.transport import Meaning, Outcome
from xqueue_server.transport.http import HttpTransport

MARGIN_S = 30.0
"""A token is not begun to be used so long before its end; half of its life, if that is less."""
LONGEST_LIFE_S = 24 * 3600.0
LONGEST_SAID_S = 1e12
BUSY = (408, 425, 429)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    authorization: str = field(repr=False)
    """Value of the header: `JWT …` or `Bearer …`, whichever the server has said."""
    use_until: float
    """By this process's monotonic clock."""


class _Shelf:
    """What is kept for one client."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.token: Token | None = None


class Tokens:
    """Safe for many threads; one of them asks for a client's token while the others wait."""

    def __init__(
        self, http: HttpTransport, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._http = http
        self._monotonic = monotonic
        self._shelves: dict[Credentials, _Shelf] = {}
        self._lock = threading.Lock()

    def get(self, client: Credentials, *, within_s: float) -> Token | Outcome:
        """An outcome: there is none to be had, and why."""
        shelf = self._shelf(client)
        began = self._monotonic()
        if not shelf.lock.acquire(timeout=max(within_s, 0)):
            return Outcome(status=None, error="no access token within the time for it")
        try:
            if shelf.token is None or self._monotonic() >= shelf.token.use_until:
                left_s = within_s - (self._monotonic() - began)
                fetched = self._fetched(client, left_s)
                if isinstance(fetched, Outcome):
                    return fetched
                shelf.token = fetched
            return shelf.token
        finally:
            shelf.lock.release()

    def drop(self, client: Credentials, token: Token) -> None:
        """It was refused: the next one who wants one gets another."""
        shelf = self._shelf(client)
        with shelf.lock:
            if shelf.token is token:
                shelf.token = None

    def _shelf(self, client: Credentials) -> _Shelf:
        with self._lock:
            return self._shelves.setdefault(client, _Shelf())

    def _fetched(self, client: Credentials, within_s: float) -> Token | Outcome:
        origin = origin_of(client.token_url)
        if origin is None:
            return Outcome(
                status=None, error="the token endpoint has no address", is_permanent=True
            )
        form = {
            "grant_type": "client_credentials",
            "client_id": client.client_id,
            "client_secret": client.client_secret,
            "token_type": "jwt",
        }
        asked_at = self._monotonic()
        outcome = self._http.request(
            "POST",
            origin=origin,
            url=client.token_url,
            body=urlencode(form).encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            within_s=within_s,
        )
        return _read(outcome, asked_at)


def _read(outcome: Outcome, asked_at: float) -> Token | Outcome:
    # An answer of this endpoint may hold a token, even where it is not as it should be.
    # And what was meant for another endpoint has not been sent.
    hidden = replace(outcome, response=None, may_have_arrived=False)
    if outcome.status is None:
        return replace(hidden, error=f"access token: {outcome.error}")
    if 400 <= outcome.status < 500 and outcome.status not in BUSY:
        error = f"no access token: the endpoint answers {outcome.status}"
        return replace(hidden, error=error, meaning=Meaning.CREDENTIALS)
    if not 200 <= outcome.status < 300:
        return replace(hidden, error=f"no access token: the endpoint answers {outcome.status}")
    given = _object(outcome.response)
    token, life_s = given.get("access_token"), given.get("expires_in")
    is_usable = isinstance(token, str) and token.isascii() and token.isprintable() and token
    if isinstance(life_s, bool) or not isinstance(life_s, int | float):
        life_s = math.nan
    if not is_usable or not abs(life_s) < LONGEST_SAID_S:  # nor is NaN
        error = "no access token: the endpoint's answer has no access_token and expires_in"
        return replace(hidden, error=error, meaning=Meaning.WRONG)
    scheme = "JWT" if str(given.get("token_type", "")).lower() == "jwt" else "Bearer"
    life_s = min(max(float(life_s), 0.0), LONGEST_LIFE_S)
    use_until = asked_at + life_s - min(MARGIN_S, life_s / 2)
    return Token(authorization=f"{scheme} {token}", use_until=use_until)


def _object(text: str | None) -> dict[str, Any]:
    try:
        given = json.loads(text or "")
    except (ValueError, RecursionError):
        return {}
    return given if isinstance(given, dict) else {}
