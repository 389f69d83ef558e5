"""Builders and fakes of the worker's tests: an XQueue server and a sandbox."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from grader_worker.assignment import Assignment, ServedQueue
from grader_worker.pool import Pool
from grader_worker.server_account import ServerAccount
from sandbox.backend import BackendDescription, BackendHealth, SandboxBackend
from sandbox.run import ExitReason, ImageGrader, RunRequest, RunResult, TestReport
from tests.worker.fake_api import API_PREFIX, FakeApi

EXTENSIONS = "wait, lease, renew, failure, grader, record, queues"
"""As `xqueue_server.web.routes` announces them."""
WAIT_CAP_S = 0.3
"""The fake's long poll is short, so that an idle worker stops quickly."""


@dataclass
class FakeXQueue:
    """One queue's server: hands out what `submit` put in, records what comes back."""

    extensions: str = EXTENSIONS
    password: str = "secret"
    results: dict[int, dict[str, object]] = field(default_factory=dict)
    failures: dict[int, tuple[str, str]] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    records: dict[int, dict[str, object]] = field(default_factory=dict)
    grader: dict[str, object] | None = None
    """What leases name, to workers that ask; None for a queue that publishes none."""
    traceparent: str | None = None
    """What leases carry."""
    renewals: int = 0
    logins: int = 0
    lost: bool = False
    """Every key is refused from now on."""
    sessions_stick: bool = True
    broken: dict[str, list[int]] = field(default_factory=dict)
    """Endpoint -> HTTP statuses to answer before working again."""
    blobs: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    url: str = ""
    api: FakeApi = field(default_factory=FakeApi)

    def __post_init__(self) -> None:
        self.changed = threading.Condition()
        self.waiting: list[tuple[int, str, str]] = []
        self.queue_of: dict[int, str] = {}
        """Of those that were submitted for one; all others are handed out from any."""
        self.keys: dict[int, str] = {}
        self.sessions: set[str] = set()
        self._ids = itertools.count(1)

    def submit(
        self,
        response: str = "print(1)",
        *,
        body: str | None = None,
        files="{}",
        queue: str | None = None,
    ) -> int:
        with self.changed:
            number = next(self._ids)
            if queue is not None:
                self.queue_of[number] = queue
            self.waiting.append((number, body or submission_body(response), files))
            self.changed.notify_all()
        return number

    def until(self, condition: Callable[[FakeXQueue], object], timeout_s: float = 60) -> None:
        """Long only where it fails: workers pause up to 15 s between checks of a sandbox."""
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self), timeout_s), self.requests

    def asked(self, endpoint: str) -> list[dict[str, str]]:
        return [fields for name, fields in self.requests if name == endpoint]

    # The protocol

    def answer(self, endpoint: str, fields: dict[str, str], session: str | None):
        if endpoint == "login":
            return self._login(fields)
        if session not in self.sessions:
            return None
        if endpoint == "get_submission":
            return self._get(fields)
        header = json.loads(fields["xqueue_header"])
        number = header["submission_id"]
        if number not in self.keys:
            return 1, "Submission does not exist"
        if self.lost or header["submission_key"] != self.keys[number]:
            return 1, "Incorrect key for submission"
        return self._about(endpoint, number, fields)

    def _login(self, fields):
        if not fields:
            return 1, "login_required"
        self.logins += 1
        if fields.get("password") != self.password:
            return 1, "Incorrect login credentials"
        return 0, "Logged in"

    def _get(self, fields):
        queues = fields["queue_name"].split(",")
        if len(queues) > 1 and "queues" not in self.extensions:
            queues = queues[:1]  # as servers do that know of one
        if "unknown" in queues:
            return 1, "Queue 'unknown' not found"

        def of_these():
            return [each for each in self.waiting if self.queue_of.get(each[0]) in (None, *queues)]

        if "wait" in fields and not of_these():
            self.changed.wait_for(of_these, WAIT_CAP_S)
        found = of_these()
        if not found or (fields.get("grader") == "only" and self.grader is None):
            if len(queues) == 1:
                return 1, f"Queue '{queues[0]}' is empty"
            listed = ", ".join(f"'{name}'" for name in queues)
            return 1, f"Queues {listed} are empty"
        self.waiting.remove(found[0])
        number, body, files = found[0]
        self.keys[number] = f"key-{number}"
        header = {"submission_id": number, "submission_key": self.keys[number]}
        if len(queues) > 1:
            header["queue_name"] = self.queue_of.get(number, queues[0])
        if "grader" in fields and self.grader is not None:
            header["grader"] = self.grader
        if self.traceparent is not None:
            header["traceparent"] = self.traceparent
        header = json.dumps(header)
        return 0, json.dumps({"xqueue_header": header, "xqueue_body": body, "xqueue_files": files})

    def _about(self, endpoint, number, fields):
        if endpoint == "renew_lease":
            self.renewals += 1
            return 0, 30
        if endpoint == "put_failure":
            self.failures[number] = (fields["kind"], fields["detail"])
            return 0, ""
        self.results[number] = json.loads(fields["xqueue_body"])
        if "xqueue_record" in fields:
            self.records[number] = json.loads(fields["xqueue_record"])
        return 0, ""


def submission_body(response: str = "print(1)", **more: object) -> str:
    info = {"anonymous_student_id": "learner-7", "random_seed": 42}
    return json.dumps(
        {"grader_payload": "{}", "student_info": json.dumps(info), "student_response": response}
        | more
    )


class XQueueHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeXQueue

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path in self.fake.blobs:
            self.fake.blobs[parts.path](self)
        elif parts.path.startswith(API_PREFIX):
            self._serve_api("GET", b"")
        else:
            self._serve(parts.path, parts.query)

    def do_POST(self) -> None:
        self._serve(urlsplit(self.path).path, self._body().decode())

    def do_PUT(self) -> None:
        self._serve_api("PUT", self._body())

    def do_DELETE(self) -> None:
        self._serve_api("DELETE", b"")

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _serve_api(self, method: str, body: bytes) -> None:
        with self.fake.changed:
            signed_in = self._session() in self.fake.sessions
            path = self.path.removeprefix(API_PREFIX)
            known = self.headers.get("If-None-Match")
            answer = self.fake.api.answer(method, path, body, signed_in, known)
            self.fake.changed.notify_all()
        self.send(*answer)

    def _serve(self, path: str, form: str) -> None:
        endpoint = path.removeprefix("/xqueue/").strip("/")
        fields = {
            name: ",".join(values) if name == "queue_name" else values[0]
            for name, values in parse_qs(form, True).items()
        }
        with self.fake.changed:
            self.fake.requests.append((endpoint, fields))
            self.fake.changed.notify_all()
            statuses = self.fake.broken.get(endpoint)
            if statuses:
                return self.send(statuses.pop(0), b"<html>no</html>", {})
            answer = self.fake.answer(endpoint, fields, self._session())
            self.fake.changed.notify_all()
        if answer is None:
            return self.send(302, b"", {"Location": f"/xqueue/login/?next={path}"})
        cookie = self._new_session() if endpoint == "login" and answer[0] == 0 else {}
        body = json.dumps({"return_code": answer[0], "content": answer[1]}).encode()
        return self.send(200, body, cookie)

    def _session(self) -> str | None:
        cookies = self.headers.get("Cookie", "")
        return next((c[10:] for c in cookies.split("; ") if c.startswith("sessionid=")), None)

    def _new_session(self) -> dict[str, str]:
        session = f"session-{self.fake.logins}"
        if self.fake.sessions_stick:
            self.fake.sessions.add(session)
        return {"Set-Cookie": f"sessionid={session}; Path=/; HttpOnly"}

    def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        if self.fake.extensions and status < 500:
            self.send_header("XQueue-Extensions", self.fake.extensions)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_arguments: object) -> None:
        """Workers hang up in the middle on purpose."""


def account(xqueue: FakeXQueue, **changes: object) -> ServerAccount:
    values = {"url": xqueue.url, "username": "grader", "password": xqueue.password}
    return ServerAccount(**(values | changes))


def pool(xqueue: FakeXQueue, *queues: str, name: str = "", **options: object) -> Pool:
    served = tuple(
        ServedQueue(account=account(xqueue), name=queue, assignment=assignment(queue))
        for queue in queues or ("python",)
    )
    return Pool(name=name or served[0].name, queues=served, **options)


def assignment(queue: str = "python") -> Assignment:
    return Assignment(queue=queue, grader=ImageGrader(image="grader@sha256:0"))


def report(score: float = 1, max_score: float = 1, **changes: object) -> TestReport:
    values = {"test_id": "t", "title": "adds up", "score": score, "max_score": max_score}
    return TestReport(**(values | changes))


def result(*reports: TestReport, **changes: object) -> RunResult:
    values = {
        "reason": ExitReason.COMPLETED,
        "reports": reports or (report(),),
        "declared_max": float(sum(r.max_score for r in reports) or 1),
    }
    return RunResult(**(values | changes))


class LocalBackend(SandboxBackend):
    """Answers with what `behave` returns or raises; counts."""

    def __init__(self, behave: Callable[[RunRequest], RunResult] | None = None) -> None:
        self.behave = behave or (lambda _request: result())
        self.health = [BackendHealth(healthy=True)]
        """The last one stays."""
        self.requests: list[RunRequest] = []
        self.checks = 0
        self.reaps = 0

    def run(self, request: RunRequest) -> RunResult:
        self.requests.append(request)
        return self.behave(request)

    def check(self) -> BackendHealth:
        self.checks += 1
        return self.health.pop(0) if len(self.health) > 1 else self.health[0]

    def describe(self) -> BackendDescription:
        return BackendDescription(name="local", version="1", unenforced=("everything",))

    def reap(self) -> int:
        self.reaps += 1
        return 0


class Sleeper:
    """Records pauses in place of sleeping; `stop_after` pauses it says stop."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.pauses: list[float] = []
        self.stop_after = stop_after
        self.stopped = False

    def __call__(self, seconds: float) -> bool:
        if seconds:
            self.pauses.append(seconds)
        if self.stop_after is not None and len(self.pauses) >= self.stop_after:
            self.stopped = True
        return self.stopped


def need(program: str) -> str:
    """A missing service skips a test here and fails it in CI."""
    path = shutil.which(program)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"{program} is not installed")
        pytest.skip(f"{program} is not installed")
    return path


def redis_answers(client) -> bool:
    from redis.exceptions import RedisError

    try:
        return bool(client.ping())
    except RedisError:
        return False


def eventually(condition: Callable[[], object], timeout_s: float = 60) -> None:
    """For what happens in another process, where no event can be awaited."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def end_by_more_signals(process: subprocess.Popen[str]) -> None:
    """Two that arrive before the process looks are one to it, so not only the second is sent."""

    def has_ended() -> bool:
        process.send_signal(signal.SIGTERM)
        return process.poll() is not None

    eventually(has_ended)


SLEEPY_SANDBOXD = """
import sys, time
from pathlib import Path
from grader_worker.sandboxd.daemon import SandboxDaemon
from grader_worker.sandboxd.socket_path import ListeningSocket
from grader_worker.stopping import stop_on_signals
from tests.worker.fakes import LocalBackend, result

def behave(request):
    print("running", flush=True)
    if sys.argv[2] != "held":
        time.sleep(float(sys.argv[2]))
    while sys.argv[2] == "held" and not Path(sys.argv[1] + ".release").exists():
        time.sleep(0.02)
    return result()

daemon = SandboxDaemon(LocalBackend(behave), ListeningSocket(Path(sys.argv[1])), concurrency=1)
stop_on_signals(daemon.stopping)
print("ready", flush=True)
daemon.serve()
"""


def release_runs(path: Path) -> None:
    """Of the sandboxd at `path` that holds them."""
    Path(f"{path}.release").touch()


class Processes:
    """Python processes that import this tree; killed at the end."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: object, **options: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
            **options,
        )
        self.started.append(process)
        return process

    def sandboxd(self, path: Path, run_s: float | str) -> subprocess.Popen[str]:
        """`run_s` may be "held": then runs go on until `release_runs`."""
        process = self.start("-c", SLEEPY_SANDBOXD, path, run_s)
        assert process.stdout.readline() == "ready\n"
        return process

    def end(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
