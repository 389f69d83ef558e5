"""sandboxd refuses work while its canary is dead, says why, and takes work again by itself."""

from datetime import UTC, datetime

import pytest

from grader_worker.sandboxd.canary import OWN, CanaryBackend, Kind
from grader_worker.stopping import Stop
from sandbox.backend import BackendHealth
from sandbox.backends.fake import FakeBackend, a_result
from sandbox.canary import CanaryResult
from sandbox.errors import SandboxUnavailable
from sandbox.probe.script import DONE, probe_request
from sandbox.run import DirectoryGrader, Isolation, Preparation
from tests.worker.fakes import eventually

REQUEST = probe_request([DONE])
GVISOR = Kind(isolation=Isolation.SPLIT_CONTAINER, runtime="runsc")


class Bird:
    """Sings what it is told, per kind; the last one stays."""

    def __init__(self, *lives: bool) -> None:
        self.lives = list(lives)
        self.sang: list[Kind] = []

    def __call__(self, _backend, kind):
        self.sang.append(kind)
        lives = self.lives.pop(0) if len(self.lives) > 1 else self.lives[0]
        problems = () if lives else ("48 network: it gained a way out",)
        return CanaryResult(at=datetime(2026, 1, 2, tzinfo=UTC), took_ms=5, problems=problems)


def guarded(bird, backend=None, **timing):
    return CanaryBackend(backend or FakeBackend([a_result()]), sing=bird, **timing)


def preparation(kind):
    grader = DirectoryGrader(path="/srv/g")
    return Preparation(grader=grader, isolation=kind.isolation, runtime=kind.runtime)


def test_work_is_taken_while_it_lives():
    backend = guarded(Bird(True))
    backend.try_all()
    assert backend.run(REQUEST) == a_result()


def test_no_work_is_taken_and_the_reason_said_when_it_fails():
    backend = guarded(Bird(False))
    backend.try_all()
    with pytest.raises(SandboxUnavailable, match="48 network: it gained a way out"):
        backend.run(REQUEST)


def test_its_word_is_none_at_first_then_what_the_last_came_to():
    backend = guarded(Bird(True, False))
    assert backend.word() is None
    backend.try_all()
    assert backend.word().lives
    backend.try_all()
    word = backend.word()
    assert not word.lives
    assert "it gained a way out" in word.detail


def test_a_check_says_why_and_when():
    backend = guarded(Bird(False))
    backend.try_all()
    health = backend.check()
    assert not health.healthy
    assert "it gained a way out" in health.problems[0]
    assert "2026-01-02" in health.canary


def test_a_check_of_a_living_one_names_the_last():
    backend = guarded(Bird(True))
    backend.try_all()
    assert backend.check() == BackendHealth(
        healthy=True, canary="passed 6 attacks at 2026-01-02T00:00:00+00:00 in 5 ms"
    )


def test_a_check_tries_a_dead_one_again_so_that_recovery_is_soon():
    bird = Bird(False, True)
    backend = guarded(bird)
    backend.try_all()
    assert backend.check().healthy
    assert backend.run(REQUEST) == a_result()
    assert bird.sang == [OWN, OWN]


def test_a_check_of_a_living_one_is_quick_and_sings_no_more():
    bird = Bird(True)
    backend = guarded(bird)
    backend.try_all()
    for _ in range(3):
        backend.check()
    assert bird.sang == [OWN]


def test_no_run_begins_before_the_first():
    backend = guarded(Bird(True), first_s=0.01)
    with pytest.raises(SandboxUnavailable, match="first canary"):
        backend.run(REQUEST)


def test_a_broken_backend_stays_broken_whatever_it_sings():
    backend = guarded(Bird(True), FakeBackend(problems=("no daemon",)))
    backend.try_all()
    assert backend.check().problems == ("no daemon",)


def test_it_is_tried_for_every_isolation_that_graders_are_prepared_with():
    bird = Bird(True)
    backend = guarded(bird)
    backend.try_all()
    backend.prepare(preparation(GVISOR))
    backend.prepare(preparation(GVISOR))
    backend.prepare(preparation(OWN))
    assert bird.sang == [OWN, GVISOR]
    backend.try_all()
    assert bird.sang == [OWN, GVISOR, OWN, GVISOR]


def test_a_dead_one_of_any_isolation_stops_the_work():
    backend = guarded(Bird(True, False))
    backend.try_all()
    backend.prepare(preparation(GVISOR))
    with pytest.raises(SandboxUnavailable, match="split-container runsc"):
        backend.run(REQUEST)


def test_a_legacy_image_is_not_asked_to_hold():
    bird = Bird(True)
    backend = guarded(bird)
    backend.prepare(preparation(Kind(isolation=Isolation.NONE)))
    assert bird.sang == []


def test_it_is_tried_at_the_start_and_again_and_again():
    bird, stopping = Bird(True), Stop()
    backend = guarded(bird, interval_s=0.01)
    backend.keep(stopping)
    try:
        eventually(lambda: len(bird.sang) >= 3)
    finally:
        stopping.set()


def test_a_crash_of_the_canary_itself_is_no_living_one():
    def crash(_backend, _kind):
        raise RuntimeError("a bug")

    stopping = Stop()
    backend = CanaryBackend(FakeBackend(), sing=crash, first_s=0.01, retry_s=60)
    backend.keep(stopping)
    try:
        with pytest.raises(SandboxUnavailable):
            backend.run(REQUEST)
    finally:
        stopping.set()
