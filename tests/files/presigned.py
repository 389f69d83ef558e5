"""Checks a presigned address as an S3 service does (AWS Signature Version 4, in the query)."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote, urlsplit


def is_valid(url: str, secret: str, *, at: datetime) -> bool:
    """Signed with this secret for exactly this object and time, and not over at `at`."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    signature = query.pop("X-Amz-Signature")
    signed_at = query["X-Amz-Date"]
    _, day, region, service, _ = query["X-Amz-Credential"].split("/")
    assert query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert query["X-Amz-SignedHeaders"] == "host"
    listed = "&".join(f"{_quoted(k)}={_quoted(v)}" for k, v in sorted(query.items()))
    request = "\n".join(
        ["GET", parts.path, listed, f"host:{parts.netloc}", "", "host", "UNSIGNED-PAYLOAD"]
    )
    scope = f"{day}/{region}/{service}/aws4_request"
    to_sign = "\n".join(
        ["AWS4-HMAC-SHA256", signed_at, scope, hashlib.sha256(request.encode()).hexdigest()]
    )
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    wanted = hmac.new(key, to_sign.encode(), "sha256").hexdigest()
    begin = datetime.strptime(signed_at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    is_in_time = at <= begin + timedelta(seconds=int(query["X-Amz-Expires"]))
    return hmac.compare_digest(signature, wanted) and is_in_time


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~")
