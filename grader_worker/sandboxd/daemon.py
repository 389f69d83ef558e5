"""sandboxd itself: accepts requests on the socket, runs at most so many at once, reaps.

A run belongs to its request: nothing is remembered between two, so a killed sandboxd loses
only runs whose clients notice and release their leases.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any

from grader_worker.errors import FrameError
from grader_worker.event_log import log_crash, log_event, log_warning
from grader_worker.sandboxd.frames import MAX_REQUEST_BYTES, receive_frame, send_frame
from grader_worker.sandboxd.messages import (
    CanaryWord,
    DaemonState,
    decode_preparation,
    decode_request,
    encode_description,
    encode_health,
    encode_prepared,
    encode_result,
    encode_state,
)
from grader_worker.sandboxd.socket_path import ListeningSocket
from grader_worker.stopping import Stop
from sandbox.backend import SandboxBackend
from sandbox.errors import GraderNotUsable, SandboxError, SandboxUnavailable
from sandbox.run import Preparation, RunRequest

REQUEST_READ_S = 30.0
SIGN_OF_LIFE_S = 5.0
REAP_INTERVAL_S = 60.0
DRAIN_S = 120.0
MAX_CONNECTIONS = 256

Reply = dict[str, Any]


class SandboxDaemon:
    """Serves one backend on one socket until told to stop."""

    def __init__(
        self,
        backend: SandboxBackend,
        listening: ListeningSocket,
        *,
        concurrency: int,
        canary: Callable[[], CanaryWord | None] = lambda: None,
        sign_of_life_s: float = SIGN_OF_LIFE_S,
        reap_interval_s: float = REAP_INTERVAL_S,
        drain_s: float = DRAIN_S,
    ) -> None:
        self._backend = backend
        self._listening = listening
        self._canary = canary
        self._slots = ThreadPoolExecutor(concurrency, thread_name_prefix="run")
        # Apart from the runs, so that a full house can still say how it is.
        self._questions = ThreadPoolExecutor(2, thread_name_prefix="question")
        # Apart from the questions, because an image may take minutes to become ready.
        self._preparations = ThreadPoolExecutor(2, thread_name_prefix="prepare")
        self._connections = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._conversations: set[threading.Thread] = set()
        self._sign_of_life_s = sign_of_life_s
        self._reap_interval_s = reap_interval_s
        self._drain_s = drain_s
        self._logged_counters: dict[str, int] = {}
        self.stopping = Stop()
        """Set it, also from a signal handler, to end `serve`."""

    def serve(self) -> bool:
        """Returns after `stopping` was set and the runs in progress ended; False if some did
        not in time."""
        reaper = threading.Thread(target=self._reap_regularly, name="reaper", daemon=True)
        reaper.start()
        # Short, because a signal handler can set an event but not interrupt another accept.
        self._listening.listener.settimeout(0.2)
        while not self.stopping.is_set():
            self._accept()
        return self._drain()

    def _accept(self) -> None:
        try:
            connection, _ = self._listening.listener.accept()
        except TimeoutError:
            return
        if not self._connections.acquire(blocking=False):
            log_warning("too-many-connections", limit=MAX_CONNECTIONS)
            connection.close()
            return
        conversation = threading.Thread(target=self._converse, args=(connection,), daemon=True)
        self._conversations.add(conversation)
        conversation.start()

    def _drain(self) -> bool:
        self._listening.close()
        log_event("sandboxd-stopping", runs=len(self._conversations))
        # Those still waiting for a slot are refused; their clients release the lease.
        self._slots.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + self._drain_s
        for conversation in list(self._conversations):
            conversation.join(max(0.0, deadline - time.monotonic()))
        drained = not any(thread.is_alive() for thread in list(self._conversations))
        self._questions.shutdown(wait=False, cancel_futures=True)
        self._preparations.shutdown(wait=False, cancel_futures=True)
        self._backend.close()
        return drained

    def _converse(self, connection: socket.socket) -> None:
        """One request and its answer."""
        try:
            with connection:
                connection.settimeout(REQUEST_READ_S)
                message = receive_frame(connection, max_bytes=MAX_REQUEST_BYTES)
                if message is not None:
                    self._answer(connection, message)
        except (OSError, FrameError) as error:
            log_warning("client-gone", error=repr(error))
        finally:
            self._connections.release()
            self._conversations.discard(threading.current_thread())

    def _answer(self, connection: socket.socket, message: Mapping[str, Any]) -> None:
        try:
            pending, started = self._start(message)
        except (FrameError, RuntimeError) as error:
            # RuntimeError: the executor was shut down while this request was read.
            send_frame(connection, _failure("unavailable", f"sandboxd refused: {error}"))
            return
        try:
            while not _ended(pending, self._sign_of_life_s):
                state = "running" if started.is_set() else "waiting"
                send_frame(connection, {"alive": state})
        except OSError:
            # Nobody waits any more: a run that has not begun need not.
            pending.cancel()
            raise
        send_frame(connection, _outcome(pending))

    def _start(self, message: Mapping[str, Any]) -> tuple[Future[Reply], threading.Event]:
        started = threading.Event()
        ask = message.get("ask")
        if ask == "run":
            request = decode_request(message)
            return self._slots.submit(self._run, request, started), started
        started.set()
        if ask == "prepare":
            preparation = decode_preparation(message)
            return self._preparations.submit(self._prepare, preparation), started
        return self._questions.submit(self._question(ask)), started

    def _question(self, ask: object) -> Callable[[], Reply]:
        if ask == "check":
            return lambda: encode_health(self._backend.check())
        if ask == "describe":
            return lambda: encode_description(self._backend.describe())
        if ask == "state":
            return lambda: encode_state(self._state())
        raise FrameError(f"asked for {ask!r}")

    def _state(self) -> DaemonState:
        described = self._backend.describe()
        return DaemonState(
            backend=f"{described.name} {described.version}".strip(), canary=self._canary()
        )

    def _prepare(self, preparation: Preparation) -> Reply:
        return encode_prepared(self._backend.prepare(preparation))

    def _run(self, request: RunRequest, started: threading.Event) -> Reply:
        started.set()
        result = self._backend.run(request)
        log_event(
            "run-ended",
            run=request.run_id,
            reason=result.reason.value,
            tests=len(result.reports),
            phases_ms=dict(result.phases_ms),
        )
        return encode_result(result)

    def _reap_regularly(self) -> None:
        while True:
            try:
                removed = self._backend.reap()
                if removed:
                    log_event("reaped", removed=removed)
                self._log_counters()
            except SandboxError as error:
                log_warning("reap-failed", error=str(error))
            except Exception:  # noqa: BLE001 - the outermost loop of its thread
                log_crash("reap-crashed")
            if self.stopping.wait(self._reap_interval_s):
                return

    def _log_counters(self) -> None:
        """How well the warm pool does, where there is one and something has happened."""
        counters = dict(self._backend.describe().counters)
        if counters != self._logged_counters:
            self._logged_counters = counters
            log_event("pool", **counters)


def _ended(pending: Future[Reply], within_s: float) -> bool:
    """Not `futures.wait`: it does not notice what an executor's shutdown cancelled."""
    try:
        pending.exception(within_s)
    except CancelledError:
        return True
    except TimeoutError:
        return False
    return True


def _outcome(pending: Future[Reply]) -> Reply:
    try:
        return {"ok": pending.result()}
    except CancelledError:
        return _failure("unavailable", "sandboxd is stopping")
    except GraderNotUsable as error:
        return _failure("grader-not-usable", str(error))
    except SandboxUnavailable as error:
        log_warning("sandbox-unavailable", error=str(error))
        return _failure("unavailable", str(error))
    except Exception as error:  # noqa: BLE001 - the outermost frame of a request
        # A bug of a backend is the platform's failure; the learner must not pay for it.
        log_crash("run-crashed")
        return _failure("unavailable", f"sandboxd: {type(error).__name__}")


def _failure(error: str, detail: str) -> Reply:
    return {"error": error, "detail": detail}
