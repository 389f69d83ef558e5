"""Origins of web addresses, which decide where the server may send anything."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

ANY_HTTPS = "https://*"
"""As an entry of XQUEUE_LMS_ORIGINS: any https origin whose every address is public."""
DEMO_ORIGINS = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?")


def origin_of(url: str) -> str | None:
    """`scheme://host[:port]` of an absolute http(s) URL, normalised; None if it is not one."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    if scheme not in ("http", "https") or not host or parts.username is not None:
        return None
    if not re.fullmatch(r"[a-z0-9._:-]+", host):
        return None
    shown = f"[{host}]" if ":" in host else host
    is_default = port is None or port == {"http": 80, "https": 443}[scheme]
    return f"{scheme}://{shown}" if is_default else f"{scheme}://{shown}:{port}"
