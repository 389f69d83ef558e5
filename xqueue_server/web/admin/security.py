"""What keeps other sites and other people's text from acting in an operator's name."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlsplit

from flask import Request, Response

from xqueue_server.secret_key import key_for
from xqueue_server.settings import Settings, origin_of

HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "SAMEORIGIN",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
REPLY_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)
"""Of what a grader wrote for the learner: its own styles, and nothing that runs or loads."""


def protect(response: Response, policy: str = POLICY) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Content-Security-Policy", policy)
    return response


def csrf_token(secret_key: bytes, session: str) -> str:
    """What every form of this session carries."""
    key = key_for("admin csrf", secret_key)
    return hmac.digest(key, session.encode(), hashlib.sha256).hex()


def fits(token: str | None, secret_key: bytes, session: str) -> bool:
    expected = csrf_token(secret_key, session)
    return hmac.compare_digest((token or "").encode("utf-8", "surrogatepass"), expected.encode())


def is_from_here(request: Request, settings: Settings) -> bool:
    """Whether a page of ours sent this. Browsers name the origin of every POST; programs, which
    nobody can lead astray, do not."""
    origin = request.headers.get("Origin")
    if origin is None:
        return request.headers.get("Sec-Fetch-Site", "same-origin") in ("same-origin", "none")
    if origin_of(origin) is None:  # "null": a sandboxed page, or one that was redirected
        return False
    return urlsplit(origin).netloc == request.host or origin == origin_of(settings.admin_url)


def is_https(request: Request, settings: Settings) -> bool:
    """For the cookies' `Secure`."""
    forwarded = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip()
    by_settings = settings.admin_url.startswith("https://") and (
        urlsplit(settings.admin_url).netloc == request.host
    )
    return request.is_secure or forwarded == "https" or by_settings
