"""Uploaded files in a bucket of an S3 service, for servers on several hosts.

Objects get no ACL, so that they are private: who may read one holds this server's credentials or
a presigned address. They lie as `LocalFiles` has them in a directory.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import IO, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from xqueue_server.errors import FilesUnavailable, NotFound
from xqueue_server.files.blobs import BLOB, copy, new_blob, place_of
from xqueue_server.settings import S3Settings

log = logging.getLogger(__name__)

IN_MEMORY_BYTES = 1024 * 1024
"""Of one file; what is larger waits on the disk."""
SHOWN_AS = {
    # A learner's file is never shown by a browser as a page of the store's host.
    "ResponseContentDisposition": "attachment",
    "ResponseContentType": "application/octet-stream",
}
NO_SUCH_BUCKET = frozenset({"NoSuchBucket"})
DENIED = frozenset(
    {"403", "AccessDenied", "ExpiredToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
)


class S3Files:
    """A blob store in a bucket. Safe for several threads, and for servers on several hosts."""

    def __init__(self, settings: S3Settings, *, ttl_s: int) -> None:
        self._bucket = settings.bucket
        self._prefix = settings.prefix
        self._ttl_s = ttl_s
        self._client = open_client(settings)

    def save(self, source: IO[bytes], *, limit_bytes: int) -> tuple[str, int]:
        """Copy a stream to the bucket, where it is there whole or not at all.

        Returns (blob, size in bytes). Raises:
            InvalidRequest: larger than `limit_bytes`; nothing is kept.
            FilesUnavailable: the service can not be reached, or refuses.
        """
        blob = new_blob()
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as draft:
            size = copy(source, draft, limit_bytes)
            draft.seek(0)
            with self._translated():
                self._client.put_object(Body=draft, ContentLength=size, **self._object(blob))
        return blob, size

    def open(self, blob: str) -> IO[bytes]:
        """Fetched whole before it is handed on: trouble on the way is an error, not half a file.

        Raises: NotFound, FilesUnavailable.
        """
        if not BLOB.fullmatch(blob):
            raise NotFound("no such file")
        with ExitStack() as undo:
            target = undo.enter_context(tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES))
            with self._translated():
                got = self._client.get_object(**self._object(blob))
                with closing(got["Body"]) as body:
                    copy(body, target, got["ContentLength"])
            target.seek(0)
            undo.pop_all()
        return target

    def remove(self, blob: str) -> None:
        """Forget a file; it is no error if it is gone already. Raises: FilesUnavailable."""
        with self._translated():
            self._client.delete_object(**self._object(blob))

    def older_than(self, age_s: float) -> Iterator[str]:
        """The blobs that were saved longer ago. What else lies there is left alone.

        Raises: FilesUnavailable.
        """
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix
        )
        with self._translated():
            for page in pages:
                latest = _served_at(page) - timedelta(seconds=age_s)
                for each in page.get("Contents", ()):
                    blob = each["Key"].rpartition("/")[2]
                    is_ours = BLOB.fullmatch(blob) and each["Key"] == self._key(blob)
                    if is_ours and each["LastModified"] < latest:
                        yield blob

    def address(self, blob: str) -> str | None:
        """A presigned URL. None while there are no credentials to sign it with: the submission is
        leased by now, and the server's own address may work by the time that it is used."""
        try:
            url: str = self._client.generate_presigned_url(
                "get_object", Params=self._object(blob) | SHOWN_AS, ExpiresIn=self._ttl_s
            )
        except BotoCoreError as error:
            log.warning("not presigned", extra={"action": "presign", "why": _why(error)})
            return None
        return url

    def require_usable(self) -> None:
        """Write, read, list and remove a file. Raises: FilesUnavailable, which says why not."""
        with tempfile.TemporaryFile() as empty:
            blob, _ = self.save(empty, limit_bytes=0)
        self.open(blob).close()
        with self._translated():
            self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)
        self.remove(blob)

    def _key(self, blob: str) -> str:
        return self._prefix + place_of(blob)

    def _object(self, blob: str) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": self._key(blob)}

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "?"))
            if code in ("NoSuchKey", "404"):
                raise NotFound("no such file") from error
            raise FilesUnavailable(self._refusal(error, code)) from error
        except BotoCoreError as error:
            raise FilesUnavailable(_why(error)) from error

    def _refusal(self, error: ClientError, code: str) -> str:
        if code in NO_SUCH_BUCKET:
            return f"there is no bucket {self._bucket}"
        if code in DENIED:
            return f"no permission for {error.operation_name} in the bucket {self._bucket} ({code})"
        return f"{error.operation_name} in the bucket {self._bucket} is refused ({code})"


def open_client(settings: S3Settings) -> Any:
    """A client of the settings' service, with their credentials or those that AWS's chain finds."""
    session = boto3.session.Session()
    return session.client(
        "s3",
        endpoint_url=settings.endpoint,
        region_name=settings.region,
        aws_access_key_id=settings.access_key,
        aws_secret_access_key=settings.secret_key,
        config=Config(
            signature_version="s3v4",
            connect_timeout=3,
            read_timeout=10,
            retries={"mode": "standard", "total_max_attempts": 3},
            # Services other than Amazon's mostly have no host name for each bucket, and do not
            # all know the newer checksums.
            s3={"addressing_style": "path" if settings.endpoint else "auto"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def _served_at(page: dict[str, Any]) -> datetime:
    """By the clock of the service, which has set the objects' times as well."""
    said = page["ResponseMetadata"]["HTTPHeaders"].get("date")
    return parsedate_to_datetime(said) if said else datetime.now(UTC)


def _why(error: BotoCoreError) -> str:
    if isinstance(error, NoCredentialsError):
        return "there are no credentials for the S3 service"
    return f"the S3 service can not be used ({type(error).__name__})"
