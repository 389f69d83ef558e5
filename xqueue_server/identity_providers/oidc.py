"""Any OpenID Connect issuer: discovery, authorization code with PKCE, a signed ID token."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from xqueue_server.errors import NotSignedIn
from xqueue_server.identity_providers import (
    TIMEOUT_S,
    Departure,
    Person,
    ProviderUnavailable,
)
from xqueue_server.identity_providers.exchange import departure, token_for
from xqueue_server.settings import OidcSettings

SCOPE = "openid profile email"
DISCOVERY = "/.well-known/openid-configuration"
KEPT_S = 3600.0
LEEWAY_S = 60
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
"""With a public key. What is signed with the client's secret, or not at all, is refused."""
NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Discovered:
    document: dict[str, Any]
    keys: KeySet = field(repr=False)
    at: float


class OidcProvider:
    """Safe to share between threads."""

    def __init__(
        self,
        settings: OidcSettings,
        *,
        now_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._now_s = now_s
        self._monotonic_s = monotonic_s
        self._found: _Discovered | None = None
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self._settings.name

    def depart(self, redirect_uri: str) -> Departure:
        document = self._discovered().document
        return departure(self._session(redirect_uri, document), document["authorization_endpoint"])

    def arrive(self, departure: Departure, code: str, redirect_uri: str) -> Person:
        document = self._discovered().document
        token = token_for(
            self._session(redirect_uri, document),
            document["token_endpoint"],
            code,
            departure.verifier,
        )
        if not isinstance(token.get("id_token"), str):
            raise NotSignedIn("The issuer sent no ID token")
        return self._person(self._claims(token["id_token"], departure.nonce))

    def _session(self, redirect_uri: str, document: dict[str, Any]) -> OAuth2Session:
        return OAuth2Session(
            self._settings.client_id,
            self._settings.client_secret,
            scope=SCOPE,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            token_endpoint_auth_method=_auth_method(document, self._settings.client_secret),
        )

    # -- the ID token ----------------------------------------------------------------------------

    def _claims(self, id_token: str, nonce: str) -> dict[str, Any]:
        """Raises: NotSignedIn."""
        try:
            claims = self._verified(id_token)
            jwt.JWTClaimsRegistry(
                now=lambda: int(self._now_s()),
                leeway=LEEWAY_S,
                iss={"essential": True, "value": self._settings.issuer},
                aud={"essential": True, "value": self._settings.client_id},
                sub={"essential": True},
                exp={"essential": True},
                iat={"essential": True},
                nonce={"essential": True, "value": nonce},
            ).validate(claims)
        except (JoseError, ValueError) as error:
            raise NotSignedIn("The issuer's ID token does not stand") from error
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if (several or "azp" in claims) and claims.get("azp") != self._settings.client_id:
            raise NotSignedIn("The issuer's ID token is for another client")
        return claims

    def _verified(self, id_token: str) -> dict[str, Any]:
        try:
            return dict(jwt.decode(id_token, self._discovered().keys, ALGORITHMS).claims)
        except (JoseError, ValueError):
            # Perhaps signed with a key that is newer than what we know.
            return dict(jwt.decode(id_token, self._discovered(anew=True).keys, ALGORITHMS).claims)

    def _person(self, claims: dict[str, Any]) -> Person:
        email = claims.get("email")
        is_verified = claims.get("email_verified") is True and isinstance(email, str)
        name = claims.get("preferred_username") or email or claims["sub"]
        return Person(
            issuer=self._settings.issuer,
            subject=str(claims["sub"]),
            name=str(name),
            email=email if is_verified else None,
        )

    # -- discovery -------------------------------------------------------------------------------

    def _discovered(self, *, anew: bool = False) -> _Discovered:
        with self._lock:
            found = self._found
            if found is None or anew or self._monotonic_s() - found.at > KEPT_S:
                found = self._found = self._discover()
            return found

    def _discover(self) -> _Discovered:
        issuer = self._settings.issuer
        document = _get_json(issuer.rstrip("/") + DISCOVERY)
        if document.get("issuer") != issuer:
            raise ProviderUnavailable(f"{issuer} says that it is another issuer")
        missing = [name for name in NEEDED if not isinstance(document.get(name), str)]
        if missing:
            raise ProviderUnavailable(f"{issuer} does not say its {missing[0]}")
        try:
            keys = KeySet.import_key_set(_get_json(document["jwks_uri"]))  # type: ignore[arg-type]
        except (JoseError, KeyError, TypeError, ValueError) as error:
            raise ProviderUnavailable(f"{document['jwks_uri']} has no keys") from error
        return _Discovered(document=document, keys=keys, at=self._monotonic_s())


def _auth_method(document: dict[str, Any], secret: str | None) -> str:
    if secret is None:
        return "none"
    known = document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    return "client_secret_basic" if "client_secret_basic" in known else "client_secret_post"


def _get_json(url: str) -> dict[str, Any]:
    try:
        response = requests.get(url, timeout=TIMEOUT_S)
        response.raise_for_status()
        document = response.json()
    except (requests.RequestException, ValueError) as error:
        raise ProviderUnavailable(f"No answer from {url}") from error
    if not isinstance(document, dict):
        raise ProviderUnavailable(f"{url} is no JSON object")
    return document
