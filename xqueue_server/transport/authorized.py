"""Requests that need an access token."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from proctoring_hooks.providers.base import Credentials
from xqueue_server.transport import Outcome
from xqueue_server.transport.http import HttpTransport
from xqueue_server.transport.tokens import Tokens

WITHIN_S = 15.0
"""For all of it: the token, the request, and both again."""
UNAUTHORIZED = 401


class Authorized:
    """Safe for many threads."""

    def __init__(
        self,
        http: HttpTransport,
        tokens: Tokens,
        *,
        within_s: float = WITHIN_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._tokens = tokens
        self._within_s = within_s
        self._monotonic = monotonic

    def send(
        self,
        method: str,
        *,
        origin: str,
        url: str,
        body: bytes | None,
        headers: Mapping[str, str],
        client: Credentials | None,
        is_once: bool = False,
    ) -> Outcome:
        """A token that is refused is dropped, and it is tried once with another: it may have ended
        earlier than was said. No client: the headers say who we are. `is_once`: see
        `HttpTransport.request`."""
        ends_at = self._monotonic() + self._within_s

        def once(authorization: Mapping[str, str]) -> Outcome:
            return self._http.request(
                method,
                origin=origin,
                url=url,
                body=body,
                headers={**headers, **authorization},
                within_s=ends_at - self._monotonic(),
                is_once=is_once,
            )

        if client is None:
            return once({})
        for is_last in (False, True):
            token = self._tokens.get(client, within_s=ends_at - self._monotonic())
            if isinstance(token, Outcome):
                return token
            outcome = once({"Authorization": token.authorization})
            if outcome.status != UNAUTHORIZED:
                return outcome
            self._tokens.drop(client, token)
            if is_last:
                break
        return outcome

    def close(self) -> None:
        self._http.close()
