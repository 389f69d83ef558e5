"""The two steps of OAuth 2 that all providers share: authorization URL, and code for token."""

from __future__ import annotations

import secrets
from typing import Any

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session

from xqueue_server.errors import NotSignedIn
from xqueue_server.identity_providers import TIMEOUT_S, Departure, ProviderUnavailable


def departure(session: OAuth2Session, authorization_url: str) -> Departure:
    verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
    url, state = session.create_authorization_url(
        authorization_url, code_verifier=verifier, nonce=nonce
    )
    return Departure(url=url, state=state, nonce=nonce, verifier=verifier)


def token_for(
    session: OAuth2Session, token_url: str, code: str, verifier: str, **more: str
) -> dict[str, Any]:
    """The token endpoint's answer. Raises: NotSignedIn, ProviderUnavailable."""
    try:
        token = session.fetch_token(
            token_url, code=code, code_verifier=verifier, timeout=TIMEOUT_S, **more
        )
    except AuthlibBaseError as error:
        raise NotSignedIn(f"The sign-in was refused there ({error.error})") from error
    except (requests.RequestException, ValueError) as error:
        raise ProviderUnavailable(f"No token from {token_url}") from error
    return dict(token)
