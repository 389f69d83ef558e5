"""What only a bucket has: presigned addresses, privacy, permissions, a service that is away."""

from __future__ import annotations

import dataclasses
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from botocore.awsrequest import AWSResponse

from deploy.demo.processes import free_port
from tests.files.conftest import TTL_S
from tests.files.presigned import is_valid
from xqueue_server.errors import FilesUnavailable
from xqueue_server.files.local import LocalFiles
from xqueue_server.files.s3 import S3Files, open_client
from xqueue_server.settings import S3Settings


@pytest.fixture
def blob(s3_files: S3Files) -> str:
    return s3_files.save(io.BytesIO(b"<script>"), limit_bytes=100)[0]


@pytest.fixture
def address(s3_files: S3Files, blob: str) -> str:
    found = s3_files.address(blob)
    assert found is not None
    return found


def get(url: str) -> requests.Response:
    return requests.get(url, timeout=30)


# -- addresses -------------------------------------------------------------------------------------


def test_a_presigned_address_is_downloaded_without_credentials(address: str) -> None:
    assert get(address).content == b"<script>"


def test_a_download_is_nothing_that_a_browser_would_show(address: str) -> None:
    answer = get(address)
    assert answer.headers["Content-Disposition"] == "attachment"
    assert answer.headers["Content-Type"] == "application/octet-stream"


def test_the_address_is_signed_for_this_object_and_time_alone(
    address: str, s3_settings: S3Settings
) -> None:
    """The stand-in service checks no signatures: this does, as the real ones have it."""
    secret, now = str(s3_settings.secret_key), datetime.now(UTC)
    assert is_valid(address, secret, at=now)
    assert not is_valid(address, "another secret", at=now)
    path = urlsplit(address).path
    other = path[:-1] + ("0" if path[-1] != "0" else "1")
    assert not is_valid(address.replace(path, other), secret, at=now)
    longer = address.replace(f"X-Amz-Expires={TTL_S}", "X-Amz-Expires=604800")
    assert longer != address
    assert not is_valid(longer, secret, at=now)
    shown = address.replace("response-content-disposition=attachment", "")
    assert shown != address
    assert not is_valid(shown, secret, at=now)


def test_the_address_expires_when_the_settings_say(address: str, s3_settings: S3Settings) -> None:
    (signed_at,) = parse_qs(urlsplit(address).query)["X-Amz-Date"]
    begin = datetime.strptime(signed_at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    secret, end = str(s3_settings.secret_key), begin + timedelta(seconds=TTL_S)
    assert is_valid(address, secret, at=end)
    assert not is_valid(address, secret, at=end + timedelta(seconds=1))


def test_the_secret_is_not_in_the_address(address: str, s3_settings: S3Settings) -> None:
    assert str(s3_settings.secret_key).split()[0] not in address.replace("+", " ")


def test_without_credentials_there_is_no_address_and_no_crash(
    s3_settings: S3Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    bare = dataclasses.replace(s3_settings, access_key=None, secret_key=None)
    files = S3Files(bare, ttl_s=TTL_S)
    assert files.address("a" * 32) is None
    with pytest.raises(FilesUnavailable, match="no credentials"):
        files.open("a" * 32)


def test_credentials_are_found_as_awss_tools_find_them(
    s3_settings: S3Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOFTHEENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    bare = dataclasses.replace(s3_settings, access_key=None, secret_key=None)
    assert "AKIAOFTHEENVIRONMENT" in str(S3Files(bare, ttl_s=TTL_S).address("a" * 32))


# -- the bucket ------------------------------------------------------------------------------------


def test_an_object_is_private(address: str, blob: str, s3_settings: S3Settings) -> None:
    assert get(address.partition("?")[0]).status_code == 403
    key = f"xqueue/{blob[:2]}/{blob}"
    acl = open_client(s3_settings).get_object_acl(Bucket=s3_settings.bucket, Key=key)
    assert [grant["Grantee"]["Type"] for grant in acl["Grants"]] == ["CanonicalUser"]


def test_what_else_lies_in_the_bucket_is_left_alone(
    s3_files: S3Files, blob: str, s3_settings: S3Settings
) -> None:
    client = open_client(s3_settings)
    others = ("README", f"other/{blob[:2]}/{blob}", "xqueue/README", f"xqueue/zz/{blob}")
    for key in others:
        client.put_object(Bucket=s3_settings.bucket, Key=key, Body=b"not ours")
    assert list(s3_files.older_than(-3600)) == [blob]


def test_more_objects_than_one_page_of_a_listing(s3_files: S3Files) -> None:
    blobs = {s3_files.save(io.BytesIO(), limit_bytes=0)[0] for _ in range(5)}
    s3_files._client.meta.events.register(
        "provide-client-params.s3.ListObjectsV2", lambda params, **_: params | {"MaxKeys": 2}
    )
    assert set(s3_files.older_than(-3600)) == blobs


def test_a_directory_of_uploads_can_be_copied_to_the_bucket(
    s3_files: S3Files, s3_settings: S3Settings, tmp_path: Path
) -> None:
    blob, _ = LocalFiles(tmp_path).save(io.BytesIO(b"moved"), limit_bytes=10)
    for path in (p for p in tmp_path.rglob("*") if p.is_file()):
        open_client(s3_settings).upload_file(
            str(path), s3_settings.bucket, f"xqueue/{path.relative_to(tmp_path)}"
        )
    with s3_files.open(blob) as source:
        assert source.read() == b"moved"


def test_a_file_is_sent_in_pieces_and_never_held_whole(s3_files: S3Files) -> None:
    asked: list[int | None] = []

    class Watched(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            asked.append(size)
            return super().read(size)

    s3_files.save(Watched(b"x" * 2_000_000), limit_bytes=2_000_000)
    assert max(asked, key=lambda size: size or 0) == 256 * 1024
    assert None not in asked
    assert -1 not in asked


# -- trouble ---------------------------------------------------------------------------------------


def act(files: S3Files, name: str) -> Any:
    blob = "a" * 32
    return {
        "save": lambda: files.save(io.BytesIO(b"x"), limit_bytes=1),
        "open": lambda: files.open(blob),
        "remove": lambda: files.remove(blob),
        "older_than": lambda: list(files.older_than(0)),
        "require_usable": files.require_usable,
    }[name]()


ACTS = ("save", "open", "remove", "older_than", "require_usable")


@pytest.mark.parametrize("name", ACTS)
def test_a_missing_bucket_is_named(s3_settings: S3Settings, name: str) -> None:
    with pytest.raises(FilesUnavailable) as caught:
        act(S3Files(s3_settings, ttl_s=TTL_S), name)
    assert str(caught.value) == f"there is no bucket {s3_settings.bucket}"


@pytest.mark.parametrize("name", ACTS)
def test_a_service_that_is_away_is_told_as_that(s3_settings: S3Settings, name: str) -> None:
    away = dataclasses.replace(s3_settings, endpoint=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(FilesUnavailable, match="can not be used"):
        act(S3Files(away, ttl_s=TTL_S), name)


@pytest.mark.parametrize("name", ACTS)
def test_missing_permission_is_named(s3_files: S3Files, name: str) -> None:
    """The stand-in allows everything: the refusal is a service's own words."""

    def refuse(**_: Any) -> Any:
        return AWSResponse("http://s3/", 403, {}, Raw(b"<Error><Code>AccessDenied</Code></Error>"))

    s3_files._client.meta.events.register("before-send.s3", refuse)
    with pytest.raises(FilesUnavailable, match=r"no permission for \w+ in the bucket uploads-\d+"):
        act(s3_files, name)


class Raw:
    """What botocore reads an answer from."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def stream(self, **_: Any) -> Any:
        yield self._content.read()
