"""The HTTP transport: patience, limits, kept connections, TLS and credentials."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from tests.delivery.certificates import Authority
from tests.delivery.lms import Reply, ScriptedLms, running_lms
from tests.delivery.outbox_data import HEADER, http_transport
from xqueue_server.models.callback import DueCallback
from xqueue_server.transport.access import Access
from xqueue_server.transport.http import HttpTransport, Patience


def due(origin: str, path: str = "/courses/c/xqueue/7/b/score_update") -> DueCallback:
    return DueCallback(
        id=41,
        submission_id=7,
        url=origin + path,
        origin=origin,
        header=HEADER,
        body="{}",
        attempt=1,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        claim_token=b"t" * 16,
    )


@pytest.fixture
def impatient() -> Iterator[HttpTransport]:
    """Of the whole; what comes bit by bit may do so as slowly as the machine is."""
    made = http_transport(patience=Patience(connect_s=30, read_s=30, total_s=0.9))
    yield made
    made.close()


# -- requests ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "arrives"),
    [
        ("", "/"),
        ("?a=b", "/?a=b"),
        ("/a b/ü", "/a%20b/%C3%BC"),
        ("/i4x%3A%2F%2Fx?q=%41#fragment", "/i4x%3A%2F%2Fx?q=%41"),
        ("//other.example/x", "//other.example/x"),
        ("/a\r\nX-Injected: 1", "/aX-Injected:%201"),
    ],
)
def test_the_path_arrives_as_it_is_meant_and_the_host_is_always_the_origins(
    transport: HttpTransport, lms: ScriptedLms, path: str, arrives: str
) -> None:
    assert transport.send(due(lms.origin, path)).status == 200
    [got] = lms.received
    assert got.path.replace("%41", "A") == arrives.replace("%41", "A")
    assert got.headers["host"] == f"127.0.0.1:{lms.port}"
    assert "x-injected" not in got.headers


def test_every_try_carries_the_same_id_and_says_who_sends(
    transport: HttpTransport, lms: ScriptedLms
) -> None:
    transport.send(due(lms.origin))
    transport.send(dataclasses.replace(due(lms.origin), attempt=2))
    assert [got.headers["webhook-id"] for got in lms.received] == ["cb_41", "cb_41"]
    assert lms.received[0].headers["user-agent"].startswith("xqueue-server")


def test_proxies_of_the_environment_are_ignored(
    transport: HttpTransport, lms: ScriptedLms, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert transport.send(due(lms.origin)).status == 200


def test_credentials_go_to_their_own_origin_only(lms: ScriptedLms) -> None:
    with running_lms() as other:
        transport = http_transport(access={lms.origin: Access(authorization="Bearer secret")})
        transport.send(due(lms.origin))
        transport.send(due(other.origin))
        transport.close()
        assert lms.received[0].headers["authorization"] == "Bearer secret"
        assert "authorization" not in other.received[0].headers


# -- answers -------------------------------------------------------------------------------------


def test_connections_are_kept_alive(transport: HttpTransport, lms: ScriptedLms) -> None:
    lms.script = [Reply(body=b"x"), 204, 404, Reply(body=b"y" * 64 * 1024)]
    for _ in range(5):
        transport.send(due(lms.origin))
    assert lms.connections == 1


def test_a_kept_connection_that_the_lms_has_closed_costs_no_try(
    transport: HttpTransport, lms: ScriptedLms
) -> None:
    transport.send(due(lms.origin))
    lms.script = [Reply(raw=lambda connection: connection.shutdown(socket.SHUT_RDWR))]
    assert transport.send(due(lms.origin)).status == 200
    assert lms.connections == 2


def test_a_pool_that_another_thread_has_just_dropped_costs_no_try(
    transport: HttpTransport, lms: ScriptedLms
) -> None:
    transport.send(due(lms.origin))
    transport._pool(lms.origin).close()
    assert transport.send(due(lms.origin)).status == 200


def test_a_fresh_connection_that_breaks_is_a_failure(
    transport: HttpTransport, lms: ScriptedLms
) -> None:
    lms.script = [Reply(raw=lambda connection: connection.shutdown(socket.SHUT_RDWR))]
    outcome = transport.send(due(lms.origin))
    assert outcome.status is None
    assert outcome.error
    assert outcome.error.startswith("connection broke")
    assert len(lms.received) == 1


def test_a_long_answer_is_cut_at_64_kb(transport: HttpTransport, lms: ScriptedLms) -> None:
    lms.script = [Reply(body=b"x" * 10_000_000)]
    outcome = transport.send(due(lms.origin))
    assert outcome.status == 200
    assert len(outcome.response or "") == 64 * 1024
    assert transport.send(due(lms.origin)).status == 200


def test_an_answer_is_not_decompressed(transport: HttpTransport, lms: ScriptedLms) -> None:
    lms.script = [Reply(body=b"not gzip", headers={"Content-Encoding": "gzip"})]
    assert transport.send(due(lms.origin)).response == "not gzip"
    assert lms.received[0].headers["accept-encoding"] == "identity"


def test_an_lms_that_is_not_there_is_a_failure_that_may_pass(transport: HttpTransport) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        outcome = transport.send(due(f"http://127.0.0.1:{taken.getsockname()[1]}"))
    assert (outcome.status, outcome.is_permanent) == (None, False)
    assert outcome.error == "no connection: Connection refused"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".example", "a..b"])
def test_a_name_that_can_not_be_resolved_is_a_failure_that_may_pass(host: str) -> None:
    def resolve(name: str, *args: object, **kwargs: object) -> list[object]:
        name.encode("idna")
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    transport = http_transport(resolve=resolve)
    outcome = transport.send(due(f"http://{host}"))
    assert (outcome.status, outcome.is_permanent) == (None, False)
    assert outcome.error == "the name can not be resolved"


def test_what_is_not_http_is_a_failure(transport: HttpTransport, lms: ScriptedLms) -> None:
    lms.script = [Reply(raw=lambda connection: connection.sendall(b"SSH-2.0-x\r\n\r\n"))]
    outcome = transport.send(due(lms.origin))
    assert (outcome.status, outcome.error) == (None, "connection broke: not an HTTP answer")


# -- patience ------------------------------------------------------------------------------------


def test_an_lms_that_never_answers_is_left_after_the_read_timeout(lms: ScriptedLms) -> None:
    may_end = threading.Event()
    lms.script = [Reply(wait_for=may_end)]
    transport = http_transport(patience=Patience(connect_s=30, read_s=0.3, total_s=60))
    outcome = transport.send(due(lms.origin))
    may_end.set()
    transport.close()
    assert (outcome.status, outcome.error) == (None, "no answer within 0.3 s")


DRIPS_S = 60


def _drip(beginning: bytes, drop: bytes) -> Callable[[socket.socket], None]:
    """Until nobody listens; whoever takes all of it is late."""

    def drip(connection: socket.socket) -> None:
        connection.sendall(beginning)
        until = time.monotonic() + DRIPS_S
        while time.monotonic() < until:
            connection.sendall(drop)
            time.sleep(0.05)

    return drip


@pytest.mark.parametrize(
    ("beginning", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"X-More: x\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["header", "headers", "body", "endless body", "chunks", "continue"],
)
def test_an_answer_that_drips_is_left_at_the_total_deadline(
    impatient: HttpTransport, lms: ScriptedLms, beginning: bytes, drop: bytes
) -> None:
    lms.script = [Reply(raw=_drip(beginning, drop))]
    begun = time.monotonic()
    outcome = impatient.send(due(lms.origin))
    assert time.monotonic() - begun < DRIPS_S / 2
    assert (outcome.status, outcome.error) == (None, "no complete answer within 0.9 s")


def test_a_deadline_that_passes_leaves_later_sends_alone(
    transport: HttpTransport, lms: ScriptedLms
) -> None:
    short = {"origin": lms.origin, "url": lms.origin, "body": b"", "headers": {}}
    assert transport.request("POST", within_s=2, **short).status == 200  # type: ignore[arg-type]
    for _ in range(9):
        assert transport.send(due(lms.origin)).status == 200
        time.sleep(0.25)
    assert lms.connections == 1


# -- TLS -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def test_an_unknown_authority_is_refused(authority: Authority) -> None:
    with running_lms(authority.server_context("127.0.0.1")) as lms:
        transport = http_transport()
        outcome = transport.send(due(lms.origin))
        transport.close()
        assert lms.received == []
    assert outcome.status is None
    assert outcome.error
    assert "certificate verify failed" in outcome.error
    assert not outcome.is_permanent


def test_the_ca_bundle_of_the_origin_is_trusted(authority: Authority) -> None:
    with running_lms(authority.server_context("127.0.0.1")) as lms:
        access = {lms.origin: Access(tls=authority.client_context())}
        transport = http_transport(access=access)
        statuses = [transport.send(due(lms.origin)).status for _ in range(3)]
        transport.close()
        assert statuses == [200, 200, 200]
        assert lms.connections == 1


def test_a_certificate_of_another_host_is_refused(authority: Authority) -> None:
    with running_lms(authority.server_context("elsewhere.example")) as lms:
        access = {lms.origin: Access(tls=authority.client_context())}
        transport = http_transport(access=access)
        outcome = transport.send(due(lms.origin))
        transport.close()
        assert lms.received == []
    assert outcome.error
    assert "mismatch" in outcome.error


def test_an_answer_that_drips_under_tls_is_left_at_the_total_deadline(
    authority: Authority,
) -> None:
    with running_lms(authority.server_context("127.0.0.1")) as lms:
        lms.script = [Reply(raw=_drip(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"))]
        transport = http_transport(
            access={lms.origin: Access(tls=authority.client_context())},
            patience=Patience(connect_s=30, read_s=30, total_s=0.9),
        )
        begun = time.monotonic()
        outcome = transport.send(due(lms.origin))
        assert time.monotonic() - begun < DRIPS_S / 2
        transport.close()
    assert (outcome.status, outcome.error) == (None, "no complete answer within 0.9 s")


@pytest.mark.parametrize(
    "patience",
    [
        Patience(connect_s=0.3, read_s=60, total_s=60),
        Patience(connect_s=60, read_s=60, total_s=0.3),
    ],
    ids=["connect", "total"],
)
def test_a_peer_that_never_shakes_hands_is_left(patience: Patience) -> None:
    transport = http_transport(patience=patience)
    with socket.create_server(("127.0.0.1", 0)) as server:
        origin = f"https://127.0.0.1:{server.getsockname()[1]}"
        begun = time.monotonic()
        assert transport.send(due(origin)).status is None
        assert time.monotonic() - begun < 30
    transport.close()


def test_new_access_is_used_from_the_next_send_on(lms: ScriptedLms) -> None:
    transport = http_transport()
    transport.send(due(lms.origin))
    transport.replace_access({lms.origin: Access(authorization="Basic new")})
    transport.send(due(lms.origin))
    transport.close()
    assert [got.headers.get("authorization") for got in lms.received] == [None, "Basic new"]


def test_an_ipv6_origin_works() -> None:
    with socket.socket(socket.AF_INET6) as server:
        try:
            server.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here")
        server.listen()
        port = server.getsockname()[1]

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        transport = http_transport()
        assert transport.send(due(f"http://[::1]:{port}")).status == 200
        transport.close()
        thread.join()
