"""How people sign in to the admin pages: with what provider, and who is an administrator."""

from __future__ import annotations

from collections.abc import Mapping

from xqueue_server.errors import SettingsError
from xqueue_server.settings.model import LmsOauthSettings, OidcSettings
from xqueue_server.settings.reading import read_http_url, read_secret

_OIDC, _LMS = "XQUEUE_OIDC", "XQUEUE_LMS_OAUTH"


def read_identity_provider(env: Mapping[str, str]) -> OidcSettings | LmsOauthSettings | None:
    """Raises: SettingsError."""
    if env.get(f"{_OIDC}_ISSUER") and env.get(f"{_LMS}_URL"):
        raise SettingsError(f"{_OIDC}_ISSUER and {_LMS}_URL are both set; keep one")
    if env.get(f"{_OIDC}_ISSUER"):
        read_http_url(env, f"{_OIDC}_ISSUER", "")
        return OidcSettings(
            issuer=env[f"{_OIDC}_ISSUER"],  # to the letter: the ID token must say the same
            client_id=_required(env, f"{_OIDC}_CLIENT_ID", f"{_OIDC}_ISSUER"),
            client_secret=read_secret(env, f"{_OIDC}_CLIENT_SECRET"),
            name=env.get(f"{_OIDC}_NAME") or "single sign-on",
        )
    if env.get(f"{_LMS}_URL"):
        secret = read_secret(env, f"{_LMS}_CLIENT_SECRET")
        if secret is None:
            raise SettingsError(f"{_LMS}_CLIENT_SECRET (or _FILE) is required with {_LMS}_URL")
        return LmsOauthSettings(
            url=read_http_url(env, f"{_LMS}_URL", ""),
            client_id=_required(env, f"{_LMS}_CLIENT_ID", f"{_LMS}_URL"),
            client_secret=secret,
            name=env.get(f"{_LMS}_NAME") or "the LMS",
        )
    return None


def read_administrators(env: Mapping[str, str]) -> tuple[str, ...]:
    listed = env.get("XQUEUE_ADMIN_SUBJECTS", "").split(",")
    return tuple(filter(None, (entry.strip() for entry in listed)))


def _required(env: Mapping[str, str], name: str, because_of: str) -> str:
    value = env.get(name)
    if not value:
        raise SettingsError(f"{name} is required with {because_of}")
    return value
