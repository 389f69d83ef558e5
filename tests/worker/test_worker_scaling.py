"""The number of workers changes while they run: by command, by settings read again, by a server."""

from __future__ import annotations

import json
import os
import signal
import stat

import pytest
from click.testing import CliRunner

from deploy.demo.processes import free_port
from grader_worker.cli import main
from grader_worker.control import control_path
from grader_worker.errors import ControlUnavailable
from tests.worker.fakes import eventually, release_runs
from tests.worker.running import HOST, events, listening, nudge


@pytest.fixture
def no_redis():
    """Workers poll: for what is tested here it does not matter how they hear of work."""
    return f"redis://127.0.0.1:{free_port()}/0"


def wanted(workers):
    return {pool["name"]: pool["wanted"] for pool in workers.status()["pools"]}


def scale(workers, *counts):
    flags = ("--control", str(control_path(workers.socket_path)))
    return CliRunner().invoke(main, ["scale", *counts, *flags])


def test_more_workers_start_at_once_and_each_is_shown(run, no_redis, sandboxd_process):
    sandboxd_process()
    workers = run(no_redis)
    outcome = scale(workers, "python=3")
    assert (outcome.exit_code, outcome.output) == (0, "python 3\n")
    workers.until(lambda found: [each["state"] for each in found.values()] == ["idle"] * 3)
    flags = ("--control", str(control_path(workers.socket_path)))
    shown = CliRunner().invoke(main, ["status", "--json", *flags]).output
    found = json.loads(shown)["workers"]
    assert {each["name"] for each in found} == {"python-1", "python-2", "python-3"}
    assert len({each["pid"] for each in found}) == 3
    assert {each["queue"] for each in found} == {"python"}
    table = CliRunner().invoke(main, ["status", *flags]).output
    assert table.startswith("wanted: python 3\n")
    assert "python-3" in table


def test_fewer_workers_end_idle_ones_first_and_a_busy_one_after_its_grading(
    run, redis, xqueue, sandboxd_process
):
    sandboxd = sandboxd_process("held")
    workers = run(redis.url, "--concurrency", 3)
    eventually(lambda: listening(redis) == 3)
    number = xqueue.submit()
    nudge(redis)
    assert sandboxd.stdout.readline() == "running\n"
    workers.until(lambda found: "grading" in workers.states().values())
    (busy,) = [name for name, state in workers.states().items() if state == "grading"]
    assert workers.workers()[busy]["submission_id"] == number
    workers.control.scale({"python": 1})
    workers.until(lambda found: list(found) == [busy])
    assert workers.states() == {busy: "grading"}
    workers.control.scale({"python": 0})
    workers.until(lambda found: found[busy]["state"] == "draining")
    assert number not in xqueue.results
    release_runs(workers.socket_path)
    workers.until(lambda found: found == {})
    assert number in xqueue.results


def test_a_drained_queue_is_not_graded_until_workers_are_wanted_again(
    run, redis, xqueue, sandboxd_process
):
    sandboxd_process()
    workers = run(redis.url, look_every_s=0.1)
    workers.control.scale({"python": 0})
    workers.until(lambda found: found == {})
    asked = len(xqueue.asked("get_submission"))
    number = xqueue.submit()
    announced = xqueue.api.announcements
    xqueue.until(lambda xqueue: xqueue.api.announcements > announced, 60)
    assert len(xqueue.asked("get_submission")) == asked
    workers.control.scale({"python": None})
    xqueue.until(lambda xqueue: number in xqueue.results)
    assert wanted(workers) == {"python": 1}


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"java": 1}, "no queue or pool 'java'"),
        ({"python": 501}, "0 to 500"),
        ({"python": -1}, "0 to 500"),
        ({"python": True}, "0 to 500"),
        ({"python": "2"}, "0 to 500"),
        ({}, "QUEUE=N"),
    ],
)
def test_what_can_not_be_wanted_is_refused_and_changes_nothing(
    run, no_redis, sandboxd_process, counts, words
):
    sandboxd_process()
    workers = run(no_redis)
    with pytest.raises(ControlUnavailable, match=words):
        workers.control.scale(counts)
    assert wanted(workers) == {"python": 1}


def test_a_crashed_worker_leaves_what_it_was_doing_and_is_replaced(
    run, no_redis, xqueue, sandboxd_process, tmp_path
):
    sandboxd = sandboxd_process(60)
    log = tmp_path / "log"
    workers = run(no_redis, stderr=log)
    number = xqueue.submit()
    assert sandboxd.stdout.readline() == "running\n"
    workers.until(lambda found: found["python-1"]["state"] == "grading")
    pid = workers.workers()["python-1"]["pid"]
    os.kill(pid, signal.SIGKILL)
    workers.until(lambda found: found.get("python-1", {"pid": pid})["pid"] != pid)
    (died,) = [event for event in events(log) if event["event"] == "worker-died"]
    assert (died["worker"], died["submission"]) == ("python-1", number)


def test_the_fork_of_a_killed_rq_worker_finishes_its_grading_and_ends(
    run, redis, xqueue, sandboxd_process
):
    sandboxd = sandboxd_process("held")
    workers = run(redis.url)
    eventually(lambda: listening(redis) == 1)
    number = xqueue.submit()
    nudge(redis)
    assert sandboxd.stdout.readline() == "running\n"
    pid = workers.workers()["python-1"]["pid"]
    os.kill(pid, signal.SIGKILL)
    workers.until(lambda found: found.get("python-1", {"pid": pid})["pid"] != pid)
    release_runs(workers.socket_path)
    xqueue.until(lambda xqueue: number in xqueue.results)
    workers.send_signal(signal.SIGTERM)
    assert workers.wait(60) == 0
    eventually(lambda: workers.processes_left() == [])


def test_a_killed_supervisor_leaves_nobody_behind(run, no_redis, sandboxd_process):
    sandboxd_process()
    workers = run(no_redis, "--concurrency", 2)
    workers.until(lambda found: len(found) == 2)
    workers.process.kill()
    workers.wait(60)
    eventually(lambda: workers.processes_left() == [])


def test_a_supervisor_that_was_killed_does_not_stop_its_successor(
    run, no_redis, xqueue, sandboxd_process
):
    """Its workers still finish what they grade, and hold nothing that the next one needs."""
    sandboxd = sandboxd_process("held")
    workers = run(no_redis)
    number = xqueue.submit()
    assert sandboxd.stdout.readline() == "running\n"
    workers.process.kill()
    workers.wait(60)
    run(no_redis).until(lambda found: len(found) == 1)
    eventually(lambda: len(workers.processes_left()) > len(("supervisor", "look", "worker")))
    release_runs(workers.socket_path)
    xqueue.until(lambda xqueue: number in xqueue.results)


def test_a_second_supervisor_on_the_same_socket_is_refused(
    run, no_redis, processes, xqueue, sandboxd_process, tmp_path
):
    sandboxd_process()
    workers = run(no_redis)
    assert stat.S_IMODE(control_path(workers.socket_path).stat().st_mode) == 0o600
    second = run(no_redis, stderr=tmp_path / "log")
    assert second.wait(60) == 1
    assert "--control" in (tmp_path / "log").read_text()


# Settings that are read again


TOML = """
[servers.campus]
url = "{url}"
username = "grader"
password_file = "{password}"

[[queues]]
name = "python"
server = "campus"
grader = "image"
concurrency = {concurrency}
"""
JAVA = """
[[queues]]
name = "java"
server = "campus"
grader = "image"
"""


@pytest.fixture
def config(xqueue, tmp_path):
    """Writes the file; returns its path."""

    def write(concurrency=1, more=""):
        file = tmp_path / "workers.toml"
        values = {"url": xqueue.url, "password": tmp_path / "password"}
        file.write_text(TOML.format(concurrency=concurrency, **values) + more)
        return file

    return write


def test_settings_are_read_again_and_workers_come_and_go(
    run, no_redis, sandboxd_process, config, xqueue
):
    sandboxd_process()
    workers = run(no_redis, config=config())
    stays = workers.workers()["python-1"]["pid"]
    config(concurrency=2, more=JAVA)
    workers.reread()
    workers.until(lambda found: sorted(found) == ["java-1", "python-1", "python-2"])
    assert workers.workers()["python-1"]["pid"] == stays
    number = xqueue.submit(queue="java")
    xqueue.until(lambda xqueue: number in xqueue.results)
    config(concurrency=1)
    workers.reread()
    workers.until(lambda found: len(found) == 1)
    assert list(wanted(workers)) == ["python"]


def test_a_broken_file_is_reported_and_the_old_settings_stay(
    run, no_redis, sandboxd_process, config, tmp_path
):
    sandboxd_process()
    log = tmp_path / "log"
    workers = run(no_redis, config=config(), stderr=log)
    config(concurrency='"many"')
    workers.reread()
    eventually(lambda: "settings-not-reread" in log.read_text())
    (said,) = [event for event in events(log) if event["event"] == "settings-not-reread"]
    assert "concurrency" in said["error"]
    assert wanted(workers) == {"python": 1}
    config(concurrency=2)
    workers.reread()
    workers.until(lambda found: len(found) == 2)


def test_a_queue_whose_grader_changed_gets_new_workers(run, no_redis, sandboxd_process, config):
    sandboxd_process()
    workers = run(no_redis, config=config())
    before = workers.workers()["python-1"]["pid"]
    file = config()
    file.write_text(file.read_text().replace('"image"', '"another"'))
    workers.reread()
    workers.until(lambda found: [each["pid"] != before for each in found.values()] == [True])


# What a server says


def test_a_host_is_announced_and_taken_leave_of_at_a_clean_end_only(
    run, no_redis, xqueue, sandboxd_process, config
):
    sandboxd_process()
    workers = run(no_redis, config=config())
    xqueue.until(lambda xqueue: xqueue.api.hosts.get(HOST, {}).get("workers"))
    xqueue.until(lambda xqueue: xqueue.api.hosts[HOST]["workers"][0]["state"] == "idle")
    host = xqueue.api.hosts[HOST]
    assert host["pid"] == workers.process.pid
    assert host["backend"] == "local 1"
    assert (host["canary"], host["autoscale"]) == (None, None)
    (worker,) = host["workers"]
    assert worker.pop("since_s") >= 0
    assert worker == {
        "name": "python-1",
        "pid": workers.workers()["python-1"]["pid"],
        "queue": "python",
        "state": "idle",
        "submission_id": None,
    }
    announced = xqueue.api.announcements
    workers.reread()
    xqueue.until(lambda xqueue: xqueue.api.announcements > announced)
    assert f"DELETE workers/{HOST}" not in xqueue.api.asked
    workers.send_signal(signal.SIGTERM)
    assert workers.wait(60) == 0
    assert xqueue.api.asked[-1] == f"DELETE workers/{HOST}"


def test_an_operators_wish_on_the_server_is_followed(run, no_redis, xqueue, sandboxd_process):
    sandboxd_process()
    xqueue.api.to_hosts["wishes"] = [{"queue": "python", "count": 3}]
    workers = run(no_redis)
    workers.until(lambda found: len(found) == 3)
    xqueue.until(lambda xqueue: len(xqueue.api.hosts[HOST]["workers"]) == 3)


def test_what_a_queue_needs_beyond_other_hosts_is_followed_at_once(
    run, no_redis, xqueue, sandboxd_process
):
    sandboxd_process()
    needed = {"queue": "python", "workers": 5, "hosts_workers": 2, "reason": "an exam"}
    xqueue.api.to_hosts["desired"] = [needed]
    workers = run(no_redis, "--autoscale", "1:8")
    workers.until(lambda found: len(found) == 3)
    xqueue.until(lambda xqueue: xqueue.api.hosts[HOST]["autoscale"] == {"min": 1, "max": 8})


def test_without_autoscale_a_need_changes_nothing(run, no_redis, xqueue, sandboxd_process):
    sandboxd_process()
    xqueue.api.to_hosts["desired"] = [{"queue": "python", "workers": 5, "reason": "an exam"}]
    workers = run(no_redis)
    xqueue.until(lambda xqueue: xqueue.api.announcements)
    eventually(lambda: workers.status() is not None)
    assert wanted(workers) == {"python": 1}
