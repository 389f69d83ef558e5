"""A stand-in for an S3 service, in a process of its own. It checks no signatures."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.demo.processes import LongRunning, answers_http, free_port
from xqueue_server import settings
from xqueue_server.files import Files
from xqueue_server.files.local import LocalFiles
from xqueue_server.files.s3 import S3Files, open_client
from xqueue_server.settings import S3Settings

_bucket_numbers = itertools.count(1)
TTL_S = 600


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    service = LongRunning(
        "moto",
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        settings={},
        log_path=tmp_path_factory.mktemp("moto") / "moto.log",
    )
    try:
        service.wait_until(lambda: answers_http(f"{url}/moto-api/"), 60)
        yield url
    finally:
        service.stop()


@pytest.fixture
def s3_environment(s3_endpoint: str) -> dict[str, str]:
    """Settings that name a bucket of this test alone, which is not made yet."""
    return {
        "XQUEUE_S3_BUCKET": f"uploads-{next(_bucket_numbers)}",
        "XQUEUE_S3_ENDPOINT": s3_endpoint,
        "XQUEUE_S3_REGION": "us-east-1",
        "XQUEUE_S3_PREFIX": "xqueue",
        "XQUEUE_S3_ACCESS_KEY": "AKIAEXAMPLE",
        "XQUEUE_S3_SECRET_KEY": "the secret of a test",
    }


@pytest.fixture
def s3_settings(s3_environment: dict[str, str], tmp_path: Path) -> S3Settings:
    found = settings.load(s3_environment | {"XQUEUE_DATA_DIR": str(tmp_path / "own")}).s3
    assert found is not None
    return found


@pytest.fixture
def bucket(s3_settings: S3Settings) -> str:
    open_client(s3_settings).create_bucket(Bucket=s3_settings.bucket)
    return s3_settings.bucket


@pytest.fixture
def s3_files(s3_settings: S3Settings, bucket: str) -> S3Files:
    return S3Files(s3_settings, ttl_s=TTL_S)


@pytest.fixture(params=["local", "s3"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    """Each kind of store in turn."""
    if request.param == "local":
        return LocalFiles(tmp_path / "files")
    store: S3Files = request.getfixturevalue("s3_files")
    return store
