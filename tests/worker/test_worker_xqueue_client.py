"""The protocol, against a server over real HTTP."""

from __future__ import annotations

import dataclasses
import json
import time

import pytest

from deploy.demo.processes import free_port
from grader_worker import xqueue_client
from grader_worker.errors import (
    LeaseLost,
    LoginRefused,
    RequestRefused,
    ServerUnreachable,
    SettingsError,
)
from grader_worker.server_account import BasicAuth, ServerAccount, read_secret
from grader_worker.xqueue_client import XQueueClient
from tests.worker.fakes import account


@pytest.fixture
def client(xqueue):
    client = XQueueClient(account(xqueue))
    yield client
    client.close()


def test_a_submission_is_leased_and_answered(xqueue, client):
    number = xqueue.submit()
    lease = client.get_submission("python")
    client.put_result(lease, '{"correct": true}')
    assert xqueue.results == {number: {"correct": True}}


def test_an_empty_queue_is_none(client):
    assert client.get_submission("python") is None


def test_an_answer_that_trickles_is_not_waited_for(xqueue, client, monkeypatch):
    """Every byte comes within the timeout of a read, all of them would take minutes."""
    client.login()
    monkeypatch.setattr(xqueue_client, "READ_TIMEOUT_S", 2.0)
    monkeypatch.setattr(xqueue_client, "BODY_S", 0.1)
    answer_with(xqueue, *[b"x"] * 6000, pause_s=0.05)
    with pytest.raises(ServerUnreachable, match="does not end"):
        client.get_submission("python")


def test_an_answer_without_bounds_is_not_read_to_its_end(xqueue, client, monkeypatch):
    client.login()
    monkeypatch.setattr(xqueue_client, "MAX_WIRE_BYTES", 1000)
    answer_with(xqueue, b"x" * 1001)
    with pytest.raises(ServerUnreachable, match="more than 1000 bytes"):
        client.get_submission("python")


def answer_with(xqueue, *pieces, pause_s=0.0):
    def serve(request):
        request.send_response(200)
        request.send_header("Content-Length", str(sum(map(len, pieces))))
        request.end_headers()
        for piece in pieces:
            request.wfile.write(piece)
            time.sleep(pause_s)

    xqueue.blobs["/xqueue/get_submission/"] = serve


def test_an_unknown_queue_is_refused(client):
    with pytest.raises(RequestRefused, match="not found"):
        client.get_submission("unknown")


def test_a_session_that_is_gone_is_renewed_once(xqueue, client):
    client.get_submission("python")
    xqueue.sessions.clear()
    client.get_submission("python")
    assert xqueue.logins == 2


def test_a_session_that_does_not_stick_is_not_asked_for_in_a_loop(xqueue, client):
    xqueue.sessions_stick = False
    with pytest.raises(LoginRefused):
        client.get_submission("python")
    assert xqueue.logins == 1


def test_a_wrong_password_is_a_refused_login(xqueue):
    with pytest.raises(LoginRefused, match="Incorrect login"):
        XQueueClient(account(xqueue, password="wrong")).get_submission("python")


def test_a_server_that_is_down_is_unreachable():
    nobody = ServerAccount(url=f"http://127.0.0.1:{free_port()}", username="g", password="p")
    with pytest.raises(ServerUnreachable):
        XQueueClient(nobody).get_submission("python")


@pytest.mark.parametrize("status", [500, 502, 503, 404])
def test_an_answer_that_is_not_the_protocols_is_unreachable(xqueue, client, status):
    client.login()
    xqueue.broken["get_submission"] = [status]
    with pytest.raises(ServerUnreachable, match=str(status)):
        client.get_submission("python")


def test_extensions_are_used_when_announced(xqueue, client):
    client.login()
    client.get_submission("python", wait_s=1, lease_s=30)
    assert xqueue.asked("get_submission")[-1] == {
        "queue_name": "python",
        "wait": "1",
        "lease_s": "30",
    }


@pytest.mark.parametrize("extensions", ["", "lease"])
def test_extensions_are_not_used_when_not_announced(new_xqueue, extensions):
    foreign = new_xqueue(extensions=extensions)
    client = XQueueClient(account(foreign))
    client.login()
    client.get_submission("python", wait_s=1, lease_s=30)
    assert foreign.asked("get_submission")[-1] == {"queue_name": "python"}


def test_a_proxys_error_page_does_not_make_the_extensions_forgotten(xqueue, client):
    client.login()
    xqueue.broken["get_submission"] = [502]
    with pytest.raises(ServerUnreachable):
        client.get_submission("python")
    assert "failure" in client.extensions


def test_a_wrong_key_is_a_lost_lease(xqueue, client):
    xqueue.submit()
    lease = client.get_submission("python")
    xqueue.lost = True
    for put in (
        lambda: client.put_result(lease, "{}"),
        lambda: client.renew_lease(lease),
        lambda: client.put_failure(lease, kind="platform", detail=""),
    ):
        with pytest.raises(LeaseLost):
            put()


def test_a_submission_that_is_gone_is_a_lost_lease(xqueue, client):
    xqueue.submit()
    lease = client.get_submission("python")
    xqueue.keys.clear()
    with pytest.raises(LeaseLost):
        client.put_result(lease, "{}")


def test_a_sibling_shares_the_login_but_no_connection(xqueue, client):
    client.login()
    sibling = client.sibling()
    sibling.get_submission("python")
    assert xqueue.logins == 1
    assert sibling.session is not client.session


def test_a_csrf_cookie_is_sent_back_with_the_referer(xqueue, client):
    client.session.cookies.set("csrftoken", "TOKEN")
    assert client._csrf_headers("http://x/") == {"Referer": "http://x/", "X-CSRFToken": "TOKEN"}


def test_basic_auth_goes_with_every_request(xqueue):
    basic = account(xqueue, basic_auth=BasicAuth(username="u", password="p"))
    assert XQueueClient(basic).session.auth == ("u", "p")


def test_secrets_are_not_in_the_repr():
    basic = BasicAuth(username="u", password="SECRET")
    text = repr(ServerAccount(url="http://x", username="u", password="SECRET", basic_auth=basic))
    assert "SECRET" not in text


@pytest.mark.parametrize("url", ["http://x/", "http://x/xqueue/", "http://x/xqueue"])
def test_the_url_may_or_may_not_end_in_xqueue(url):
    assert ServerAccount(url=url, username="u", password="p").url == "http://x"


def test_an_account_can_be_copied_with_another_password(xqueue):
    assert dataclasses.replace(account(xqueue), password="p2").password == "p2"


def test_a_password_file_loses_only_its_last_newline(tmp_path):
    file = tmp_path / "password"
    file.write_text(" pass word \n")
    assert read_secret(file) == " pass word "


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_a_password_file_that_is_missing_or_empty_is_said_so(tmp_path, content):
    file = tmp_path / "password"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SettingsError, match="password"):
        read_secret(file)


def test_the_request_after_a_lost_session_is_repeated_with_its_body(xqueue, client):
    number = xqueue.submit()
    lease = client.get_submission("python")
    xqueue.sessions.clear()
    client.put_result(lease, json.dumps({"score": 1}))
    assert xqueue.results[number] == {"score": 1}
