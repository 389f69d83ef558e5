"""Files that come with a submission: kept under our names, handed out under the learner's."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from werkzeug.test import TestResponse

from tests.server.builders import lms_body, lms_header
from tests.server.web_client import Answer, Server
from xqueue_server.errors import InvalidRequest, NotFound
from xqueue_server.files.addresses import FileAddresses
from xqueue_server.files.local import LocalFiles
from xqueue_server.settings import Settings

KEY = b"k" * 32
LIMIT = 10_000

NAMES = [
    "homework.py", "../../etc/passwd", "..", "/etc/passwd", "a/b", "%2e%2e%2f",
    "ünïcode \U0001f511.py",
    "a b", "x" * 300, ".", "CON", "-rf", "<script>", "nul\x00byte", "", "xqueue_files", "__proto__",
]  # fmt: skip


def upload(server: Server, *files: tuple[str, bytes], header: str | None = None) -> Answer:
    """Submit with files as capa sends them: the field's name is the file's."""
    parts = {name: (io.BytesIO(data), "file.bin") for name, data in files}
    return server.lms.submit(header, **parts)


def handed_out(server: Server) -> dict[str, str]:
    files = json.loads(server.grader.fetch().files_json)
    assert isinstance(files, dict)
    return files


def download(server: Server, url: str) -> TestResponse:
    return server.nobody.raw("GET", urlsplit(url).path)


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:20])
def test_a_learners_file_name_is_text_and_never_a_path(
    server: Server, server_settings: Settings, name: str
) -> None:
    before = _names_outside(server_settings.data_dir)
    assert upload(server, (name, b"data")) == Answer(code=0, content="1")
    ((known_as, url),) = handed_out(server).items()
    assert known_as == (name or known_as)
    assert download(server, url).get_data() == b"data"
    assert _names_outside(server_settings.data_dir) == before
    kept = [p for p in (server_settings.data_dir / "files").rglob("*") if p.is_file()]
    assert [re.fullmatch("[0-9a-f]{32}", p.name) is not None for p in kept] == [True]


def test_without_files_graders_get_an_empty_object_as_text(server: Server) -> None:
    server.lms.submit()
    assert server.grader.fetch().files_json == "{}"


def test_several_files_keep_their_contents_apart(server: Server) -> None:
    data = {"a.py": b"\x00\xff" * 100, "b.py": b"", "c.py": b"c"}
    upload(server, *data.items())
    got = {name: download(server, url).get_data() for name, url in handed_out(server).items()}
    assert got == data


def test_of_two_files_with_one_name_the_last_counts(server: Server) -> None:
    body = "\r\n".join(
        f"--x\r\nContent-Disposition: form-data; {name}\r\n\r\n{value}"
        for name, value in [
            ('name="xqueue_header"', lms_header()),
            ('name="xqueue_body"', lms_body()),
            ('name="f"; filename="f"', "first"),
            ('name="f"; filename="f"', "last"),
        ]
    )
    kind = "multipart/form-data; boundary=x"
    data = f"{body}\r\n--x--\r\n".encode()
    server.lms.raw("POST", "/xqueue/submit/", data=data, content_type=kind)
    ((_, url),) = handed_out(server).items()
    assert download(server, url).get_data() == b"last"


def test_a_file_of_exactly_the_limit_is_taken_and_one_byte_more_refused(server: Server) -> None:
    assert upload(server, ("a", b"x" * LIMIT)).code == 0
    refused = upload(server, ("a", b"x" * (LIMIT + 1)))
    assert refused == Answer(code=1, content=f"A file is larger than {LIMIT} bytes")
    assert server.desk.count("submissions") == 1


def test_a_refused_file_takes_its_companions_with_it(
    server: Server, server_settings: Settings
) -> None:
    assert upload(server, ("small", b"x"), ("big", b"x" * (LIMIT + 1))).code == 1
    assert _kept(server_settings) == []


@pytest.mark.parametrize(
    "header",
    ["x", lms_header(queue="unknown"), lms_header("https://other.example/x")],
    ids=["no JSON", "unknown queue", "origin not allowed"],
)
def test_the_file_of_a_refused_submission_is_not_kept(
    server: Server, server_settings: Settings, header: str
) -> None:
    assert upload(server, ("a", b"x"), header=header).code == 1
    assert _kept(server_settings) == []


def test_more_files_than_allowed_are_refused(server: Server) -> None:
    answer = upload(server, *[(f"f{i}", b"") for i in range(4)])
    assert (answer.code, "more than 3 files" in answer.content) == (1, True)


def test_a_disk_that_takes_no_file_is_a_moments_trouble_and_not_a_fault(
    server: Server, server_settings: Settings
) -> None:
    (server_settings.data_dir).mkdir(exist_ok=True)
    (server_settings.data_dir / "files").write_text("not a directory")
    answer = upload(server, ("a", b"x"))
    assert (answer.code, "temporarily unavailable" in answer.content) == (1, True)
    assert server.desk.count("submissions") == 0


# -- addresses -------------------------------------------------------------------------------------


def test_an_address_is_absolute_under_the_public_url_and_works_without_a_login(
    server: Server,
) -> None:
    upload(server, ("a.py", b"data"))
    url = handed_out(server)["a.py"]
    assert url.startswith("https://xqueue.example.org/xqueue/files/")
    assert download(server, url).status_code == 200


def test_a_download_is_nothing_that_a_browser_would_show(server: Server) -> None:
    upload(server, ("a.html", b"<script>"))
    response = download(server, handed_out(server)["a.html"])
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.headers["Content-Disposition"] == "attachment"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in response.headers["Content-Security-Policy"]
    assert "no-store" in response.headers["Cache-Control"]
    assert response.headers["Content-Length"] == "8"


def test_every_hand_out_signs_anew(server: Server) -> None:
    upload(server, ("a", b"x"))
    first = handed_out(server)
    server.desk.sweep_after(601)
    again = handed_out(server)
    assert download(server, again["a"]).get_data() == download(server, first["a"]).get_data()


@pytest.mark.parametrize("part", [3, 4, 5], ids=["file", "time", "signature"])
def test_an_address_changed_anywhere_opens_nothing(server: Server, part: int) -> None:
    upload(server, ("a", b"x"))
    path = urlsplit(handed_out(server)["a"]).path
    parts = path.split("/")
    last = parts[part][-1]
    parts[part] = parts[part][:-1] + ("0" if last != "0" else "1")
    assert server.nobody.raw("GET", "/".join(parts)).status_code == 404
    assert server.nobody.raw("GET", path).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["", "x", "..", "a/1/b", "../../secret_key/1/x", "%2e%2e/1/x", "a/99999999999999999999999/é",
     "a/-1/b", "a/1/" + "f" * 64, "%00/1/%00", "a/" + "9" * 4000 + "/x"],
)  # fmt: skip
def test_no_other_path_opens_anything(server: Server, path: str) -> None:
    assert server.nobody.raw("GET", f"/xqueue/files/{path}").status_code == 404


def test_an_address_expires() -> None:
    now = [1000.0]
    addresses = FileAddresses(KEY, "http://h", ttl_s=60, now_s=lambda: now[0])
    _, _, blob, expires, signature = urlsplit(addresses.sign("ab" * 16)).path[1:].split("/")
    addresses.check(blob, int(expires), signature)
    now[0] += 60
    addresses.check(blob, int(expires), signature)
    now[0] += 1
    with pytest.raises(NotFound):
        addresses.check(blob, int(expires), signature)


def test_an_address_of_another_secret_opens_nothing() -> None:
    theirs = FileAddresses(b"x" * 32, "http://h", ttl_s=60, now_s=lambda: 0)
    mine = FileAddresses(KEY, "http://h", ttl_s=60, now_s=lambda: 0)
    blob, expires, signature = urlsplit(theirs.sign("ab" * 16)).path.split("/")[3:]
    with pytest.raises(NotFound):
        mine.check(blob, int(expires), signature)


# -- the store -------------------------------------------------------------------------------------


@pytest.mark.parametrize("blob", ["", "..", "../x", "a" * 31, "A" * 32, "a" * 32 + "\n", "é" * 32])
def test_only_names_of_the_stores_own_making_are_looked_up(tmp_path: Path, blob: str) -> None:
    with pytest.raises(NotFound):
        LocalFiles(tmp_path).open(blob)


def test_nothing_of_a_file_over_the_limit_is_kept(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        LocalFiles(tmp_path).save(io.BytesIO(b"xx"), limit_bytes=1)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_a_file_whose_sender_goes_away_is_not_kept(tmp_path: Path) -> None:
    class Breaks(io.BytesIO):
        def read(self, _size: int | None = -1) -> bytes:
            raise ConnectionResetError

    with pytest.raises(OSError):
        LocalFiles(tmp_path).save(Breaks(), limit_bytes=10)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_removing_twice_is_no_error(tmp_path: Path) -> None:
    store = LocalFiles(tmp_path)
    blob, size = store.save(io.BytesIO(b"x"), limit_bytes=1)
    assert size == 1
    store.remove(blob)
    store.remove(blob)
    with pytest.raises(NotFound):
        store.open(blob)


def _kept(settings: Settings) -> list[Path]:
    return [p for p in (settings.data_dir / "files").rglob("*") if p.is_file()]


def _names_outside(data_dir: Path) -> set[Path]:
    """Everything near the data directory that is not in its store of files."""
    near = data_dir.parent.rglob("*")
    return {p for p in near if data_dir / "files" not in (p, *p.parents) and p != data_dir}


def test_a_file_that_can_not_be_read_is_not_answered_with_something_else(
    server: Server, server_settings: Settings
) -> None:
    upload(server, ("f", b"data"))
    ((_, url),) = handed_out(server).items()
    (kept,) = (p for p in (server_settings.data_dir / "files").rglob("*") if p.is_file())
    kept.unlink()
    kept.mkdir()  # opening it fails, for root as well
    assert download(server, url).status_code == 500
