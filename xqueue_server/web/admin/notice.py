"""What an action did, carried over the redirect that follows it: a signed cookie, shown once."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from flask import Request, Response
from itsdangerous import BadData, URLSafeTimedSerializer

from xqueue_server.secret_key import key_for
from xqueue_server.settings import Settings
from xqueue_server.web.admin.paths import BASE
from xqueue_server.web.admin.security import is_https

COOKIE = "xqueue_admin_notice"
LASTS_S = 120
MOST_CHARS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    text: str
    event_id: int | None = None
    """Where the audit log has it."""


def carry(response: Response, request: Request, settings: Settings, notice: Notice) -> None:
    response.set_cookie(
        COOKIE,
        _serializer(settings).dumps(asdict(notice) | {"text": notice.text[:MOST_CHARS]}),
        max_age=LASTS_S,
        path=BASE,
        httponly=True,
        samesite="Lax",
        secure=is_https(request, settings),
    )


def carried(request: Request, settings: Settings) -> Notice | None:
    cookie = request.cookies.get(COOKIE)
    if not cookie:
        return None
    try:
        return Notice(**_serializer(settings).loads(cookie, max_age=LASTS_S))
    except (BadData, TypeError):
        return None


def drop(response: Response) -> None:
    response.delete_cookie(COOKIE, path=BASE, httponly=True, samesite="Lax")


def _serializer(settings: Settings) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(key_for("admin notice", settings.secret_key))
