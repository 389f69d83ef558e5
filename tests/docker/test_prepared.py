"""Which graders count as new, so that containers are kept ready for them."""

import time

import pytest

from sandbox.backends.docker.prepared import OUT_OF_USE_S, PreparedGraders
from sandbox.errors import SandboxUnavailable
from sandbox.probe.script import PROBE_GRADER, one_run, probe_request
from sandbox.run import ExitReason, ImageGrader, Limits, Preparation
from tests.docker.test_pool import a_spec
from tests.docker.waiting import wait_until, waiting

SUMS = Preparation(grader=ImageGrader(image="sums"))
SUMS_2 = Preparation(grader=ImageGrader(image="sums-2"))
LIMITS = Limits(wall_s=20)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def is_new(clock):
    graders = PreparedGraders(clock)

    def is_new(preparation=SUMS, spec=None, error=None):
        try:
            with graders.asked_for(preparation, [spec or a_spec()]) as answer:
                if error is not None:
                    raise error
        except SandboxUnavailable:
            pass
        return answer

    return is_new


def test_a_grader_is_new_once(is_new):
    assert is_new()
    assert not is_new()
    assert is_new(SUMS_2)
    assert not is_new()


def test_other_limits_or_another_image_under_its_name_make_it_new(is_new):
    assert is_new()
    assert is_new(spec=a_spec(pids=3))
    assert is_new(spec=a_spec("sha256:2"))


def test_one_that_could_not_be_made_ready_stays_new(is_new):
    trouble = SandboxUnavailable("the engine is away")
    assert is_new(error=trouble)
    assert is_new()
    assert not is_new(error=trouble)
    assert is_new()


def test_one_that_was_out_of_use_is_new_when_it_comes_back(is_new, clock):
    assert is_new()
    for _ in range(5):
        clock.now += OUT_OF_USE_S / 2
        assert not is_new()
    clock.now += OUT_OF_USE_S + 1
    assert is_new()


def test_two_who_ask_at_once_do_not_make_it_new_for_each_other(clock):
    graders = PreparedGraders(clock)
    with graders.asked_for(SUMS, []):
        pass
    with graders.asked_for(SUMS, []) as first, graders.asked_for(SUMS, []) as second:
        assert (first, second) == (False, False)


def test_a_grader_nobody_submits_to_is_kept_ready_for_a_while_only(
    engine, open_docker, clock, monkeypatch
):
    """As a worker that serves it asks: again and again."""
    backend = open_docker(2, pool={"idle_expiry_s": 900})
    clock.now = time.monotonic()
    monkeypatch.setattr(backend._pool, "_clock", clock)  # two containers may take long to start
    preparation = Preparation(grader=PROBE_GRADER, limits=LIMITS)
    backend.prepare(preparation)
    wait_until(lambda: waiting(backend) == 2)
    for _ in range(3):
        clock.now += 250
        backend.prepare(preparation)
    backend._pool.tend()
    assert waiting(backend) == 2
    clock.now += 250
    wait_until(lambda: waiting(backend) == 0)
    backend.prepare(preparation)
    assert backend._pool.wanted() == []
    result = backend.run(probe_request(one_run(), limits=LIMITS))
    assert result.reason is ExitReason.COMPLETED
    assert backend.describe().counters["misses"] == 1
    wait_until(lambda: waiting(backend) == 2)


def test_without_a_pool_a_container_is_tried_for_a_new_grader_alone(
    engine, open_docker, monkeypatch
):
    backend = open_docker(0)
    started = []
    start = backend._starter.start
    monkeypatch.setattr(backend._starter, "start", lambda *a: (started.append(a), start(*a))[1])
    for _ in range(3):
        backend.prepare(Preparation(grader=PROBE_GRADER, limits=LIMITS))
    assert len(started) == 1
