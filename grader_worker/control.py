"""The socket over which a running supervisor is asked: frames as on sandboxd's, one question for
each connection. Whoever may open it (its owner) may command the workers."""

from __future__ import annotations

import json
import select
import socket
import struct
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from grader_worker.errors import ControlUnavailable, FrameError
from grader_worker.event_log import log_warning
from grader_worker.sandboxd.frames import receive_frame, send_frame
from grader_worker.sandboxd.socket_path import ListeningSocket

CONTROL_VARIABLE = "GRADER_WORKER_CONTROL"
MAX_QUESTION_BYTES = 64 * 1024
MAX_ANSWER_BYTES = 1024 * 1024
MAX_CONNECTIONS = 16
PATIENCE_S = 2.0
"""For a question to arrive, and for its answer to be taken."""
ANSWER_WITHIN_S = 10.0
_LENGTH = struct.Struct("!I")

Message = Mapping[str, Any]
Answering = Callable[[Message], dict[str, Any]]


def control_path(sandboxd_socket: Path) -> Path:
    """Beside sandboxd's."""
    return sandboxd_socket.with_name("workers.sock")


class ControlDesk:
    """Answers in the loop of a process that must have no threads: nothing here waits for a client,
    except for one that does not read what it asked for."""

    def __init__(self, listening: ListeningSocket, answer: Answering) -> None:
        self._listening = listening
        self._answer = answer
        self._listening.listener.setblocking(False)
        self._callers: dict[int, _Caller] = {}

    def serve(self, seconds: float) -> None:
        """Answer what comes within so many seconds."""
        deadline = time.monotonic() + seconds
        while (left_s := deadline - time.monotonic()) > 0:
            for number in self._readable(left_s):
                self._hear(number)
            self._drop_the_slow()

    def close(self) -> None:
        self._listening.close()
        self.leave_to_parent()

    def leave_to_parent(self) -> None:
        """In a fork: keep nothing of it open, or its lock would outlive the supervisor."""
        self._listening.abandon()
        for caller in self._callers.values():
            caller.connection.close()
        self._callers.clear()

    def _readable(self, seconds: float) -> list[int]:
        poll = select.poll()
        poll.register(self._listening.listener, select.POLLIN)
        for number in self._callers:
            poll.register(number, select.POLLIN)
        return [number for number, _event in poll.poll(seconds * 1000)]

    def _hear(self, number: int) -> None:
        caller = self._callers.get(number)
        if caller is None:
            self._accept()
            return
        try:
            question = caller.question()
            if question is None:
                return
            caller.connection.settimeout(PATIENCE_S)
            send_frame(caller.connection, self._answer(question))
        except (OSError, FrameError) as error:
            log_warning("control-caller-gone", error=repr(error))
        self._dismiss(number)

    def _accept(self) -> None:
        try:
            connection, _ = self._listening.listener.accept()
        except OSError:
            return
        if len(self._callers) >= MAX_CONNECTIONS:
            connection.close()
            return
        connection.setblocking(False)
        self._callers[connection.fileno()] = _Caller(connection)

    def _drop_the_slow(self) -> None:
        now = time.monotonic()
        for number, caller in list(self._callers.items()):
            if now - caller.came_at > PATIENCE_S:
                self._dismiss(number)

    def _dismiss(self, number: int) -> None:
        self._callers.pop(number).connection.close()


class _Caller:
    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.came_at = time.monotonic()
        self._data = b""

    def question(self) -> Message | None:
        """The frame, once all of it is there. Raises FrameError, OSError."""
        piece = self.connection.recv(MAX_QUESTION_BYTES)
        if not piece:
            raise FrameError("left without a question")
        self._data += piece
        if len(self._data) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._data)
        if length > MAX_QUESTION_BYTES:
            raise FrameError(f"a question of {length} bytes")
        if len(self._data) < _LENGTH.size + length:
            return None
        try:
            question = json.loads(self._data[_LENGTH.size :])
        except (ValueError, RecursionError) as error:
            raise FrameError(f"a question that is not JSON: {error}") from error
        if not isinstance(question, dict):
            raise FrameError("a question that is not a JSON object")
        return question


class ControlClient:
    """Asks the supervisor of this host. Raises ControlUnavailable of every question."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def status(self) -> dict[str, Any]:
        return self._ask({"ask": "status"})

    def scale(self, counts: Mapping[str, int | None]) -> dict[str, Any]:
        """None: as the settings say. Answers with the status."""
        return self._ask({"ask": "scale", "counts": dict(counts)})

    def heed(
        self,
        server: str,
        *,
        wishes: Mapping[str, int],
        said_at: Mapping[str, str],
        needs: Mapping[str, int],
    ) -> None:
        """Pass on what a server answered by queue: an operator's wishes and when each was said,
        and what is needed."""
        answered = {"wishes": dict(wishes), "said_at": dict(said_at), "needs": dict(needs)}
        self._ask({"ask": "heed", "server": server, **answered})

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as connection:
            connection.settimeout(ANSWER_WITHIN_S)
            try:
                connection.connect(str(self._path))
                send_frame(connection, question)
                answer = receive_frame(connection, max_bytes=MAX_ANSWER_BYTES)
            except (OSError, FrameError) as error:
                raise ControlUnavailable(
                    f"no grader-worker run answers at {self._path} ({error}); start one, or give"
                    " its --control"
                ) from error
        done = (answer or {}).get("ok")
        if not isinstance(done, dict):
            raise ControlUnavailable(str((answer or {}).get("error", "no answer")))
        return done
