"""An Open edX LMS as OAuth 2 provider, as its own other services use it.

It has no ID token and no user info endpoint: asked for a token of type jwt, it answers with one
that says who it is for. We take its word because we ask it ourselves, at its token endpoint; the
signature is for those that the token is shown to.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Callable
from typing import Any

from authlib.integrations.requests_client import OAuth2Session

from xqueue_server.errors import NotSignedIn
from xqueue_server.identity_providers import Departure, Person
from xqueue_server.identity_providers.exchange import departure, token_for
from xqueue_server.settings import LmsOauthSettings

SCOPE = "profile email"
LEEWAY_S = 60


class LmsProvider:
    """Safe to share between threads."""

    def __init__(
        self, settings: LmsOauthSettings, *, now_s: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._now_s = now_s

    @property
    def name(self) -> str:
        return self._settings.name

    def depart(self, redirect_uri: str) -> Departure:
        return departure(self._session(redirect_uri), f"{self._settings.url}/oauth2/authorize")

    def arrive(self, departure: Departure, code: str, redirect_uri: str) -> Person:
        token = token_for(
            self._session(redirect_uri),
            f"{self._settings.url}/oauth2/access_token",
            code,
            departure.verifier,
            token_type="jwt",  # noqa: S106 - a kind of token, none
        )
        claims = _claims(token.get("access_token"))
        expires_at, name = claims.get("exp"), claims.get("preferred_username")
        if not isinstance(expires_at, int) or expires_at < self._now_s() - LEEWAY_S:
            raise NotSignedIn("The LMS sent a token that is over")
        if not isinstance(name, str) or not name:
            raise NotSignedIn("The LMS does not say who you are; allow the scope profile there")
        email = claims.get("email")
        is_verified = claims.get("email_verified") is True and isinstance(email, str)
        return Person(
            issuer=self._settings.url,
            subject=name,
            name=name,
            email=email if is_verified else None,
        )

    def _session(self, redirect_uri: str) -> OAuth2Session:
        return OAuth2Session(
            self._settings.client_id,
            self._settings.client_secret,
            scope=SCOPE,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            token_endpoint_auth_method="client_secret_post",  # noqa: S106 - a method
        )


def _claims(token: Any) -> dict[str, Any]:
    parts = token.split(".") if isinstance(token, str) else []
    try:
        payload = parts[1] + "=" * (-len(parts[1]) % 4)
        claims = json.loads(base64.b64decode(payload, altchars=b"-_", validate=True))
    except (IndexError, ValueError, binascii.Error) as error:
        raise NotSignedIn(
            "The LMS sent no JWT; is its OAuth2 application a confidential one?"
        ) from error
    if not isinstance(claims, dict):
        raise NotSignedIn("The LMS sent a JWT without claims")
    return claims
