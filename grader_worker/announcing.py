"""Telling a server who works on this host, and passing on what it answers.

Only ours knows how to listen (docs/reference/api.md); towards any other this stays silent.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import quote

from grader_worker.backoff import Backoff
from grader_worker.control import ControlClient
from grader_worker.errors import ControlUnavailable, RequestRefused, ServerUnreachable, XQueueError
from grader_worker.event_log import log_crash, log_event, log_warning
from grader_worker.pool import MOST_WORKERS
from grader_worker.sandbox_gate import Sleep
from grader_worker.sandboxd.client import SandboxdClient
from grader_worker.xqueue_client import ApiAnswer, XQueueClient
from sandbox.errors import SandboxError

LOOK_EVERY_S = 1.0
BEAT_S = 10.0
LONGEST_BEAT_S = 300.0
PROBE_EVERY_S = 3600.0
TROUBLE_CAP_S = 60.0
LEFT_OUT_S = 300.0
"""How long workers are not mentioned whose queue the server does not know, or not for us."""
MAX_SHORT_CHARS = 64
ANSWER_WITHIN_S = 10.0
MAX_ANSWER_BYTES = 1024 * 1024
_NOT_THERE = frozenset({404, 405})
_REFUSED_QUEUE = re.compile(r"workers\[([0-9]{1,4})\]\.queue")
_AT_WORK = frozenset({"idle", "grading"})
"""Between those two a worker changes all the time: that is told with the next beat."""

Status = Mapping[str, Any]


class Announcer:
    """Of one host to one server. Belongs to one thread."""

    def __init__(
        self,
        client: XQueueClient,
        control: ControlClient,
        sandbox: SandboxdClient,
        *,
        host: str,
        sleep: Sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._server = client.account.url
        self._control = control
        self._sandbox = sandbox
        self._path = f"workers/{quote(host, safe='')}"
        self._sleep = sleep
        self._clock = clock
        self._trouble = Backoff(first_s=1.0, cap_s=TROUBLE_CAP_S)
        self._next_at = clock()
        self._is_listening = False
        """The server took the last announcement."""
        self._told: object = None
        self._left_out: dict[str, float] = {}
        """Queue -> until when."""

    def announce_until_stopped(self) -> None:
        self._round()
        while not self._sleep(LOOK_EVERY_S):
            self._round()
        self._leave()
        self._client.close()

    def look(self) -> None:
        """Announce when a beat is due, or something changed that should be known at once.

        Raises XQueueError, ControlUnavailable.
        """
        is_due = self._clock() >= self._next_at
        if not is_due and not self._is_listening:
            return
        status = self._control.status()
        telling = _worth_telling(status, self._server)
        if is_due or telling != self._told:
            self._announce(status)
            self._told = telling

    def _announce(self, status: Status) -> None:
        if not self._is_listening and not self._has_extensions():
            self._be_silent()
            return
        document = self._document(status)
        try:
            answer = self._put(document)
        except RequestRefused as error:
            if error.status in _NOT_THERE:
                self._be_silent()
                return
            if not self._leave_out(document["workers"], error):
                raise
            answer = self._put(self._document(status))
        if not self._is_listening:
            log_event("announced", server=self._server)
        self._is_listening = True
        self._trouble.reset()
        self._heed(answer.body, status)

    def _put(self, document: Mapping[str, Any]) -> ApiAnswer:
        return self._client.api(
            "PUT",
            self._path,
            body=json.dumps(document).encode(),
            timeout_s=ANSWER_WITHIN_S,
            max_bytes=MAX_ANSWER_BYTES,
        )

    def _leave_out(self, workers: Sequence[Mapping[str, Any]], error: RequestRefused) -> bool:
        """A queue that was removed, or whose grant was, must not hide the others' workers. Whether
        there are such queues."""
        found = [_REFUSED_QUEUE.fullmatch(place) for place in error.places]
        places = [int(each[1]) for each in found if each]
        queues = {workers[at]["queue"] for at in places if at < len(workers)}
        self._left_out |= dict.fromkeys(queues, self._clock() + LEFT_OUT_S)
        if queues:
            log_warning(
                "queues-not-announced",
                server=self._server,
                queues=sorted(queues),
                error=str(error),
                again_in_s=LEFT_OUT_S,
            )
        return bool(queues)

    def _has_extensions(self) -> bool:
        self._client.login()
        return bool(self._client.extensions)

    def _be_silent(self) -> None:
        """Asked again after an hour: a server may be brought up to date."""
        self._is_listening = False
        self._next_at = self._clock() + PROBE_EVERY_S

    def _heed(self, body: bytes, status: Status) -> None:
        answer = _read_answer(body)
        self._next_at = self._clock() + min(LONGEST_BEAT_S, max(LOOK_EVERY_S, answer["beat_s"]))
        # A server may have thousands of queues.
        ours = {name for pool in status["pools"] for name in (pool["name"], *pool["queues"])}
        wishes, said_at, needs = (
            {name: value for name, value in answer[key].items() if name in ours}
            for key in ("wishes", "said_at", "needs")
        )
        self._control.heed(self._server, wishes=wishes, said_at=said_at, needs=needs)

    def _document(self, status: Status) -> dict[str, Any]:
        pools = [pool for pool in status["pools"] if pool["server"] == self._server]
        backend, canary = self._sandbox_state()
        return {
            "pid": status["pid"],
            "version": _version(),
            "backend": backend,
            "canary": canary,
            "cpus": os.cpu_count() or 1,
            "autoscale": _bounds(pools),
            "started_at": status["started_at"],
            "workers": [
                {
                    key: worker[key]
                    for key in ("name", "pid", "queue", "state", "submission_id", "since_s")
                }
                for worker in _workers_for(status, self._server)
                if self._clock() >= self._left_out.get(worker["queue"], 0.0)
            ],
        }

    def _sandbox_state(self) -> tuple[str, dict[str, Any] | None]:
        try:
            state = self._sandbox.state()
        except SandboxError:
            return "no sandboxd", None
        canary = state.canary and {"ok": state.canary.lives, "detail": state.canary.detail}
        return state.backend[:MAX_SHORT_CHARS], canary or None

    def _round(self) -> None:
        try:
            self.look()
        except ControlUnavailable:
            pass  # in a moment
        except XQueueError as error:
            pause_s = self._wait_after_trouble()
            log_warning(
                "not-announced",
                server=self._server,
                error=str(error),
                retry_in_s=round(pause_s, 1),
            )
        except Exception:  # noqa: BLE001 - the outermost loop of its thread
            log_crash("announcer-crashed")
            self._wait_after_trouble()

    def _wait_after_trouble(self) -> float:
        pause_s = self._trouble.next_s()
        self._is_listening = False
        self._next_at = self._clock() + pause_s
        return pause_s

    def _leave(self) -> None:
        """Only when all workers of the host have ended: this process may be replaced alone."""
        try:
            if self._is_listening and self._control.status()["ending"]:
                self._client.api("DELETE", self._path, timeout_s=ANSWER_WITHIN_S)
        except (XQueueError, ControlUnavailable) as error:
            log_warning("not-taken-leave", server=self._server, error=str(error))


def _workers_for(status: Status, server: str) -> list[Mapping[str, Any]]:
    return [worker for worker in status["workers"] if worker["server"] == server]


def _worth_telling(status: Status, server: str) -> object:
    return [
        (
            worker["name"],
            worker["pid"],
            "at work" if worker["state"] in _AT_WORK else worker["state"],
        )
        for worker in _workers_for(status, server)
    ]


def _bounds(pools: list[Mapping[str, Any]]) -> dict[str, int] | None:
    """Of all pools that follow the need, together."""
    bounds = [pool["autoscale"] for pool in pools if pool["autoscale"]]
    if not bounds:
        return None
    return {key: min(MOST_WORKERS, sum(each[key] for each in bounds)) for key in ("min", "max")}


def _read_answer(body: bytes) -> dict[str, Any]:
    """Raises ServerUnreachable: an answer of another shape is no answer of this API."""
    try:
        answer = json.loads(body)
        return {
            "beat_s": float(answer.get("beat_s", BEAT_S)),
            "wishes": {str(each["queue"]): int(each["count"]) for each in answer["wishes"]},
            "said_at": {
                str(each["queue"]): str(each.get("at", ""))[:MAX_SHORT_CHARS]
                for each in answer["wishes"]
            },
            "needs": {str(each["queue"]): _share(each) for each in answer["desired"]},
        }
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as why:
        raise ServerUnreachable(f"an answer of another shape: {why!r}") from why


def _share(desired: Mapping[str, Any]) -> int:
    """What is left for this host of what a queue needs, with what other hosts have."""
    return max(0, int(desired["workers"]) - int(desired.get("hosts_workers", 0)))


def _version() -> str:
    try:
        return version("xqueue-grader")
    except PackageNotFoundError:
        return "unknown"
