"""The pool's promises, with containers made of nothing and a clock that is turned by hand."""

import threading

import pytest

from sandbox.backends.docker.containers import Role, spec_of
from sandbox.backends.docker.images import Image
from sandbox.backends.docker.pool import LIVE_FIRST_S, SPARED_S, WarmPool
from sandbox.backends.docker.settings import PoolSettings
from sandbox.backends.docker.starting import StartedContainer
from sandbox.errors import SandboxUnavailable
from sandbox.run import MIB, Limits
from tests.docker.waiting import wait_until

PATIENCE_S = 60.0


class FakeChannel:
    def __init__(self):
        self.is_alive = True

    def is_silent(self):
        return self.is_alive


class Factory:
    """Starts containers of nothing: at once, or held up until `gate` is set, or not at all."""

    def __init__(self):
        self.now = 1000.0
        self.started = []
        self.discarded = []
        self.broken = False
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Semaphore(0)

    def start(self, spec, lifetime_s):
        self.begun.release()
        assert self.gate.wait(PATIENCE_S)
        if self.broken:
            raise SandboxUnavailable("the engine is away")
        container = StartedContainer(
            spec=spec,
            container_id=f"c{len(self.started)}",
            channel=FakeChannel(),
            started_at=self.now,
            expires_at=self.now + lifetime_s,
        )
        self.started.append(container)
        return container


@pytest.fixture
def factory():
    return Factory()


@pytest.fixture
def make_pool(factory):
    pools = []

    def make(**settings):
        settings = PoolSettings(**{"size": 2, "refillers": 1, **settings})
        pool = WarmPool(
            settings,
            factory.start,
            factory.discarded.append,
            clock=lambda: factory.now,
            wall_clock=lambda: factory.now,
        )
        pools.append(pool)
        return pool

    yield make
    factory.gate.set()
    for pool in pools:
        pool.close()


def a_spec(image="sha256:1", **limits):
    image = Image(reference="grader", image_id=image)
    return spec_of(image, Role.BOTH, Limits(**limits), runtime=None, has_own_files=False)


def filled(pool, spec, count):
    """Wait until that many wait."""
    with pool._changed:
        reached = pool._changed.wait_for(
            lambda: len(pool._shelves[spec].waiting) == count, PATIENCE_S
        )
    assert reached, pool.counters


def test_a_run_takes_a_waiting_container_which_is_replaced(factory, make_pool):
    pool, spec = make_pool(), a_spec()
    pool.fill(spec, PATIENCE_S)
    filled(pool, spec, 2)
    assert pool.take(spec, 10) is factory.started[0], "the oldest first"
    filled(pool, spec, 2)
    assert len(factory.started) == 3
    assert pool.counters["hits"] == 1
    assert pool.counters["misses"] == 0


def test_a_kind_nobody_asked_for_before_starts_cold_and_is_then_kept_ready(factory, make_pool):
    pool, spec = make_pool(), a_spec()
    pool.take(spec, 10)
    assert pool.counters["misses"] == 1
    filled(pool, spec, 2)


def test_no_container_is_given_out_twice(factory, make_pool):
    pool, spec = make_pool(size=3), a_spec()
    taken = [pool.take(spec, 10).container_id for _ in range(20)]
    assert len(set(taken)) == 20


def test_other_limits_need_another_container(factory, make_pool):
    pool = make_pool()
    pool.fill(a_spec(), PATIENCE_S)
    filled(pool, a_spec(), 2)
    assert pool.take(a_spec(memory_bytes=64 * MIB), 10).spec.memory_bytes == 64 * MIB
    assert pool.take(a_spec(wall_s=99), 10) is factory.started[0], "no matter for a container"


def test_without_a_size_nothing_is_kept(factory, make_pool):
    pool = make_pool(size=0)
    pool.take(a_spec(), 10)
    assert pool.wanted() == []
    assert pool.counters == {"hits": 0, "misses": 0, "lost": 0, "waiting": 0}


def test_a_run_that_is_not_to_count_leaves_the_pool_as_it_was(factory, make_pool):
    pool, spec = make_pool(), a_spec()
    pool.take(spec, 10, want=False)
    assert pool.wanted() == []


def test_an_empty_shelf_gives_what_is_on_its_way_instead_of_starting_another(factory, make_pool):
    pool, spec = make_pool(size=1), a_spec()
    factory.gate.clear()
    filling = threading.Thread(target=pool.fill, args=(spec, PATIENCE_S))
    filling.start()
    assert factory.begun.acquire(timeout=PATIENCE_S)
    taken = []
    taking = threading.Thread(target=lambda: taken.append(pool.take(spec, 10)))
    taking.start()
    wait_until(lambda: pool._shelves[spec].hoping == 1)  # of which nobody is told
    assert not taken
    factory.gate.set()
    taking.join(PATIENCE_S)
    filling.join(PATIENCE_S)
    assert taken == [factory.started[0]]
    assert pool.counters["hits"] == 1


def test_nothing_is_refilled_while_a_run_waits_for_a_cold_start(factory, make_pool):
    pool, spec, other = make_pool(), a_spec(), a_spec(pids=7)
    factory.gate.clear()
    cold = threading.Thread(target=pool.take, args=(other, 10))
    cold.start()
    assert factory.begun.acquire(timeout=PATIENCE_S)
    with pool._changed:
        pool._wanted(spec)
        pool._changed.notify_all()
    assert not factory.begun.acquire(timeout=0.2), "a refill began"
    factory.gate.set()
    cold.join(PATIENCE_S)
    filled(pool, spec, 2)


def test_refills_let_a_run_go_first_but_not_for_ever(factory, make_pool):
    pool, spec = make_pool(), a_spec()
    pool.run_begins()
    with pool._changed:
        pool._wanted(spec)
    assert not factory.begun.acquire(timeout=LIVE_FIRST_S)
    factory.now += LIVE_FIRST_S
    with pool._changed:
        pool._changed.notify_all()
    filled(pool, spec, 2)
    pool.run_ended()


def test_all_that_wait_fit_into_the_memory_given(factory, make_pool):
    pool = make_pool(size=10, memory_bytes=3 * MIB, idle_bytes=MIB)
    first, second = a_spec(), a_spec(pids=7)
    pool.fill(first, PATIENCE_S)
    filled(pool, first, 3)
    pool.fill(second, PATIENCE_S)
    assert pool.counters["waiting"] == 3


def test_a_kind_that_is_wanted_takes_room_from_one_that_is_not(factory, make_pool):
    pool = make_pool(size=10, memory_bytes=2 * MIB, idle_bytes=MIB)
    stale, wanted = a_spec(), a_spec(pids=7)
    pool.fill(stale, PATIENCE_S)
    filled(pool, stale, 2)
    factory.now += SPARED_S + 1
    pool.fill(wanted, PATIENCE_S)
    pool.tend()
    filled(pool, wanted, 1)
    assert len(factory.discarded) == 1
    assert factory.discarded[0].spec == stale


def test_gvisor_needs_more_room(factory, make_pool):
    pool = make_pool(size=10, memory_bytes=100 * MIB, gvisor_idle_bytes=50 * MIB)
    image = Image(reference="grader", image_id="sha256:1")
    spec = spec_of(image, Role.LEARNER, Limits(), runtime="runsc", has_own_files=False)
    pool.fill(spec, PATIENCE_S)
    filled(pool, spec, 2)
    assert pool.counters["waiting"] == 2


def test_a_kind_nobody_asks_for_any_more_is_dropped(factory, make_pool):
    pool, spec = make_pool(idle_expiry_s=60), a_spec()
    pool.fill(spec, PATIENCE_S)
    filled(pool, spec, 2)
    factory.now += 59
    pool.tend()
    assert pool.wanted() == [spec]
    factory.now += 2
    pool.tend()
    assert pool.wanted() == []
    assert factory.discarded == factory.started


def test_asking_whether_a_kind_is_ready_does_not_keep_it(factory, make_pool):
    pool, spec = make_pool(idle_expiry_s=60), a_spec()
    pool.fill(spec, PATIENCE_S)
    filled(pool, spec, 2)
    for _ in range(4):
        pool.require_startable(spec)
        factory.now += 16
        pool.tend()
    assert pool.wanted() == []
    pool.require_startable(spec)
    assert pool.wanted() == []
    assert len(factory.started) == 2


def test_runs_keep_a_kind_and_bring_back_one_that_expired(factory, make_pool):
    pool, spec = make_pool(idle_expiry_s=60), a_spec()
    for _ in range(3):
        pool.take(spec, 10)
        factory.now += 50
        pool.tend()
    assert pool.wanted() == [spec]
    filled(pool, spec, 2)  # a run that met one on its way would wait for it
    factory.now += 50
    pool.tend()
    assert pool.wanted() == []
    misses = pool.counters["misses"]
    pool.take(spec, 10)
    assert pool.counters["misses"] == misses + 1
    filled(pool, spec, 2)


def test_runs_that_need_none_of_a_kind_keep_it_but_do_not_make_it(factory, make_pool):
    pool, spec = make_pool(idle_expiry_s=60), a_spec()
    pool.used_again(spec)
    assert pool.wanted() == []
    pool.fill(spec, PATIENCE_S)
    for _ in range(3):
        factory.now += 50
        pool.used_again(spec)
        pool.tend()
    assert pool.wanted() == [spec]


def test_why_a_kind_can_not_be_started_is_known_until_it_can(factory, make_pool):
    pool, spec = make_pool(), a_spec()
    pool.fill(spec, PATIENCE_S)
    filled(pool, spec, 2)
    factory.broken = True
    pool.take(spec, 10)
    with pool._changed:
        assert pool._changed.wait_for(lambda: pool._shelves[spec].error, PATIENCE_S)
    pool.require_startable(spec)
    pool.take(spec, 10)
    with pytest.raises(SandboxUnavailable, match="away"):
        pool.require_startable(spec)
    factory.broken = False
    factory.now += 1000
    with pool._changed:
        pool._changed.notify_all()
    filled(pool, spec, 2)
    pool.require_startable(spec)


def test_more_kinds_than_have_room_settle_with_those_wanted_last(factory, make_pool):
    pool = make_pool(size=2, memory_bytes=3 * MIB, idle_bytes=MIB, idle_expiry_s=1e6)
    specs = [a_spec(pids=number) for number in range(2, 8)]
    for spec in specs:
        pool.fill(spec, PATIENCE_S)
        factory.now += 1
    factory.now += SPARED_S + 1

    def full():
        return pool.counters["waiting"] == 3

    for _ in range(12):
        with pool._changed:
            assert pool._changed.wait_for(full, PATIENCE_S)
        pool.tend()
    with pool._changed:
        assert pool._changed.wait_for(full, PATIENCE_S)
        held = [spec for spec in specs if pool._shelves[spec].waiting]
    assert held == specs[-3:]
    discarded = len(factory.discarded)
    pool.tend()
    assert len(factory.discarded) == discarded, "containers go round in circles"


def test_a_container_that_died_while_it_waited_is_replaced(factory, make_pool):
    pool, spec = make_pool(), a_spec()
    pool.fill(spec, PATIENCE_S)
    filled(pool, spec, 2)
    factory.started[0].channel.is_alive = False
    pool.tend()
    filled(pool, spec, 2)
    assert factory.discarded == [factory.started[0]]
    assert pool.counters["lost"] == 1


def test_a_dead_container_is_not_given_to_a_run(factory, make_pool):
    pool, spec = make_pool(), a_spec()
    pool.fill(spec, PATIENCE_S)
    filled(pool, spec, 2)
    factory.started[0].channel.is_alive = False
    assert pool.take(spec, 10) is factory.started[1]
    assert factory.discarded == [factory.started[0]]


def test_an_old_container_is_replaced(factory, make_pool):
    pool, spec = make_pool(max_age_s=100, idle_expiry_s=1000), a_spec()
    pool.fill(spec, PATIENCE_S)
    filled(pool, spec, 2)
    factory.now += 101
    pool.tend()
    filled(pool, spec, 2)
    assert factory.discarded == factory.started[:2]


def test_a_run_longer_than_a_container_has_left_gets_its_own(factory, make_pool):
    pool, spec = make_pool(), a_spec()
    pool.fill(spec, PATIENCE_S)
    filled(pool, spec, 2)
    taken = pool.take(spec, 1_000_000)
    assert taken.expires_at > factory.now + 1_000_000


def test_containers_of_a_rebuilt_image_are_dropped_and_the_new_ones_made(factory, make_pool):
    pool, old, new = make_pool(), a_spec("sha256:1"), a_spec("sha256:2")
    pool.fill(old, PATIENCE_S)
    filled(pool, old, 2)
    pool.drop(old, instead=new)
    filled(pool, new, 2)
    assert pool.wanted() == [new]
    assert factory.discarded == factory.started[:2]


def test_nobody_waits_for_a_kind_that_was_dropped_while_it_was_being_filled(factory, make_pool):
    pool, old, new = make_pool(), a_spec("sha256:1"), a_spec("sha256:2")
    factory.gate.clear()
    told = []

    def fill():
        with pytest.raises(SandboxUnavailable) as refused:
            pool.fill(old, PATIENCE_S)
        told.append(str(refused.value))

    filling = threading.Thread(target=fill)
    filling.start()
    assert factory.begun.acquire(timeout=PATIENCE_S)
    pool.drop(old, instead=new)
    filling.join(PATIENCE_S / 2)
    assert told == ["grader was replaced while containers of it were being started"]
    factory.gate.set()
    filling.join()
    filled(pool, new, 2)


def test_an_engine_that_fails_is_asked_again_less_and_less_often(factory, make_pool):
    pool, spec = make_pool(), a_spec()
    factory.broken = True
    with pytest.raises(SandboxUnavailable, match="away"):
        pool.fill(spec, PATIENCE_S)
    pauses = []
    for _ in range(4):
        with pool._changed:
            pauses.append(pool._shelves[spec].retry_at - factory.now)
        factory.now += pauses[-1]
        failures = len(pauses)
        with pool._changed:
            pool._changed.notify_all()
            assert pool._changed.wait_for(
                lambda failures=failures: pool._shelves[spec].failures > failures, PATIENCE_S
            )
    assert pauses == [0.5, 1, 2, 4]
    factory.broken = False
    factory.now += 1000
    with pool._changed:
        pool._changed.notify_all()
    filled(pool, spec, 2)


def test_a_run_whose_hoped_for_container_fails_starts_its_own(factory, make_pool):
    pool, spec = make_pool(size=1), a_spec()
    factory.broken = True
    factory.gate.clear()
    with pool._changed:
        pool._wanted(spec)
    assert factory.begun.acquire(timeout=PATIENCE_S)
    errors = []

    def take():
        try:
            pool.take(spec, 10)
        except SandboxUnavailable as error:
            errors.append(error)

    taking = threading.Thread(target=take)
    taking.start()
    factory.gate.set()
    taking.join(PATIENCE_S)
    assert not taking.is_alive()
    assert len(errors) == 1


def test_nothing_is_left_after_close_not_even_what_was_being_started(factory, make_pool):
    before = set(threading.enumerate())  # a backend of this session may have its own
    pool, spec = make_pool(size=3), a_spec()
    pool.fill(spec, PATIENCE_S)
    filled(pool, spec, 3)
    factory.gate.clear()
    taken = pool.take(spec, 10)
    for _ in range(4):
        assert factory.begun.acquire(timeout=PATIENCE_S)
    closing = threading.Thread(target=pool.close)
    closing.start()
    factory.gate.set()
    closing.join(PATIENCE_S)
    assert not closing.is_alive()
    assert {one.container_id for one in factory.discarded} == {
        one.container_id for one in factory.started if one is not taken
    }
    left = set(threading.enumerate()) - before
    assert not [thread for thread in left if thread.name == "pool-refiller"]
