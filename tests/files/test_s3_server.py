"""A server whose uploads are in a bucket, from submit to the end of their time."""

from __future__ import annotations

import io
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from click.testing import CliRunner

from tests.api.callers import Site, publication
from tests.server.builders import ORIGIN, Desk, add_queue, grade, open_desk
from tests.server.web_client import Answer, Server
from xqueue_server import settings
from xqueue_server.app import create_app
from xqueue_server.cli.main import main
from xqueue_server.files.local import LocalFiles
from xqueue_server.files.s3 import S3Files, open_client
from xqueue_server.instant import ManualClock
from xqueue_server.models.trial import KEPT_S
from xqueue_server.settings import S3Settings
from xqueue_server.storage import Storage
from xqueue_server.upkeep.housekeeping import tidy
from xqueue_server.upkeep.leftovers import remove_leftovers
from xqueue_server.upkeep.retention import Keep, apply

DAY_S = 24 * 3600
LIMIT = 10_000


@pytest.fixture
def desk(storage: Storage, clock: ManualClock) -> Desk:
    add_queue(storage)
    return open_desk(storage, clock)


@pytest.fixture
def environment(
    tmp_path: Path, database_url: str, s3_environment: dict[str, str]
) -> dict[str, str]:
    return {
        "XQUEUE_DATA_DIR": str(tmp_path / "data"),
        "XQUEUE_DATABASE_URL": database_url,
        "XQUEUE_SECRET_KEY": "0123456789abcdef" * 2,
        "XQUEUE_LMS_ORIGINS": ORIGIN,
        "XQUEUE_PUBLIC_URL": "https://xqueue.example.org",
        "XQUEUE_MAX_FILE_BYTES": str(LIMIT),
        "XQUEUE_FILE_URL_TTL_S": "600",
        **s3_environment,
    }


@pytest.fixture
def server(environment: dict[str, str], desk: Desk) -> Server:
    """Its bucket is not made yet."""
    return Server(create_app(settings.load(environment), desk.storage), desk)


def upload(server: Server, **files: bytes) -> Answer:
    return server.lms.submit(**{name: (io.BytesIO(data), name) for name, data in files.items()})


def handed_out(server: Server, **query: str) -> dict[str, str]:
    given = server.grader.fetch(**query)
    server.grader.put(given)
    files = json.loads(given.files_json)
    assert isinstance(files, dict)
    return files


def keys(s3_settings: S3Settings) -> list[str]:
    listed = open_client(s3_settings).list_objects_v2(Bucket=s3_settings.bucket)
    return [each["Key"] for each in listed.get("Contents", ())]


def test_an_unmodified_grader_downloads_from_the_bucket(server: Server, bucket: str) -> None:
    data = {"a.py": b"print(1)", "b.bin": b"\x00\xff"}
    assert upload(server, **data) == Answer(code=0, content="1")
    files = handed_out(server)
    assert all("X-Amz-Expires=600" in url for url in files.values())
    got = {name: requests.get(url, timeout=30).content for name, url in files.items()}
    assert got == data


@pytest.mark.parametrize("asked", [{"grader": "1"}, {"wait": "0"}, {"lease_s": "30"}])
def test_our_worker_is_given_addresses_of_the_server_alone(
    server: Server, bucket: str, asked: dict[str, str]
) -> None:
    upload(server, **{"a.py": b"print(1)"})
    url = handed_out(server, **asked)["a.py"]
    assert url.startswith("https://xqueue.example.org/xqueue/files/")
    answer = server.nobody.raw("GET", urlsplit(url).path)
    assert answer.get_data() == b"print(1)"
    assert answer.headers["Content-Length"] == "8"
    assert answer.headers["Content-Disposition"] == "attachment"


def test_nothing_is_left_on_the_servers_own_disk(
    server: Server, bucket: str, environment: dict[str, str], s3_settings: S3Settings
) -> None:
    upload(server, a=b"x")
    assert len(keys(s3_settings)) == 1
    assert not (Path(environment["XQUEUE_DATA_DIR"]) / "files").exists()


def test_the_limit_of_a_file_holds(server: Server, bucket: str, s3_settings: S3Settings) -> None:
    assert upload(server, a=b"x" * LIMIT).code == 0
    refused = upload(server, small=b"x", big=b"x" * (LIMIT + 1))
    assert refused == Answer(code=1, content=f"A file is larger than {LIMIT} bytes")
    assert len(keys(s3_settings)) == 1


def test_without_the_bucket_a_submission_with_files_is_refused_for_now(
    server: Server, caplog: pytest.LogCaptureFixture, s3_settings: S3Settings
) -> None:
    answer = upload(server, a=b"x")
    assert (answer.code, "temporarily unavailable" in answer.content) == (1, True)
    assert server.desk.count("submissions") == 0
    (said,) = (r for r in caplog.records if getattr(r, "action", "") == "save_files")
    assert getattr(said, "why", "") == f"there is no bucket {s3_settings.bucket}"
    assert server.lms.submit() == Answer(code=0, content="1")


def test_a_file_that_can_not_be_fetched_now_is_no_missing_file(
    server: Server, bucket: str, s3_settings: S3Settings
) -> None:
    upload(server, a=b"x")
    path = urlsplit(handed_out(server, grader="1")["a"]).path
    client = open_client(s3_settings)
    (key,) = keys(s3_settings)
    client.delete_object(Bucket=bucket, Key=key)
    assert server.nobody.raw("GET", path).status_code == 404
    client.delete_bucket(Bucket=bucket)
    assert server.nobody.raw("GET", path).status_code == 503


def test_files_go_with_their_submissions_code(
    server: Server, s3_files: S3Files, s3_settings: S3Settings
) -> None:
    upload(server, a=b"x", b=b"y")
    given = server.grader.fetch()
    server.grader.put(given, grade())
    server.desk.deliver(server.desk.claim_callback())
    server.desk.clock.advance(181 * DAY_S)
    removed = apply(server.desk.storage, s3_files, Keep(code_s=180 * DAY_S, results_s=0, load_s=0))
    assert removed.files == 2
    assert keys(s3_settings) == []


def test_a_trials_files_go_with_it(
    server: Server, s3_files: S3Files, s3_settings: S3Settings
) -> None:
    site = Site(server)
    begun = {**publication(), "response": "print(1)", "files": {"d.csv": "YSxi"}}
    site.author.put_bundle()
    assert site.author.call("POST", "/trials", json=begun).status_code == 202
    given = site.lease()
    assert given is not None
    path = urlsplit(json.loads(given.files_json)["d.csv"]).path
    assert server.nobody.raw("GET", path).get_data() == b"a,b"
    assert len(keys(s3_settings)) == 1
    server.grader.put(given)
    server.desk.clock.advance(KEPT_S)
    assert tidy(server.desk.storage, s3_files).trials == 1
    assert keys(s3_settings) == []


def test_files_of_nobody_are_removed_after_a_day(
    server: Server,
    s3_files: S3Files,
    s3_settings: S3Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upload(server, a=b"x")
    (named,) = keys(s3_settings)
    s3_files.save(io.BytesIO(b"orphan"), limit_bytes=10)
    server.desk.clock.advance(DAY_S)
    assert remove_leftovers(server.desk.storage, s3_files) == 0  # by the service's clock: new
    monkeypatch.setattr("xqueue_server.upkeep.leftovers.AGE_S", -3600)
    assert remove_leftovers(server.desk.storage, s3_files) == 1
    assert keys(s3_settings) == [named]


def test_doctor_says_what_is_wrong_with_the_bucket_and_when_it_is_right(
    desk: Desk,
    environment: dict[str, str],
    s3_settings: S3Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    missing = uploads_line()
    assert missing.startswith("fail")
    assert f"there is no bucket {s3_settings.bucket}" in missing
    assert "-> mend XQUEUE_S3_*" in missing
    open_client(s3_settings).create_bucket(Bucket=s3_settings.bucket)
    assert uploads_line().startswith("ok")
    assert keys(s3_settings) == []
    earlier = LocalFiles(Path(environment["XQUEUE_DATA_DIR"]) / "files")
    blob, _ = earlier.save(io.BytesIO(b"x"), limit_bytes=1)
    assert uploads_line().startswith("warn")
    assert "copy what lies there to the bucket" in uploads_line()
    earlier.remove(blob)
    assert uploads_line().startswith("ok")


def uploads_line() -> str:
    result = CliRunner().invoke(main, ["doctor"])
    (line,) = (line for line in result.output.splitlines() if " uploads " in line)
    return line


def test_the_secret_is_not_in_a_list_of_settings(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    listed = CliRunner().invoke(main, ["doctor", "--settings"]).output
    assert environment["XQUEUE_S3_BUCKET"] in listed
    assert environment["XQUEUE_S3_SECRET_KEY"] not in listed
    assert environment["XQUEUE_S3_SECRET_KEY"] not in repr(settings.load())
