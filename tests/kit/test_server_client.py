"""What the kit says to a server, and what it makes of the answers (docs/reference/api.md)."""

import json
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from click.testing import CliRunner

from graders.bundle import digest_of, pack
from graders.cli.main import main
from graders.errors import ServerRefused
from graders.server_client import LONGEST_PAUSE_S, PAUSE_S, ServerClient, read_token
from graders.trying import Answer
from tests.kit.written import SQUARE

RECORD = {
    "reason": "completed",
    "tests": [
        {
            "id": "three",
            "title": "square(3)",
            "points": 1.0,
            "max": 1.0,
            "visible": True,
            "status": "passed",
            "output": "",
            "expected": "9",
            "actual": "9",
            "html": None,
            "pictures": [],
            "duration_ms": 12.0,
        }
    ],
    "notice": "",
    "detail": "",
    "grader_log": "",
    "no_grade": None,
    "grade": {"points": 1.0, "max": 1.0},
}
GRADED = {
    "id": 5,
    "state": "graded",
    "reply": {"correct": True, "score": 1, "msg": "<div>fine</div>"},
    "record": RECORD,
}


class Server:
    """Answers as a list says, and remembers what it was asked."""

    def __init__(self):
        self.answers = []
        self.asked = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.asked.append((self.command, self.path, dict(self.headers), body))
                status, content, *headers = outer.answers.pop(0)
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "http://127.0.0.1:1/stolen")
                for header in headers:
                    self.send_header(*header)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_PUT = do_POST = handle_any  # noqa: N815 - names of http.server

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()

    def close(self):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def pauses():
    """How long the client wanted to wait; it does not."""
    return []


@pytest.fixture
def client(server, pauses):
    return ServerClient(server.url, "xqt_secret", sleep=pauses.append)


@pytest.fixture
def bundle(grader_at):
    return pack(grader_at(SQUARE))


STORED = (201, {"digest": "…"})
QUEUED = (202, {"id": 5, "state": "queued"})


def test_an_answer_is_graded_by_the_servers_workers(server, client, bundle):
    server.answers = [STORED, QUEUED, (200, {"id": 5, "state": "running"}), (200, GRADED)]
    answer = Answer(response="code", files={"d": b"\0"}, seed=3)
    assert client.try_answer("cs101", bundle, bundle.manifest, answer) == GRADED
    put, post, *polls = server.asked
    assert put[:2] == ("PUT", f"/api/v1/bundles/{bundle.digest.removeprefix('sha256:')}")
    assert digest_of(put[3]) == bundle.digest
    asked = json.loads(post[3])
    assert post[:2] == ("POST", "/api/v1/trials")
    assert asked["queue"] == "cs101"
    assert (asked["response"], asked["seed"], asked["files"]) == ("code", 3, {"d": "AA=="})
    assert asked["payload"] == '{"grader": "square"}'
    assert (asked["digest"], asked["image"]) == (bundle.digest, None)
    assert asked["manifest"]["tests"][0]["id"] == "three"
    assert [poll[1] for poll in polls] == ["/api/v1/trials/5?wait=20"] * 2
    assert all(each[2]["Authorization"] == "Bearer xqt_secret" for each in server.asked)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((401, {"detail": "The token has expired."}), "The token has expired"),
        (
            (
                422,
                {
                    "detail": "too much",
                    "errors": [
                        {"where": "limits.wall_s", "problem": "is 900"},
                        {"where": "limits.pids", "problem": "is 99"},
                    ],
                },
            ),
            "limits.pids: is 99",
        ),
        ((500, b"<html>"), "answered 500"),
        ((200, b"<html>"), "did not answer with JSON"),
        ((404, []), "answered 404"),
    ],
)
def test_a_refusal_is_told_in_the_servers_words(server, client, bundle, answer, said):
    server.answers = [answer]
    with pytest.raises(ServerRefused, match=said):
        client.store_bundle(bundle)


def test_a_reason_is_not_told_twice(server, client, bundle):
    reason = {"where": "limits.pids", "problem": "is 99"}
    server.answers = [(422, {"detail": "limits.pids: is 99", "errors": [reason]})]
    with pytest.raises(ServerRefused) as refused:
        client.store_bundle(bundle)
    assert str(refused.value).count("is 99") == 1


def test_a_server_that_is_not_there_is_named_without_our_libraries(bundle):
    with socket.socket() as taken:  # nobody listens, and nobody else is given the port meanwhile
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ServerRefused, match=f"{url} cannot be reached: .*refused") as refused:
            ServerClient(url, "xqt_secret").store_bundle(bundle)
    assert "HTTPConnectionPool" not in str(refused.value)


def test_a_token_does_not_follow_a_redirect(server, client, bundle):
    server.answers = [(302, {})]
    with pytest.raises(ServerRefused, match="302"):
        client.store_bundle(bundle)
    assert len(server.asked) == 1


def test_a_server_that_answers_at_once_is_not_asked_without_a_pause(server, client, bundle, pauses):
    running = (200, {"id": 5, "state": "running"})
    server.answers = [STORED, QUEUED, running, running, running, (200, GRADED)]
    client.try_answer("q", bundle, bundle.manifest, Answer(response=""))
    assert pauses == [PAUSE_S] * 3


@pytest.mark.parametrize(
    ("retry_after", "pause_s"),
    [
        ([("Retry-After", "7")], 7),
        ([("Retry-After", "0")], PAUSE_S),
        ([("Retry-After", "86400")], LONGEST_PAUSE_S),
        ([("Retry-After", "Fri, 31 Dec 2027 23:59:59 GMT")], PAUSE_S),
        ([], PAUSE_S),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_when_it_wishes(
    server, client, bundle, pauses, status, retry_after, pause_s
):
    busy = (status, {"detail": "not now"}, *retry_after)
    server.answers = [STORED, QUEUED, busy, (200, GRADED)]
    assert client.try_answer("q", bundle, bundle.manifest, Answer(response="")) == GRADED
    assert pauses == [pause_s]


def test_a_busy_server_is_not_given_a_trial_twice(server, client, bundle, pauses):
    server.answers = [STORED, (429, {"detail": "3 trials wait or run"}, ("Retry-After", "5"))]
    with pytest.raises(ServerRefused, match="3 trials wait or run"):
        client.try_answer("q", bundle, bundle.manifest, Answer(response=""))
    assert pauses == []


def test_a_trial_that_nobody_grades_is_given_up(server, bundle, pauses):
    times = iter(range(0, 10_000, 250))
    client = ServerClient(server.url, "t", clock=lambda: next(times), sleep=pauses.append)
    server.answers = [STORED, QUEUED, *[(200, {"id": 5, "state": "queued"})] * 5]
    with pytest.raises(ServerRefused, match="does a worker serve the queue"):
        client.try_answer("q", bundle, bundle.manifest, Answer(response=""))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://x", "not the address"),
        ("example.org", "not the address"),
        ("http://example.org", "unencrypted"),
    ],
)
def test_a_token_goes_to_no_unsafe_address(url, said):
    with pytest.raises(ServerRefused, match=said):
        ServerClient(url, "t")


def test_a_server_that_is_not_there_is_told(bundle):
    with pytest.raises(ServerRefused, match="cannot be reached"):
        ServerClient("http://127.0.0.1:1", "t").store_bundle(bundle)


@pytest.mark.parametrize("content", ["", "a b", "a\nb\n", b"\xff"])
def test_a_token_file_holds_a_token(tmp_path, content):
    path = tmp_path / "token"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ServerRefused):
        read_token(path)
    path.write_text(" xqt_1\n")
    assert read_token(path) == "xqt_1"


def run_try(server, grader_at, tmp_path, status):
    (tmp_path / "token").write_text("xqt_1")
    (tmp_path / "a.py").write_text("def square(x): return x * x")
    words = ["try", str(grader_at(SQUARE)), str(tmp_path / "a.py"), "--server", server.url]
    words += ["--token-file", str(tmp_path / "token"), "--queue", "cs101"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == status, result.output
    return result.output


def test_the_command_shows_a_trial_like_a_local_one(server, grader_at, tmp_path):
    server.answers = [STORED, QUEUED, (200, GRADED)]
    said = run_try(server, grader_at, tmp_path, 0)
    assert f"square (on {server.url}, queue cs101)" in said
    assert "passed      1/1  three: square(3)" in said
    assert "score 1, correct" in said


def test_the_command_tells_why_a_trial_failed(server, grader_at, tmp_path):
    failed = {"id": 5, "state": "failed", "detail": "ZeroDivisionError", "reply": None}
    server.answers = [STORED, QUEUED, (200, failed)]
    assert "the trial failed: ZeroDivisionError" in run_try(server, grader_at, tmp_path, 1)
