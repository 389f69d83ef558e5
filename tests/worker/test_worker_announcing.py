"""What a host says of itself, when, and to whom it stays silent."""

from __future__ import annotations

import pytest

from grader_worker.announcing import BEAT_S, LEFT_OUT_S, PROBE_EVERY_S, Announcer
from grader_worker.errors import RequestRefused, ServerUnreachable
from grader_worker.pool import MOST_WORKERS
from grader_worker.sandboxd.messages import CanaryWord, DaemonState
from grader_worker.xqueue_client import XQueueClient
from sandbox.errors import SandboxUnavailable
from tests.worker.fakes import account
from xqueue_server.workload.workforce import read_announcement


class FakeControl:
    def __init__(self, server):
        self.server = server
        self.workers = [self.worker("python-1")]
        self.autoscale = {"python": {"min": 1, "max": 8}, "java": {"min": 0, "max": 2}}
        self.ending = False
        self.heard = []

    def worker(self, name, **changes):
        values = {"name": name, "pid": 7, "pool": "python", "queue": "python", "state": "idle"}
        return values | {"server": self.server, "submission_id": None, "since_s": 1.5} | changes

    def status(self):
        pools = [
            {"name": name, "queues": [name], "server": self.server, "autoscale": bounds}
            for name, bounds in self.autoscale.items()
        ]
        return {
            "pid": 5,
            "started_at": "2026-11-21T10:00:00+00:00",
            "ending": self.ending,
            "pools": pools,
            "workers": self.workers,
        }

    def heed(self, server, *, wishes, said_at, needs):
        self.heard.append((server, wishes, said_at, needs))


class FakeSandboxd:
    said: object = DaemonState(
        backend="docker 20.10.24", canary=CanaryWord(lives=True, detail="lives")
    )

    def state(self):
        if isinstance(self.said, Exception):
            raise self.said
        return self.said


class Host:
    """An announcer, what it is made of, and its clock."""

    def __init__(self, xqueue):
        self.now = 0.0
        self.api = xqueue.api
        self.control = FakeControl(xqueue.url)
        self.sandboxd = FakeSandboxd()
        self.client = XQueueClient(account(xqueue))
        self.announcer = Announcer(
            self.client,
            self.control,
            self.sandboxd,
            host="rack 1",
            sleep=lambda _seconds: True,
            clock=lambda: self.now,
        )

    def after(self, seconds):
        self.now += seconds
        self.announcer.look()
        return self.api.announcements


@pytest.fixture
def host(xqueue):
    host = Host(xqueue)
    yield host
    host.client.close()


def test_a_host_says_what_the_server_wants_to_know(host):
    host.after(0)
    assert host.api.asked == ["PUT workers/rack%201"]
    said = host.api.hosts["rack 1"]
    assert said.pop("version") != ""
    assert said.pop("cpus") >= 1
    assert said == {
        "pid": 5,
        "backend": "docker 20.10.24",
        "canary": {"ok": True, "detail": "lives"},
        "autoscale": {"min": 1, "max": 10},
        "started_at": "2026-11-21T10:00:00+00:00",
        "workers": [
            {
                "name": "python-1",
                "pid": 7,
                "queue": "python",
                "state": "idle",
                "submission_id": None,
                "since_s": 1.5,
            }
        ],
    }


def test_the_server_understands_it(host):
    """Its own reader, on what was sent."""
    host.after(0)
    read = read_announcement("rack 1", host.api.hosts["rack 1"])
    assert (read.backend, read.is_canary_ok, read.autoscale_max) == ("docker 20.10.24", True, 10)
    assert [worker.name for worker in read.workers] == ["python-1"]


def test_beats_are_as_far_apart_as_the_server_says(host):
    assert [host.after(seconds) for seconds in (0, BEAT_S - 1, 1)] == [1, 1, 2]
    host.api.to_hosts["beat_s"] = 30
    assert [host.after(seconds) for seconds in (BEAT_S, 29, 1)] == [3, 3, 4]


def test_a_worker_that_comes_or_goes_is_told_at_once(host):
    host.after(0)
    host.control.workers.append(host.control.worker("python-2", state="starting"))
    assert host.after(1) == 2
    host.control.workers[1]["state"] = "draining"
    assert host.after(1) == 3
    del host.control.workers[1]
    assert host.after(1) == 4


def test_that_a_worker_grades_is_told_with_the_next_beat(host):
    host.after(0)
    host.control.workers[0] |= {"state": "grading", "submission_id": 17}
    assert host.after(1) == 1
    assert host.after(BEAT_S) == 2
    assert host.api.hosts["rack 1"]["workers"][0]["submission_id"] == 17


def test_workers_of_another_server_are_not_its_business(host):
    host.control.workers.append(host.control.worker("java-1", server="http://other"))
    host.after(0)
    assert [each["name"] for each in host.api.hosts["rack 1"]["workers"]] == ["python-1"]


def test_wishes_and_the_share_of_what_is_needed_are_passed_on(host):
    host.api.to_hosts |= {
        "wishes": [{"queue": "python", "count": 4, "at": "then"}],
        "desired": [
            {"queue": "python", "workers": 6, "reason": "r", "hosts_workers": 2},
            {"queue": "java", "workers": 1, "reason": "r", "hosts_workers": 3},
            {"queue": "elsewhere", "workers": 2, "reason": "r"},
        ],
    }
    host.after(0)
    needs = {"python": 4, "java": 0}
    said_at = {"python": "then"}
    assert host.control.heard == [(host.control.server, {"python": 4}, said_at, needs)]


@pytest.mark.parametrize(
    "answer",
    [{"wishes": None}, {"wishes": [{}]}, {"desired": [{"queue": "a", "workers": "x"}]}],
)
def test_an_answer_of_another_shape_changes_nothing(host, answer):
    host.api.to_hosts |= answer
    with pytest.raises(ServerUnreachable):
        host.after(0)
    assert host.control.heard == []


@pytest.mark.parametrize("status", [404, 405])
def test_a_server_that_does_not_know_hosts_is_asked_once_an_hour(host, status):
    host.api.broken["workers"] = [status, status]
    host.after(0)
    host.control.workers.clear()
    host.after(BEAT_S)
    assert len(host.api.asked) == 1
    host.after(PROBE_EVERY_S)
    assert len(host.api.asked) == 2
    assert host.after(PROBE_EVERY_S) == 1


def test_another_kind_of_server_is_told_nothing(new_xqueue):
    reference = Host(new_xqueue(extensions=""))
    reference.after(0)
    reference.after(PROBE_EVERY_S)
    assert reference.api.asked == []
    reference.client.close()


def test_a_refusal_is_trouble_and_the_pause_grows(host):
    host.api.broken["workers"] = [409, 503]
    with pytest.raises(RequestRefused):
        host.after(0)
    host.announcer._round()
    assert host.api.asked == ["PUT workers/rack%201"] * 2
    host.announcer._round()
    assert len(host.api.asked) == 2
    assert host.after(5) == 1


def test_a_queue_that_is_refused_does_not_hide_the_others(host):
    host.control.workers.append(host.control.worker("java-1", queue="java"))
    host.api.foreign_queues = {"java"}
    assert host.after(0) == 1
    assert shown(host) == ["python-1"]
    host.api.foreign_queues = set()
    host.after(LEFT_OUT_S - 1)
    assert shown(host) == ["python-1"]
    host.after(BEAT_S)
    assert shown(host) == ["python-1", "java-1"]


def shown(host):
    return [worker["name"] for worker in host.api.hosts["rack 1"]["workers"]]


def test_only_what_is_said_of_its_own_queues_is_passed_on(host):
    """Thousands would be more than the supervisor reads."""
    others = [{"queue": f"q{n}", "workers": 1} for n in range(5000)]
    host.api.to_hosts["desired"] = [{"queue": "python", "workers": 2}, *others]
    host.after(0)
    assert host.control.heard == [(host.control.server, {}, {}, {"python": 2})]


def test_bounds_of_many_pools_are_no_more_than_a_host_can_have(host):
    host.control.autoscale = {f"q{n}": {"min": 0, "max": MOST_WORKERS} for n in range(3)}
    host.after(0)
    assert host.api.hosts["rack 1"]["autoscale"] == {"min": 0, "max": MOST_WORKERS}


def test_without_a_sandboxd_that_is_said(host):
    host.sandboxd.said = SandboxUnavailable("gone")
    host.after(0)
    said = host.api.hosts["rack 1"]
    assert (said["backend"], said["canary"]) == ("no sandboxd", None)


@pytest.mark.parametrize(("ending", "known"), [(True, False), (False, True)])
def test_leave_is_taken_only_when_the_whole_host_ends(host, ending, known):
    """Settings that were read again replace this process too."""
    host.control.ending = ending
    host.announcer.announce_until_stopped()
    assert ("rack 1" in host.api.hosts) is known
