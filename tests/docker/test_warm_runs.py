"""Runs in containers that were started before, on the host's engine."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sandbox.backends.docker import GRADER_BASE_IMAGE, LABEL
from sandbox.errors import GraderNotUsable, SandboxUnavailable
from sandbox.probe.script import PROBE_GRADER, one_run, probe_request, ran
from sandbox.run import DirectoryGrader, ExitReason, ImageGrader, Limits, Preparation
from tests.docker.waiting import wait_until, waiting

TOP = Path(__file__).parents[2]
LIMITS = Limits(wall_s=60)
LEAVES_A_TRACE = (
    "import os; print(os.getuid(), os.listdir('/box')); open('/box/trace', 'w').close()"
)
KILLED_OWNER = """
import sys
sys.path.insert(0, sys.argv[1])
from sandbox.backends.docker import DockerBackend, DockerSettings, PoolSettings
from sandbox.probe.script import PROBE_GRADER
from sandbox.run import Preparation
backend = DockerBackend(DockerSettings(pool=PoolSettings(size=2)))
backend.prepare(Preparation(grader=PROBE_GRADER))
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def own_containers(engine):
    """Ids of containers that a backend has made, running or not."""

    def list_them(backend):
        label = backend._ownership.own_label
        found = engine.containers.list(all=True, filters={"label": label}, ignore_removed=True)
        return {one.id for one in found}

    return list_them


def containers_of(engine, pid):
    found = engine.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
    return {one.id for one in found if one.labels[f"{LABEL}.owner"].startswith(f"{pid}-")}


def prepared(backend, count, **options):
    backend.prepare(Preparation(grader=PROBE_GRADER, limits=LIMITS, **options))
    wait_until(lambda: waiting(backend) == count)


def test_a_run_takes_a_container_that_was_ready(engine, open_docker):
    backend = open_docker(2)
    prepared(backend, 2)
    result = backend.run(probe_request(one_run(), "print(1)"))
    assert result.reason is ExitReason.COMPLETED
    assert ran(result.reports[0]).stdout == "1\n"
    counters = backend.describe().counters
    assert (counters["hits"], counters["misses"]) == (1, 0)
    assert set(result.phases_ms) == {"prepare", "run", "cleanup"}


def test_every_run_has_a_container_and_a_learner_of_its_own(engine, open_docker):
    backend = open_docker(2)
    prepared(backend, 2)
    said = [
        ran(backend.run(probe_request(one_run(), LEAVES_A_TRACE)).reports[0]).stdout
        for _ in range(5)
    ]
    assert all(line.endswith("[]\n") or "submission.py" in line for line in said), said
    assert not any("trace" in line for line in said)
    assert len({line.split()[0] for line in said}) == 5


def test_a_run_on_an_empty_pool_starts_cold(engine, open_docker):
    backend = open_docker(1)
    result = backend.run(probe_request(one_run(), "print(1)"))
    assert result.reason is ExitReason.COMPLETED
    assert backend.describe().counters["misses"] == 1


def test_the_answer_does_not_wait_for_the_container_to_go(engine, open_docker, monkeypatch):
    backend, may_go = open_docker(0), threading.Event()
    remove = backend._engine.remove_container

    def remove_late(container_id):
        assert may_go.wait(30)
        remove(container_id)

    monkeypatch.setattr(backend._remover, "_remove", remove_late)
    assert backend.run(probe_request(one_run())).reason is ExitReason.COMPLETED
    assert len(backend._starter.known) == 1
    may_go.set()
    backend.settle()
    assert backend._starter.known == frozenset()


def test_nothing_is_left_after_close(engine, open_docker, own_containers):
    before = set(threading.enumerate())  # another backend of this session may have its own
    backend = open_docker(3)
    prepared(backend, 3)
    backend.run(probe_request(one_run()))
    assert len(own_containers(backend)) >= 2
    backend.close()
    assert own_containers(backend) == set()
    names = {thread.name for thread in set(threading.enumerate()) - before}
    assert not names & {"pool-refiller", "container-remover", "docker-minder"}


def test_close_during_runs_leaves_nothing_either(engine, open_docker, own_containers):
    backend = open_docker(2)
    prepared(backend, 2)

    def run():
        try:
            backend.run(probe_request(one_run(), "import time; time.sleep(0.5)"))
        except SandboxUnavailable:
            return

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    backend.close()
    for thread in threads:
        thread.join()
    assert own_containers(backend) == set()


def test_a_tag_that_is_rebuilt_means_the_new_image_from_then_on(build_image, open_docker):
    tag = f"xqueue/test-{os.getpid()}:local"

    def rebuild(word):
        lines = (f"FROM {GRADER_BASE_IMAGE}", f"RUN mkdir /usr/share/{word}")
        return build_image(*lines, tag=tag).id

    rebuild("first")
    backend = open_docker(1, base_image=tag)
    prepared(backend, 1)
    ask = "import os; print('second' in os.listdir('/usr/share'))"
    assert ran(backend.run(probe_request(one_run(), ask)).reports[0]).stdout == "False\n"
    second = rebuild("second")

    def has_only_new_ones():
        wanted = backend._pool.wanted()
        return [spec.image.image_id for spec in wanted] == [second] and waiting(backend) == 1

    wait_until(has_only_new_ones)
    assert ran(backend.run(probe_request(one_run(), ask)).reports[0]).stdout == "True\n"
    backend.close()


def test_a_waiting_container_that_somebody_kills_is_replaced(engine, open_docker, own_containers):
    backend = open_docker(1)
    prepared(backend, 1)
    [killed] = own_containers(backend)
    engine.containers.get(killed).kill()
    wait_until(lambda: waiting(backend) == 1 and killed not in own_containers(backend))
    assert backend.run(probe_request(one_run())).reason is ExitReason.COMPLETED


def test_what_a_killed_owner_kept_ready_is_reaped(engine, open_docker):
    backend = open_docker(0)
    owner = subprocess.Popen(
        [sys.executable, "-c", KILLED_OWNER, str(TOP)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with owner:
        assert owner.stdout.readline() == b"ready\n"
        kept = containers_of(engine, owner.pid)
        assert len(kept) >= 1
        backend.reap()
        assert containers_of(engine, owner.pid) >= kept, "its owner lives"
        owner.send_signal(signal.SIGKILL)

    def nothing_is_left():
        backend.reap()
        return containers_of(engine, owner.pid) == set()

    wait_until(nothing_is_left)  # the engine may still be making one that the owner had asked for


def test_a_pool_nobody_uses_goes_away(engine, open_docker, own_containers, monkeypatch):
    backend = open_docker(2, pool={"idle_expiry_s": 900})
    prepared(backend, 2)
    monkeypatch.setattr(backend._pool, "_clock", lambda: time.monotonic() + 901)
    wait_until(lambda: not backend._pool.wanted() and not own_containers(backend))


def test_a_check_neither_uses_nor_fills_the_pool(engine, open_docker):
    backend = open_docker(2)
    assert backend.check().healthy
    assert backend._pool.wanted() == []


def test_preparing_an_image_that_is_not_there_says_whose_fault_it_is(engine, open_docker):
    backend = open_docker(1)
    with pytest.raises(GraderNotUsable):
        backend.prepare(Preparation(grader=ImageGrader(image="xqueue/no-such-grader:local")))
    missing = DirectoryGrader(path=PROBE_GRADER.path, base="cobol")
    with pytest.raises(SandboxUnavailable, match=r"grader-cobol.*build\.sh"):
        backend.prepare(Preparation(grader=missing))


def test_preparing_without_a_pool_tries_the_image_once(build_image, open_docker):
    image = build_image(f"FROM {GRADER_BASE_IMAGE}", "RUN rm -r /xq")
    backend = open_docker(0)
    with pytest.raises(GraderNotUsable):
        backend.prepare(Preparation(grader=ImageGrader(image=image.id)))
    backend.close()


def test_a_base_is_not_a_way_to_another_image(open_docker):
    grader = DirectoryGrader(path=PROBE_GRADER.path, base="../x:latest")
    with pytest.raises(GraderNotUsable, match="base image"):
        open_docker(0).prepare(Preparation(grader=grader))


def test_a_pool_of_eight_serves_a_burst_of_eight(engine, open_docker):
    backend = open_docker(8)
    prepared(backend, 8)
    results, request = [], probe_request(one_run(), limits=LIMITS)
    threads = [
        threading.Thread(target=lambda: results.append(backend.run(request))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.reason for result in results] == [ExitReason.COMPLETED] * 8
    assert backend.describe().counters["hits"] == 8
