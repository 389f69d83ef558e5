"""The bucket of an S3 service that uploads are kept in, where one is used."""

from __future__ import annotations

import re
from collections.abc import Mapping

from xqueue_server.errors import SettingsError
from xqueue_server.settings.model import S3Settings
from xqueue_server.settings.reading import read_http_url, read_secret

BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
PREFIX = re.compile(r"[A-Za-z0-9!_.*'()/-]{0,200}")
LONGEST_TTL_S = 7 * 24 * 3600
"""Of a presigned address, as the signature's version has it."""


def read_s3(env: Mapping[str, str], *, ttl_s: int) -> S3Settings | None:
    """Raises: SettingsError."""
    given = sorted(name for name in env if name.startswith("XQUEUE_S3_") and env[name])
    if not given:
        return None
    bucket, prefix = env.get("XQUEUE_S3_BUCKET", ""), env.get("XQUEUE_S3_PREFIX", "").strip("/")
    if not bucket:
        raise SettingsError(f"XQUEUE_S3_BUCKET is required with {given[0]}")
    if not BUCKET.fullmatch(bucket):
        raise SettingsError(f"XQUEUE_S3_BUCKET must be a bucket's name, not {bucket!r}")
    if not PREFIX.fullmatch(prefix):
        raise SettingsError("XQUEUE_S3_PREFIX must be like xqueue/uploads")
    if ttl_s > LONGEST_TTL_S:
        raise SettingsError(f"XQUEUE_FILE_URL_TTL_S must be {LONGEST_TTL_S} (7 days) or less in S3")
    access_key, secret_key = (
        env.get("XQUEUE_S3_ACCESS_KEY"),
        read_secret(env, "XQUEUE_S3_SECRET_KEY"),
    )
    if bool(access_key) != bool(secret_key):
        raise SettingsError(
            "XQUEUE_S3_ACCESS_KEY and XQUEUE_S3_SECRET_KEY (or _FILE) belong together; without "
            "both, credentials are found as AWS's tools find them"
        )
    has_endpoint = bool(env.get("XQUEUE_S3_ENDPOINT"))
    return S3Settings(
        bucket=bucket,
        endpoint=read_http_url(env, "XQUEUE_S3_ENDPOINT", "") if has_endpoint else None,
        region=env.get("XQUEUE_S3_REGION") or None,
        prefix=f"{prefix}/" if prefix else "",
        access_key=access_key or None,
        secret_key=secret_key,
    )
