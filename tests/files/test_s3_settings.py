"""What the settings of a bucket may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from xqueue_server import settings
from xqueue_server.errors import SettingsError
from xqueue_server.settings import S3Settings

FULL = {
    "XQUEUE_S3_BUCKET": "uploads",
    "XQUEUE_S3_ENDPOINT": "https://minio.example.org/",
    "XQUEUE_S3_REGION": "eu-central-1",
    "XQUEUE_S3_PREFIX": "/x/y/",
    "XQUEUE_S3_ACCESS_KEY": "key",
    "XQUEUE_S3_SECRET_KEY": "secret",
}


def load(tmp_path: Path, **env: str) -> S3Settings | None:
    return settings.load(env | {"XQUEUE_DATA_DIR": str(tmp_path)}).s3


def test_without_any_there_is_no_bucket(tmp_path: Path) -> None:
    assert load(tmp_path) is None
    assert load(tmp_path, **dict.fromkeys(FULL, "")) is None


def test_all_of_them(tmp_path: Path) -> None:
    assert load(tmp_path, **FULL) == S3Settings(
        bucket="uploads",
        endpoint="https://minio.example.org",
        region="eu-central-1",
        prefix="x/y/",
        access_key="key",
        secret_key="secret",
    )


def test_a_bucket_alone_is_enough(tmp_path: Path) -> None:
    assert load(tmp_path, XQUEUE_S3_BUCKET="uploads") == S3Settings(
        bucket="uploads", endpoint=None, region=None, prefix="", access_key=None, secret_key=None
    )


def test_a_secret_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of a file\n")
    given = {n: v for n, v in FULL.items() if n != "XQUEUE_S3_SECRET_KEY"}
    found = load(tmp_path, **given, XQUEUE_S3_SECRET_KEY_FILE=str(tmp_path / "secret"))
    assert found is not None
    assert found.secret_key == "of a file"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"XQUEUE_S3_BUCKET": ""}, "XQUEUE_S3_BUCKET is required with XQUEUE_S3_ACCESS_KEY"),
        ({"XQUEUE_S3_BUCKET": "Up loads"}, "XQUEUE_S3_BUCKET must be a bucket's name"),
        ({"XQUEUE_S3_ENDPOINT": "minio"}, "XQUEUE_S3_ENDPOINT: 'minio' is not an http"),
        ({"XQUEUE_S3_PREFIX": "ä"}, "XQUEUE_S3_PREFIX must be like"),
        ({"XQUEUE_S3_ACCESS_KEY": ""}, "belong together"),
        ({"XQUEUE_S3_SECRET_KEY": ""}, "belong together"),
        ({"XQUEUE_FILE_URL_TTL_S": "604801"}, "XQUEUE_FILE_URL_TTL_S must be 604800"),
    ],
)
def test_what_can_not_be_is_refused(tmp_path: Path, change: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load(tmp_path, **(FULL | change))
