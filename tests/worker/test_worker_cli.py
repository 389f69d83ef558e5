"""The command line, and a whole worker as an operator runs it."""

from __future__ import annotations

import io
import json
import logging
import signal
import subprocess

import pytest
from click.testing import CliRunner

from grader_worker.cli import main
from grader_worker.event_log import configure_logging, log_crash, log_event
from grader_worker.sandboxd.socket_path import ListeningSocket
from tests.worker.fakes import end_by_more_signals


def invoke(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def password_file(tmp_path):
    file = tmp_path / "password"
    file.write_text("secret\n")
    return file


def lines_until(log, event):
    """The log's lines up to that of `event`: other threads log when they like."""
    lines = []
    while not lines or json.loads(lines[-1])["event"] != event:
        lines.append(log.readline())
        assert lines[-1], lines
    return lines


@pytest.fixture
def own_logging():
    """`configure_logging` is for a whole process: put back what pytest had."""
    root, ours = logging.getLogger(), logging.getLogger("grader_worker")
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:], root.level, ours.level = before


@pytest.mark.parametrize("verb", ["poll", "run", "sandboxd", "scale", "status"])
def test_every_verb_has_help(verb):
    assert invoke(verb, "--help").exit_code == 0


def test_there_is_no_flag_for_a_password():
    for verb in ("poll", "run"):
        assert "--password " not in invoke(verb, "--help").output


def test_missing_flags_are_named():
    outcome = invoke("poll", "--server", "http://x")
    assert outcome.exit_code == 1
    assert "--config" in outcome.output


@pytest.fixture
def run_flags(password_file, socket_path):
    return (
        *("run", "--server", "http://127.0.0.1:9", "--queue", "q", "--socket", socket_path),
        *("--username", "u", "--password-file", password_file, "--grader", "image"),
    )


@pytest.mark.parametrize("name", ["a/b", ".", "..", "a\nb", "x" * 129])
def test_a_host_name_that_no_server_could_be_told_is_refused(name, run_flags, own_logging):
    result = invoke(*run_flags, "--redis-url", "redis://h/0", "--host-name", name)
    assert result.exit_code == 1
    assert "--host-name" in result.output


@pytest.mark.parametrize("url", ["hunter2", "redis://:hunter2@h:port/0"])
def test_an_address_of_redis_that_is_none_is_refused_without_repeating_it(
    url, run_flags, tmp_path, own_logging
):
    file = tmp_path / "redis-url"
    file.write_text(url)
    result = invoke(*run_flags, "--redis-url-file", file)
    assert result.exit_code == 1
    assert "--redis-url must be like redis://" in result.output
    assert "hunter2" not in result.output


@pytest.mark.parametrize("url", ["redis://:hunter2@h:6379/0", "unix:///r?password=hunter2"])
def test_a_password_of_redis_on_the_command_line_is_refused(url, run_flags, own_logging):
    result = invoke(*run_flags, "--redis-url", url)
    assert result.exit_code == 1
    assert "--redis-url-file" in result.output
    assert "hunter2" not in result.output


def test_without_an_address_of_redis_its_flags_are_named(run_flags, own_logging):
    assert "--redis-url-file" in invoke(*run_flags).output


def test_certificates_for_a_redis_without_tls_are_a_mistake(run_flags, own_logging, tmp_path):
    (tmp_path / "ca.pem").touch()
    flags = ("--redis-url", "redis://127.0.0.1:9/0", "--redis-ca-bundle", tmp_path / "ca.pem")
    assert "rediss://" in invoke(*run_flags, *flags).output


@pytest.mark.parametrize("bounds", ["8", "8:1", "0:0", "1:501", "a:b"])
def test_bounds_that_make_no_sense_are_refused(bounds, run_flags, own_logging):
    flags = ("--redis-url", "redis://127.0.0.1:9/0", "--autoscale", bounds)
    assert "MIN:MAX" in invoke(*run_flags, *flags).output


@pytest.mark.parametrize("count", ["python", "python=", "python=-1", "=1", "python=many"])
def test_a_count_that_is_none_is_refused(count, socket_path):
    outcome = invoke("scale", "--control", socket_path, count)
    assert outcome.exit_code == 2
    assert "QUEUE=N" in outcome.output


@pytest.mark.parametrize("verb", [("status",), ("scale", "python=1")])
def test_without_a_supervisor_it_is_said_what_to_start(verb, socket_path):
    outcome = invoke(*verb, "--control", socket_path)
    assert outcome.exit_code == 1
    assert "grader-worker run" in outcome.output


def test_a_backend_must_be_chosen():
    assert "--backend" in invoke("sandboxd").output


def test_a_second_sandboxd_on_the_host_is_refused(socket_path, own_logging):
    listening = ListeningSocket(socket_path)
    outcome = invoke("sandboxd", "--backend", "bubblewrap", "--socket", socket_path)
    listening.close()
    assert outcome.exit_code == 1
    assert "another sandboxd" in outcome.output


def test_a_log_line_is_one_json_object_with_an_event(own_logging):
    stream = io.StringIO()
    configure_logging(stream)
    log_event("leased", submission="7", attempt=None)
    logging.getLogger("some.library").warning("text\nmore")
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError:
        log_crash("crashed")
    leased, library, crashed = map(json.loads, stream.getvalue().splitlines())
    assert leased.items() >= {"event": "leased", "level": "info", "submission": "7"}.items()
    assert "attempt" not in leased
    assert library["event"] == "library"
    assert "ZeroDivisionError" in crashed["traceback"]


def test_poll_waits_for_a_sandboxd_then_grades_and_exits_0_when_asked(
    processes, xqueue, password_file, socket_path
):
    worker = processes.start(
        *("-m", "grader_worker", "poll"),
        *("--server", xqueue.url, "--queue", "python", "--username", "grader"),
        *("--password-file", password_file, "--grader", "image", "--socket", socket_path),
        stderr=subprocess.PIPE,
    )
    number = xqueue.submit("LEARNERS-CODE")
    lines = lines_until(worker.stderr, "sandbox-not-ready")
    assert "grader-worker sandboxd" in lines[-1]
    assert xqueue.requests == []
    processes.sandboxd(socket_path, 0)
    xqueue.until(lambda xqueue: number in xqueue.results)
    worker.send_signal(signal.SIGTERM)
    rest = worker.stderr.read()
    assert worker.wait(60) == 0
    log = "".join(lines) + rest
    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert {"polling", "sandbox-not-ready", "sandbox-ready", "leased", "turn-ended"} <= set(events)
    assert "LEARNERS-CODE" not in log
    assert "secret" not in log


def test_a_second_signal_ends_a_poller_at_once(
    processes, xqueue, password_file, socket_path, sandboxd_process
):
    sandboxd = sandboxd_process("held")
    worker = processes.start(
        *("-m", "grader_worker", "poll"),
        *("--server", xqueue.url, "--queue", "python", "--username", "grader"),
        *("--password-file", password_file, "--grader", "image", "--socket", socket_path),
    )
    xqueue.submit()
    assert sandboxd.stdout.readline() == "running\n"
    worker.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        worker.wait(0.3)
    end_by_more_signals(worker)
    assert worker.returncode == 130
