"""The engine's API as far as it is used, against a server that answers what a test tells it to."""

import socket
import threading

import pytest

from sandbox.backends.docker.engine import EngineClient, EngineRefused
from sandbox.backends.docker.where import EngineAddress, find_engine
from sandbox.errors import SandboxUnavailable

PONG = b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK"


def answer(status, body, reason="X"):
    return f"HTTP/1.1 {status} {reason}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


class ScriptedEngine:
    """Answers each request with the next of its answers; None closes the connection instead, and
    without any left it is silent."""

    def __init__(self, path):
        self.pong = PONG
        self.requests = []
        self.answers = []
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        self._connections = []
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                connection = self._server.accept()[0]
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            while data := connection.recv(65536):
                line = data.split(b"\r\n")[0].decode()
                self.requests.append(line)
                if "/_ping" in line:
                    connection.sendall(self.pong)
                elif self.answers:
                    reply = self.answers.pop(0)
                    if reply is None:
                        connection.shutdown(socket.SHUT_RDWR)
                        return
                    connection.sendall(reply)
        except OSError:
            return

    def close(self):
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for connection in [self._server, *self._connections]:
            connection.close()


@pytest.fixture
def scripted(tmp_path):
    engine = ScriptedEngine(tmp_path / "engine.sock")
    yield engine
    engine.close()


@pytest.fixture
def open_client(scripted, tmp_path):
    opened = []

    def open_one(timeout_s):
        address = EngineAddress(socket_path=str(tmp_path / "engine.sock"))
        opened.append(EngineClient(address, timeout_s=timeout_s))
        return opened[-1]

    yield open_one
    for client in opened:
        client.close()


@pytest.fixture
def client(open_client):
    return open_client(60)


def test_requests_use_the_newest_version_both_know(scripted, client):
    scripted.answers = [answer(200, '{"Version": "20.10"}')]
    assert client.version() == {"Version": "20.10"}
    assert scripted.requests == ["GET /_ping HTTP/1.1", "GET /v1.41/version HTTP/1.1"]


def test_an_engine_that_is_too_old_is_refused(scripted, client):
    scripted.pong = PONG.replace(b"1.41", b"1.24")
    with pytest.raises(SandboxUnavailable, match=r"too old.*1\.24"):
        client.version()


def test_what_the_engine_says_is_kept_in_the_error(scripted, client):
    scripted.answers = [answer(409, '{"message": "name is taken"}')]
    with pytest.raises(EngineRefused, match="name is taken") as refused:
        client.create_container({})
    assert refused.value.status == 409


@pytest.mark.parametrize("status", [204, 404, 409])
def test_a_container_that_is_gone_or_going_counts_as_removed(scripted, client, status):
    scripted.answers = [answer(status, "{}")]
    client.remove_container("c1")
    assert scripted.requests[-1] == "DELETE /v1.41/containers/c1?force=1&v=1 HTTP/1.1"


def test_a_removal_that_fails_is_told(scripted, client):
    scripted.answers = [answer(500, '{"message": "device busy"}')]
    with pytest.raises(EngineRefused, match="device busy"):
        client.remove_container("c1")


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.version(),
        lambda client: client.inspect_image("i"),
        lambda client: client.create_container({}),
        lambda client: client.attach("c"),
        lambda client: client.start_container("c"),
        lambda client: client.wait_container("c"),
        lambda client: client.inspect_container("c"),
        lambda client: client.remove_container("c"),
        lambda client: client.list_containers("l"),
    ],
)
def test_no_request_waits_for_ever(scripted, open_client, ask):
    client = open_client(0.5)
    with pytest.raises(SandboxUnavailable, match="does not answer in time"):
        ask(client)


def test_a_connection_that_the_engine_closed_meanwhile_is_replaced(scripted, client):
    scripted.answers = [answer(200, "{}"), None, answer(200, '{"Version": "2"}')]
    client.version()
    assert client.version() == {"Version": "2"}


def test_a_fresh_connection_that_is_closed_is_the_engines_failure(scripted, client):
    scripted.answers = [None]
    with pytest.raises(SandboxUnavailable):
        client.version()


def test_an_engine_that_is_not_there_is_unavailable(tmp_path):
    client = EngineClient(EngineAddress(socket_path=str(tmp_path / "no.sock")), timeout_s=1)
    with pytest.raises(SandboxUnavailable, match="reaching the Docker Engine"):
        client.version()


def test_an_attached_stream_loses_nothing_that_came_with_the_answer(scripted, client):
    head = b"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\n"
    scripted.answers = [head + b"\x01\0\0\0\0\0\0\x02hi" + b"\x02\0\0\0\0\0\0\x03err"]
    channel = client.attach("c1")
    assert channel.receive(60) == b"hi"
    assert channel.stderr == "err"
    channel.close()


def test_attaching_to_what_is_gone_is_told(scripted, client):
    scripted.answers = [answer(404, '{"message": "No such container: c1"}')]
    with pytest.raises(EngineRefused, match="No such container"):
        client.attach("c1")


@pytest.mark.parametrize(
    ("host", "environ", "expected"),
    [
        (None, {}, EngineAddress(socket_path="/var/run/docker.sock")),
        ("unix:///a/b", {"DOCKER_HOST": "tcp://h:1"}, EngineAddress(socket_path="/a/b")),
        (None, {"DOCKER_HOST": "tcp://h:1234"}, EngineAddress(host="h", port=1234)),
        (None, {"DOCKER_HOST": "tcp://h"}, EngineAddress(host="h", port=2375)),
    ],
)
def test_where_the_engine_is(host, environ, expected):
    assert find_engine(host, environ) == expected


def test_tls_needs_no_other_words_than_for_other_clients(tmp_path):
    environ = {
        "DOCKER_HOST": "tcp://h",
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": str(tmp_path),
    }
    assert find_engine(None, environ) == EngineAddress(host="h", port=2376, cert_path=tmp_path)


def test_an_address_of_another_kind_is_refused():
    with pytest.raises(SandboxUnavailable, match="neither"):
        find_engine("ssh://h", {})
