"""sandboxd and its client over a real unix socket."""

from __future__ import annotations

import json
import signal
import socket
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from grader_worker.errors import FrameError, SettingsError
from grader_worker.sandboxd.client import SandboxdClient
from grader_worker.sandboxd.frames import receive_frame, send_frame
from grader_worker.sandboxd.messages import (
    CanaryWord,
    DaemonState,
    decode_prepared,
    decode_request,
    decode_result,
    encode_prepared,
    encode_request,
    encode_result,
)
from grader_worker.sandboxd.socket_path import ListeningSocket, default_socket_path
from sandbox.backend import BackendHealth
from sandbox.errors import GraderNotUsable, SandboxUnavailable
from sandbox.run import DeclaredTest, DirectoryGrader, ExitReason, ImageGrader, Limits, RunRequest
from tests.worker.fakes import LocalBackend, eventually, report, result


def request(**changes: object) -> RunRequest:
    values = {
        "run_id": "s1-abc",
        "grader": ImageGrader(image="g"),
        "job": {"response": "\ud800 é", "payload": "", "files": {}, "seed": 1},
    }
    return RunRequest(**(values | changes))


class Held:
    """A run that goes on until `release`."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.release = threading.Event()

    def __call__(self, _request):
        self.started.set()
        assert self.release.wait(60)
        return result()


@pytest.fixture
def held():
    held = Held()
    yield held
    held.release.set()


def in_thread(call):
    """Run `call`; a list that will hold its result or exception, and the thread."""
    outcome: list[object] = []

    def target():
        try:
            outcome.append(call())
        except SandboxUnavailable as error:
            outcome.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    return outcome, thread


# The messages


@pytest.mark.parametrize(
    "grader", [ImageGrader(image="g@sha256:1"), DirectoryGrader(path=Path("/srv/g"))]
)
def test_a_request_survives_the_way(grader):
    sent = request(grader=grader, limits=Limits(wall_s=3, pids=7))
    assert decode_request(json.loads(json.dumps(encode_request(sent)))) == sent


def test_a_result_survives_the_way():
    sent = result(
        report(output="\x00\ud800", expected=None),
        report(0, visible=False, expected="x"),
        reason=ExitReason.LEARNER_LIMIT,
        detail="d",
        notice="n",
        grader_log="l",
        phases_ms={"run": 1.5},
        not_run=(DeclaredTest(test_id="n", title="not run", max_score=2, visible=False),),
        forgeable=True,
    )
    assert decode_result(json.loads(json.dumps(encode_result(sent)))) == sent


@pytest.mark.parametrize(
    "change",
    [
        {"run_id": 5},
        {"run_id": "Not Ours"},
        {"grader": {}},
        {"grader": "g"},
        {"job": []},
        {"limits": {}},
        {"limits": {**encode_request(request())["limits"], "pids": "64"}},
        {"limits": {**encode_request(request())["limits"], "pids": True}},
        {"limits": {**encode_request(request())["limits"], "wall_s": float("nan")}},
        {"limits": {**encode_request(request())["limits"], "wall_s": -1}},
    ],
)
def test_a_malformed_request_is_refused(change):
    with pytest.raises(FrameError):
        decode_request(encode_request(request()) | change)


@pytest.mark.parametrize(
    "change", [{"reason": "fine"}, {"reports": [5]}, {"reports": None}, {"declared_max": "1"}]
)
def test_a_malformed_result_is_refused(change):
    with pytest.raises(FrameError):
        decode_result(encode_result(result()) | change)


# The frames


@pytest.fixture
def pair():
    ends = socket.socketpair()
    yield ends
    for end in ends:
        end.close()


def test_a_frame_arrives_as_it_was_sent(pair):
    send_frame(pair[0], {"text": "\ud800 é"})
    assert receive_frame(pair[1], max_bytes=100) == {"text": "\ud800 é"}


def test_a_closed_connection_is_no_frame(pair):
    pair[0].close()
    assert receive_frame(pair[1], max_bytes=100) is None


@pytest.mark.parametrize(
    "data",
    [b"\xff\xff\xff\xff", b"\0\0\0\x05abc", b"\0\0\0\x02xx", b"\0\0\0\x02[]", b"\0\0\0\x01"],
)
def test_a_frame_that_is_too_long_cut_short_or_not_an_object_is_refused(pair, data):
    pair[0].sendall(data)
    pair[0].close()
    with pytest.raises(FrameError):
        receive_frame(pair[1], max_bytes=100)


# Daemon and client


def test_a_run_is_answered_with_its_result(new_sandboxd, backend):
    client = SandboxdClient(new_sandboxd(backend).path)
    assert client.run(request()) == result()
    assert backend.requests == [request()]


def test_check_and_describe_are_the_backends(new_sandboxd, backend):
    backend.health = [BackendHealth(healthy=False, problems=("no space",))]
    client = SandboxdClient(new_sandboxd(backend).path)
    assert client.check() == backend.health[0]
    assert client.describe() == backend.describe()


@pytest.mark.parametrize("canary", [None, CanaryWord(lives=False, detail="it wrote outside")])
def test_what_a_daemon_knows_of_itself_is_told_without_trying_anything(
    new_sandboxd, backend, canary
):
    client = SandboxdClient(new_sandboxd(backend, canary=lambda: canary).path)
    assert client.state() == DaemonState(backend="local 1", canary=canary)
    assert backend.checks == 0


@pytest.mark.parametrize("error", [SandboxUnavailable("gone"), GraderNotUsable("no such image")])
def test_the_backends_error_arrives_as_what_it_was(new_sandboxd, backend, error):
    def fail(_request):
        raise error

    backend.behave = fail
    with pytest.raises(type(error), match=str(error)):
        SandboxdClient(new_sandboxd(backend).path).run(request())


def test_a_crash_of_the_backend_is_the_platforms_failure(new_sandboxd, backend):
    backend.behave = lambda _request: 1 / 0
    with pytest.raises(SandboxUnavailable, match="ZeroDivisionError"):
        SandboxdClient(new_sandboxd(backend).path).run(request())


def test_without_a_sandboxd_the_sandbox_is_unavailable_and_the_command_is_named(socket_path):
    client = SandboxdClient(socket_path)
    with pytest.raises(SandboxUnavailable, match="grader-worker sandboxd"):
        client.run(request())
    assert not client.check().healthy


def test_runs_beyond_the_concurrency_wait(new_sandboxd, backend, held):
    backend.behave = held
    client = SandboxdClient(new_sandboxd(backend, concurrency=1).path)
    first, first_thread = in_thread(lambda: client.run(request()))
    assert held.started.wait(60)
    second, second_thread = in_thread(lambda: client.run(request(run_id="s2-x")))
    # The check is answered while the only slot is taken and somebody waits for it.
    assert client.check().healthy
    assert len(backend.requests) == 1
    held.release.set()
    first_thread.join(60)
    second_thread.join(60)
    assert first == second == [result()]


def test_a_run_that_outlives_its_limits_is_given_up(new_sandboxd, backend, held):
    backend.behave = held
    client = SandboxdClient(new_sandboxd(backend).path, run_grace_s=0.1)
    with pytest.raises(SandboxUnavailable, match="not done within"):
        client.run(request(limits=Limits(wall_s=0.1)))


def test_a_sandboxd_that_gives_no_sign_of_life_is_given_up(new_sandboxd, backend, held):
    backend.behave = held
    path = new_sandboxd(backend, sign_of_life_s=60).path
    with pytest.raises(SandboxUnavailable, match="mid-request"):
        SandboxdClient(path, silence_s=0.2).run(request())


def test_a_client_that_leaves_while_waiting_is_not_run(new_sandboxd, backend, held, caplog):
    backend.behave = held
    path = new_sandboxd(backend, concurrency=1).path
    _outcome, thread = in_thread(lambda: SandboxdClient(path).run(request()))
    assert held.started.wait(60)
    with socket.socket(socket.AF_UNIX) as leaving:
        leaving.connect(str(path))
        send_frame(leaving, {"ask": "run", **encode_request(request(run_id="s2-x"))})
        assert receive_frame(leaving, max_bytes=1000) == {"alive": "waiting"}
    eventually(lambda: "client-gone" in caplog.text)
    held.release.set()
    thread.join(60)
    assert [seen.run_id for seen in backend.requests] == ["s1-abc"]


def test_a_request_that_makes_no_sense_is_refused(new_sandboxd, backend):
    path = new_sandboxd(backend).path
    for message in ({"ask": "dance"}, {"ask": "run"}, {}):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            send_frame(connection, message)
            answer = receive_frame(connection, max_bytes=1000)
            assert answer["error"] == "unavailable"


def test_stopping_lets_the_run_in_progress_finish_and_refuses_the_waiting(
    new_sandboxd, backend, held
):
    backend.behave = held
    sandboxd = new_sandboxd(backend, concurrency=1)
    client = SandboxdClient(sandboxd.path)
    running, running_thread = in_thread(lambda: client.run(request()))
    assert held.started.wait(60)
    waiting, waiting_thread = in_thread(lambda: client.run(request(run_id="s2-x")))
    eventually(lambda: len(sandboxd.daemon._conversations) == 2)
    threading.Event().wait(0.1)
    sandboxd.daemon.stopping.set()
    waiting_thread.join(60)
    assert isinstance(waiting[0], SandboxUnavailable)
    assert not sandboxd.path.exists()
    held.release.set()
    running_thread.join(60)
    assert running == [result()]
    assert sandboxd.stop() is True


def test_a_run_that_does_not_end_is_left_behind(new_sandboxd, backend, held):
    backend.behave = held
    sandboxd = new_sandboxd(backend, drain_s=0.1)
    _outcome, thread = in_thread(lambda: SandboxdClient(sandboxd.path).run(request()))
    assert held.started.wait(60)
    assert sandboxd.stop() is False
    held.release.set()
    thread.join(60)


def test_leftovers_are_reaped_at_start_and_again(new_sandboxd, backend):
    new_sandboxd(backend, reap_interval_s=0.01)
    eventually(lambda: backend.reaps >= 2)


def test_a_reaper_that_fails_tries_again(new_sandboxd, backend):
    def fail():
        backend.reaps += 1
        raise SandboxUnavailable("docker is away")

    backend.reap = fail
    new_sandboxd(backend, reap_interval_s=0.01)
    eventually(lambda: backend.reaps >= 2)


# The socket


def test_only_its_owner_may_connect(socket_path):
    listening = ListeningSocket(socket_path)
    assert stat.S_IMODE(socket_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(socket_path.parent.stat().st_mode) == 0o700
    listening.close()


def test_a_second_sandboxd_is_refused(socket_path):
    listening = ListeningSocket(socket_path)
    with pytest.raises(SettingsError, match="another sandboxd"):
        ListeningSocket(socket_path)
    listening.close()


def test_a_stale_socket_is_replaced(socket_path):
    socket_path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(socket_path))
    ListeningSocket(socket_path).close()


def test_a_file_that_is_no_socket_is_left_alone(socket_path):
    socket_path.parent.mkdir()
    socket_path.write_text("precious")
    with pytest.raises(SettingsError, match="something else"):
        ListeningSocket(socket_path)
    assert socket_path.read_text() == "precious"


def test_a_path_longer_than_unix_allows_is_said_so(tmp_path):
    with pytest.raises(SettingsError, match="107"):
        ListeningSocket(tmp_path / ("x" * 120))


def test_the_default_is_in_the_runtime_directory():
    assert default_socket_path({"XDG_RUNTIME_DIR": "/run/user/1"}) == Path(
        "/run/user/1/xqueue/sandboxd.sock"
    )
    assert default_socket_path({}) == Path("/run/xqueue/sandboxd.sock")


# A process of its own


def test_a_sandboxd_killed_in_mid_run_is_unavailable_and_never_a_result(
    sandboxd_process, socket_path
):
    sandboxd = sandboxd_process(60)
    outcome, thread = in_thread(lambda: SandboxdClient(socket_path).run(request()))
    assert sandboxd.stdout.readline() == "running\n"
    sandboxd.kill()
    thread.join(60)
    assert isinstance(outcome[0], SandboxUnavailable)


def test_a_killed_sandboxds_socket_is_replaced_by_the_next(sandboxd_process, socket_path):
    killed = sandboxd_process(0)
    killed.kill()
    killed.wait()  # until then it has the lock
    sandboxd_process(0)
    assert SandboxdClient(socket_path).check().healthy


def test_sigterm_lets_the_run_finish_and_exits_0(sandboxd_process, socket_path):
    sandboxd = sandboxd_process(0.5)
    outcome, thread = in_thread(lambda: SandboxdClient(socket_path).run(request()))
    assert sandboxd.stdout.readline() == "running\n"
    sandboxd.send_signal(signal.SIGTERM)
    thread.join(60)
    assert outcome == [result()]
    assert sandboxd.wait(60) == 0


def test_a_local_backend_is_a_backend():
    assert LocalBackend().check().healthy


@pytest.mark.parametrize("created", [None, datetime(2026, 1, 1, 12, tzinfo=UTC)])
def test_when_an_image_was_made_crosses_the_socket(created):
    assert decode_prepared(encode_prepared(created)) == created


def test_a_daemon_of_an_earlier_version_says_nothing_of_images():
    assert decode_prepared({}) is None


@pytest.mark.parametrize("said", [5, "new", ""])
def test_a_date_that_is_none_is_refused(said):
    with pytest.raises(FrameError):
        decode_prepared({"image_created": said})
