"""Every setting with its meaning and the value that counts now."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from xqueue_server.settings import SETTINGS, Settings

SECRET = frozenset(
    {
        "XQUEUE_DATABASE_URL",
        "XQUEUE_LMS_OAUTH_CLIENT_SECRET",
        "XQUEUE_OIDC_CLIENT_SECRET",
        "XQUEUE_SECRET_KEY",
        "XQUEUE_REDIS_URL",
        "XQUEUE_S3_SECRET_KEY",
        "XQUEUE_SENTRY_DSN",
        "XQUEUE_SMTP_PASSWORD",
    }
)
HIDDEN = "(hidden)"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingNow:
    name: str
    value: str | None
    """None: no value; secrets are replaced."""
    is_set: bool
    """In the environment; otherwise the value is the default."""
    meaning: str


def settings_now(
    settings: Settings | None, environ: Mapping[str, str] | None = None
) -> list[SettingNow]:
    """With the defaults filled in, if the settings could be loaded."""
    env = os.environ if environ is None else environ
    return [
        SettingNow(
            name=name,
            value=_value(name, settings, env) or None,
            is_set=name in env,
            meaning=meaning,
        )
        for name, meaning in SETTINGS.items()
    ]


def _known(settings: Settings, field: str) -> object:
    """The value that counts, wherever the settings keep it."""
    if field.startswith("max_grader_"):
        return getattr(settings.ceilings, field.removeprefix("max_grader_"), None)
    if field.startswith("smtp_"):
        return getattr(settings.mail, field.removeprefix("smtp_"), None)
    if field.startswith("s3_"):
        return getattr(settings.s3, field.removeprefix("s3_"), None)
    return getattr(settings, field, None)


def _value(name: str, settings: Settings | None, env: Mapping[str, str]) -> str:
    field = name.removeprefix("XQUEUE_").lower()
    known = _known(settings, field) if settings else None
    value = known if known is not None else env.get(name, "")
    if isinstance(value, tuple):
        value = ", ".join(map(str, value))
    return HIDDEN if value and name in SECRET else str(value)
