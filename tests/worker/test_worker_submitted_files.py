"""Files of learners: fetched within bounds, from nowhere else."""

from __future__ import annotations

import json

import pytest
import requests

from grader_worker.errors import FilesUnavailable, SubmissionUnusable
from grader_worker.submitted_files import FileBounds, SubmittedFiles


@pytest.fixture
def fetch(xqueue):
    with requests.Session() as session:
        files = SubmittedFiles(
            xqueue.url,
            session,
            bounds=FileBounds(count=2, file_bytes=10, total_bytes=15, seconds=60),
        )
        yield lambda **addresses: files.fetch(json.dumps(addresses))


def serve(xqueue, path, body=b"", status=200, headers=None):
    xqueue.blobs[path] = lambda handler: handler.send(status, body, headers or {})
    return xqueue.url + path


def test_text_arrives_as_text(xqueue, fetch):
    assert fetch(a=serve(xqueue, "/a", "é".encode())) == {"a": "é"}


def test_other_bytes_arrive_as_base64(xqueue, fetch):
    assert fetch(a=serve(xqueue, "/a", b"\xff")) == {"a": {"base64": "/w=="}}


@pytest.mark.parametrize("nothing", ["", "{}", "null", "[]"])
def test_no_files_are_no_files(nothing):
    assert SubmittedFiles("http://x", requests.Session()).fetch(nothing) == {}


def test_an_address_without_a_host_is_the_servers(xqueue, fetch):
    serve(xqueue, "/media/a", b"A")
    assert fetch(a="/media/a") == {"a": "A"}


def test_a_redirect_on_the_same_host_is_followed(xqueue, fetch):
    serve(xqueue, "/b", b"B")
    assert fetch(a=serve(xqueue, "/a", status=302, headers={"Location": "/b"})) == {"a": "B"}


def test_a_redirect_to_another_host_is_refused(xqueue, new_xqueue, fetch):
    other = new_xqueue()
    secret = serve(other, "/meta-data", b"SECRET")
    with pytest.raises(SubmissionUnusable, match="another host"):
        fetch(a=serve(xqueue, "/a", status=302, headers={"Location": secret}))


@pytest.mark.parametrize("address", ["http://[h/a", "http://h:99999/a", "http://h:x/a"])
def test_an_address_that_is_none_is_the_submissions_fault(fetch, address):
    with pytest.raises(SubmissionUnusable, match="http"):
        fetch(a=address)


def test_what_a_learner_called_a_file_is_not_repeated(xqueue, fetch):
    with pytest.raises(SubmissionUnusable, match=r"^file 2 is larger") as refused:
        fetch(a=serve(xqueue, "/a"), jane_doe=serve(xqueue, "/b", b"x" * 11))
    assert "jane" not in str(refused.value)


def test_redirects_in_a_circle_end(xqueue, fetch):
    with pytest.raises(FilesUnavailable, match="redirects"):
        fetch(a=serve(xqueue, "/a", status=302, headers={"Location": "/a"}))


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://x/y", "gopher://x"])
def test_only_http_is_fetched(fetch, address):
    with pytest.raises(SubmissionUnusable, match="http"):
        fetch(a=address)


def test_a_file_beyond_the_bound_is_refused(xqueue, fetch):
    with pytest.raises(SubmissionUnusable, match="larger"):
        fetch(a=serve(xqueue, "/a", b"x" * 11))


def test_files_beyond_the_bound_of_all_together_are_refused(xqueue, fetch):
    with pytest.raises(SubmissionUnusable, match="larger"):
        fetch(a=serve(xqueue, "/a", b"x" * 8), b=serve(xqueue, "/b", b"x" * 8))


def test_too_many_files_are_refused(fetch):
    with pytest.raises(SubmissionUnusable, match="3 files"):
        fetch(a="/a", b="/b", c="/c")


def test_zeros_are_not_text(xqueue, fetch):
    assert fetch(a=serve(xqueue, "/a", b"\0\0\0")) == {"a": {"base64": "AAAA"}}


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_file_the_store_does_not_deliver_is_tried_again_later(xqueue, fetch, status):
    with pytest.raises(FilesUnavailable, match=str(status)):
        fetch(a=serve(xqueue, "/a", status=status))


@pytest.mark.parametrize("files_json", ["nonsense", "[1]", '{"a": 5}', '"text"'])
def test_a_map_that_is_none_is_refused(files_json):
    with pytest.raises(SubmissionUnusable):
        SubmittedFiles("http://x", requests.Session()).fetch(files_json)


def test_a_store_that_is_too_slow_is_tried_again_later(xqueue):
    times = iter([0.0, 100.0])
    with requests.Session() as session:
        files = SubmittedFiles(xqueue.url, session, clock=lambda: next(times))
        with pytest.raises(FilesUnavailable, match="slow"):
            files.fetch(json.dumps({"a": serve(xqueue, "/a", b"A")}))


def test_a_strangers_store_does_not_get_our_credentials(xqueue, new_xqueue):
    stranger = new_xqueue()
    seen = []
    stranger.blobs["/a"] = lambda handler: (
        seen.append(dict(handler.headers)),
        handler.send(200, b"A", {}),
    )
    with requests.Session() as session:
        session.auth = ("u", "p")
        session.cookies.set("sessionid", "SECRET")
        files = SubmittedFiles(xqueue.url, session)
        files.fetch(json.dumps({"a": f"{stranger.url}/a"}))
    assert not {"Authorization", "Cookie"} & seen[0].keys()
