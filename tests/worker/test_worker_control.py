"""The socket of a supervisor: whoever misbehaves on it disturbs nobody."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import contextmanager

import pytest

from grader_worker.control import MAX_CONNECTIONS, ControlClient, ControlDesk
from grader_worker.errors import ControlUnavailable
from grader_worker.sandboxd.frames import receive_frame, send_frame
from grader_worker.sandboxd.socket_path import ListeningSocket


@contextmanager
def serving(socket_path, answer):
    """A desk that answers in a thread, for as long as the block runs."""
    desk = ControlDesk(ListeningSocket(socket_path), answer)
    ending = threading.Event()

    def serve():
        while not ending.is_set():
            desk.serve(0.05)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield desk
    finally:
        ending.set()
        thread.join(60)
        desk.close()


@pytest.fixture
def desk(socket_path):
    """Answers every question with itself."""
    with serving(socket_path, lambda question: {"ok": dict(question)}) as desk:
        yield desk


@pytest.fixture
def connect(socket_path):
    opened = []

    def connect():
        connection = socket.socket(socket.AF_UNIX)
        opened.append(connection)
        connection.settimeout(30)
        connection.connect(str(socket_path))
        return connection

    yield connect
    for connection in opened:
        connection.close()


def test_a_question_is_answered(desk, socket_path):
    assert ControlClient(socket_path).scale({"python": 3}) == {
        "ask": "scale",
        "counts": {"python": 3},
    }


def test_a_question_that_comes_in_pieces_is_answered(desk, connect):
    connection = connect()
    data = b'{"ask": "status"}'
    for byte in struct.pack("!I", len(data)) + data:
        connection.sendall(bytes([byte]))
    assert receive_frame(connection, max_bytes=1000) == {"ok": {"ask": "status"}}


@pytest.mark.parametrize(
    "data",
    [b"\xff\xff\xff\xff", b"\0\0\0\x02xx", b"\0\0\0\x02[]", b"\0\0\0\x01[", b"GET / HTTP/1.1\r\n"],
)
def test_garbage_is_dropped_and_the_next_is_answered(desk, connect, socket_path, data):
    connection = connect()
    connection.sendall(data)
    assert connection.recv(100) == b""
    assert ControlClient(socket_path).status() == {"ask": "status"}


def test_silent_callers_are_dropped_and_hold_nobody_up(desk, connect, socket_path):
    silent = [connect() for _ in range(MAX_CONNECTIONS - 1)]
    assert ControlClient(socket_path).status() == {"ask": "status"}
    assert [connection.recv(1) for connection in silent] == [b""] * len(silent)


def test_what_the_supervisor_refuses_is_said(socket_path):
    with (
        serving(socket_path, lambda _question: {"error": "no such queue"}),
        pytest.raises(ControlUnavailable, match="no such queue"),
    ):
        ControlClient(socket_path).status()


def test_a_fork_gives_back_the_lock_but_not_the_socket(socket_path):
    desk = ControlDesk(ListeningSocket(socket_path), lambda _question: {"ok": {}})
    desk.leave_to_parent()
    assert socket_path.exists()
    ListeningSocket(socket_path).close()


def test_an_answer_that_is_none_is_an_error(socket_path):
    listening = ListeningSocket(socket_path)

    def answer():
        connection, _ = listening.listener.accept()
        with connection:
            receive_frame(connection, max_bytes=1000)
            send_frame(connection, {})

    server = threading.Thread(target=answer)
    server.start()
    with pytest.raises(ControlUnavailable, match="no answer"):
        ControlClient(socket_path).status()
    server.join(60)
    listening.close()
