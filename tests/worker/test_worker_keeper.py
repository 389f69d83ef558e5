"""The keeper's rounds: what is published becomes ready before a learner waits, or it is said why
not; one grader's trouble is never another's."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

import pytest

from grader_worker.assignment import ServedQueue
from grader_worker.errors import LoginRefused, ServerUnreachable
from grader_worker.event_log import JsonFormatter
from grader_worker.published import keeper as keeper_module
from grader_worker.published.grader_cache import BundleCache, VersionCache
from grader_worker.published.keeper import Keeper
from grader_worker.published.publications import Publications
from grader_worker.shared_flag import SharedFlag
from sandbox.errors import GraderNotUsable, SandboxUnavailable
from sandbox.run import DirectoryGrader, ImageGrader, Isolation
from tests.worker.fake_api import square_grader
from tests.worker.fakes import LocalBackend, Sleeper, account, assignment

PINNED = f"registry.example.org/cube@sha256:{'1' * 64}"


class Preparing(LocalBackend):
    """`troubles`: what preparing a grader of that image, or any directory (""), raises."""

    def __init__(self):
        super().__init__()
        self.prepared = []
        self.isolations = []
        self.image_created = None
        self.troubles = {}

    def prepare(self, preparation):
        grader = preparation.grader
        trouble = self.troubles.get(grader.image if isinstance(grader, ImageGrader) else "")
        if trouble is not None:
            raise trouble
        self.prepared.append(grader)
        self.isolations.append(preparation.isolation)
        return self.image_created


class Kept:
    """A keeper of the queue `python`, and all it is made of."""

    def __init__(self, xqueue, tmp_path, sleeper=None):
        self.api = xqueue.api
        self.sandbox = Preparing()
        self.flag = SharedFlag()
        self.cache = tmp_path / "cache"
        self.sleeper = sleeper or Sleeper()
        self.keeper = Keeper(
            account(xqueue),
            {"python": self.flag},
            sandbox=self.sandbox,
            bundles=BundleCache(self.cache),
            versions=VersionCache(self.cache, server=xqueue.url),
            sleep=self.sleeper,
            host="grading-1",
            rand=lambda: 0.5,
        )
        self.look = self.keeper.look

    def keep(self, rounds):
        self.sleeper.stop_after, self.sleeper.stopped = rounds, False
        self.sleeper.pauses.clear()
        self.keeper.keep_until_stopped()


@pytest.fixture
def kept(xqueue, tmp_path):
    kept = Kept(xqueue, tmp_path)
    yield kept
    kept.keeper._client.close()


@pytest.fixture
def square(tmp_path):
    return square_grader(tmp_path / "square")


@pytest.fixture
def cube(tmp_path):
    return square_grader(tmp_path / "cube", name="cube")


def test_a_published_grader_is_fetched_prepared_and_reported(kept, square):
    kept.api.publish(square)
    assert not kept.flag.is_set
    kept.look()
    [grader] = kept.sandbox.prepared
    assert isinstance(grader, DirectoryGrader)
    assert (grader.path / "grader.yaml").is_file()
    assert kept.flag.is_set
    assert kept.api.reports[0]["host"] == "grading-1"
    assert kept.api.reported() == {("square", 1): None}


def test_when_the_base_of_its_image_was_made_is_reported(kept, square):
    kept.sandbox.image_created = datetime(2026, 1, 1, tzinfo=UTC)
    kept.api.publish(square)
    kept.look()
    (item,) = kept.api.reports[0]["items"]
    assert item["image_created"] == "2026-01-01T00:00:00+00:00"


def test_slots_are_prepared_for_the_isolation_that_the_operator_chose(kept, square):
    document = kept.api.publish(square)
    kept.look()
    kept.api.active = [document | {"queue_isolation": {"isolation": "box", "runtime": None}}]
    kept.look()
    assert kept.sandbox.isolations == [None, Isolation.BOX]
    assert kept.flag.is_set


def test_a_round_without_news_prepares_again_and_reports_nothing(kept, square):
    kept.api.publish(square)
    kept.look()
    kept.look()
    assert len(kept.sandbox.prepared) == 2
    assert len(kept.api.reports) == 1


def test_after_a_while_it_is_reported_all_the_same(kept, square, monkeypatch):
    monkeypatch.setattr(keeper_module, "REPORT_EVERY_S", 40.0)
    kept.api.publish(square)
    kept.keep(rounds=6)
    assert kept.sleeper.pauses == [15.0] * 6
    assert len(kept.api.reports) == 2


def test_nothing_published_leaves_the_queue_open_for_trials(kept):
    kept.look()
    assert kept.flag.is_set
    assert kept.api.reports == []


@pytest.mark.parametrize(
    "trouble",
    [SandboxUnavailable("no access to the registry"), GraderNotUsable("open to learners")],
)
def test_what_can_not_be_prepared_is_not_ready_and_says_why(kept, cube, trouble):
    kept.api.publish_image(cube, PINNED)
    kept.sandbox.troubles[PINNED] = trouble
    kept.look()
    assert not kept.flag.is_set
    assert kept.api.reported() == {("cube", 1): str(trouble)}
    del kept.sandbox.troubles[PINNED]
    kept.look()
    assert kept.flag.is_set
    assert kept.api.reported() == {("cube", 1): None}


@pytest.mark.parametrize(
    "fault", ["damaged", "too large", "gone", "not delivered", "of another kit"]
)
def test_one_graders_trouble_is_not_anothers(kept, square, cube, fault, tmp_path):
    broken = kept.api.publish(square, default=False)
    kept.api.publish(cube)
    if fault == "damaged":
        kept.api.bundles[broken["digest"]] = b"something else"
    if fault == "too large":
        kept.api.bundles[broken["digest"]] = bytes(9 * 1024 * 1024)
    if fault == "gone":
        del kept.api.bundles[broken["digest"]]
    if fault == "not delivered":
        kept.api.broken["bundles"] = [500]
    if fault == "of another kit":
        kept.api.active[0]["manifest"]["format"] = 99
    kept.look()
    problems = kept.api.reported()
    assert problems[("cube", 1)] is None
    assert problems[("square", 1)] not in (None, keeper_module.CRASHED)
    assert kept.flag.is_set


def test_a_backend_that_crashes_over_one_grader_is_not_ready_for_that_one(kept, square, cube):
    kept.api.publish(square)
    kept.api.publish_image(cube, PINNED, default=False)
    kept.sandbox.troubles[PINNED] = ZeroDivisionError("of ours")
    kept.look()
    assert kept.api.reported() == {("square", 1): None, ("cube", 1): keeper_module.CRASHED}
    assert kept.flag.is_set


def test_images_come_last_and_the_flag_of_what_is_ready_goes_up_before(kept, square, cube):
    kept.api.publish_image(cube, PINNED, default=False)
    kept.api.publish(square)
    seen = []
    prepare = kept.sandbox.prepare

    def note(preparation):
        seen.append((type(preparation.grader), kept.flag.is_set))
        return prepare(preparation)

    kept.sandbox.prepare = note
    kept.look()
    assert seen == [(DirectoryGrader, False), (ImageGrader, True)]


def test_a_full_disk_is_said_and_not_the_end_of_the_round(kept, square, cube):
    kept.cache.write_text("in the way")
    kept.api.publish(square)
    kept.api.publish_image(cube, PINNED, default=False)
    kept.look()
    assert "cache of graders" in kept.api.reported()[("square", 1)]
    assert kept.api.reported()[("cube", 1)] is None
    assert not kept.flag.is_set


def test_another_queues_grader_is_not_ours(kept, square):
    kept.api.publish(square, queue="java")
    kept.look()
    assert kept.sandbox.prepared == []


def test_a_server_that_is_gone_and_comes_back_changes_nothing(kept, square, tmp_path):
    kept.api.publish(square)
    kept.look()
    kept.api.broken["assignments"] = [503, 502, 500]
    for _ in range(3):
        with pytest.raises(ServerUnreachable):
            kept.look()
        assert kept.flag.is_set
    kept.api.publish(square_grader(tmp_path / "new", returns=10), version=2)
    kept.look()
    assert kept.api.reported()[("square", 2)] is None


def test_pauses_grow_while_the_server_is_in_trouble_and_start_over_after(kept):
    kept.api.broken["assignments"] = [503] * 3
    kept.keep(rounds=5)
    assert kept.sleeper.pauses == [0.75, 1.5, 3.0, 15.0, 15.0]


def test_a_report_that_was_not_taken_is_sent_again(kept, square):
    kept.api.publish(square)
    kept.api.broken["readiness"] = [500]
    with pytest.raises(ServerUnreachable):
        kept.look()
    assert kept.flag.is_set
    kept.look()
    assert kept.api.reported() == {("square", 1): None}


def test_a_refused_login_ends_the_round(xqueue, kept, square):
    kept.api.publish(square)
    xqueue.sessions_stick = False
    with pytest.raises(LoginRefused):
        kept.look()
    assert not kept.flag.is_set


def test_once_an_hour_the_cache_is_tidied(kept, square, monkeypatch):
    forgotten = []
    monkeypatch.setattr(BundleCache, "forget_unused", lambda _self: forgotten.append(1) or 1)
    monkeypatch.setattr(keeper_module, "TIDY_EVERY_S", 40.0)
    kept.keep(rounds=7)
    assert len(forgotten) == 2


def test_what_became_ready_or_not_is_logged_once_and_without_secrets(xqueue, kept, square, caplog):
    caplog.set_level(logging.INFO, logger="grader_worker")
    kept.api.publish(square)
    kept.api.broken["assignments"] = [500]
    kept.sandbox.troubles[""] = SandboxUnavailable("docker is away")
    kept.keep(rounds=2)
    kept.sandbox.troubles.clear()
    kept.keep(rounds=2)
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    events = [line["event"] for line in lines if line["event"] != "library"]
    assert events == ["assignments-trouble", "grader-not-ready", "grader-ready"]
    assert xqueue.password not in caplog.text
    assert all(session not in caplog.text for session in xqueue.sessions)
    assert not any(xqueue.password in json.dumps(line) for line in lines)


def test_a_crash_does_not_end_the_keeper(kept, monkeypatch):
    def crash(_states):
        raise ZeroDivisionError

    monkeypatch.setattr(kept.keeper, "_note", crash)
    kept.keep(rounds=2)
    assert len(kept.sleeper.pauses) == 2


# Several servers and queues


def test_each_server_has_a_keeper_and_own_graders_need_none(new_xqueue, tmp_path, square):
    first, second = new_xqueue(), new_xqueue()
    served = [
        ServedQueue(account=account(first), name="python", assignment=None),
        ServedQueue(account=account(first), name="java", assignment=None),
        ServedQueue(account=account(second), name="python", assignment=None),
        ServedQueue(account=account(second), name="own", assignment=assignment("own")),
    ]
    publications = Publications(served, tmp_path / "cache")
    second.api.publish(square)
    keepers = publications.keepers(LocalBackend(), Sleeper(stop_after=1))
    for keeper in keepers:
        keeper.look()
        keeper._client.close()
    assert len(keepers) == 2
    assert first.api.asked[-1] == "GET assignments?queue=python&queue=java"
    assert second.api.reported() == {("square", 1): None}
    assert [publications.assignments_of(queue, None).ready() for queue in served] == [True] * 4
    assert not publications.assignments_of(served[3], None).asks_server


def test_a_flag_is_shared_by_those_that_ask_for_one_queue(xqueue, tmp_path):
    queue = ServedQueue(account=account(xqueue), name="python", assignment=None)
    publications = Publications([queue], tmp_path)
    first, second = (publications.assignments_of(queue, None) for _ in range(2))
    assert not first.ready()
    [keeper] = publications.keepers(LocalBackend(), Sleeper())
    keeper.look()
    keeper._client.close()
    assert first.ready()
    assert second.ready()
