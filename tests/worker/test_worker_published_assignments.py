"""Which published version grades a lease, through whole turns at a server."""

from __future__ import annotations

import pytest

from grader_worker.errors import RequestRefused
from grader_worker.lease import Lease, NamedGrader, parse_lease
from grader_worker.published.assignments import PublishedAssignments
from grader_worker.published.grader_cache import BundleCache, VersionCache
from grader_worker.published.server_api import ServerApi, published_grader
from grader_worker.sandbox_gate import SandboxGate
from grader_worker.shared_flag import SharedFlag
from grader_worker.turn import Grader, Pace, TurnEnd
from grader_worker.xqueue_client import XQueueClient
from sandbox.errors import SandboxUnavailable
from sandbox.run import DirectoryGrader, ImageGrader, Isolation
from tests.worker.fake_api import named, square_grader
from tests.worker.fakes import LocalBackend, Sleeper, account, report, result

PINNED = f"registry.example.org/square@sha256:{'1' * 64}"


class Turns:
    """A worker of the queue `python` without a grader of its own."""

    def __init__(self, xqueue, cache):
        self.xqueue = xqueue
        self.api = xqueue.api
        self.backend = LocalBackend(lambda _request: result(report(test_id="three")))
        self.flag = SharedFlag()
        self.flag.set(True)
        self.client = XQueueClient(account(xqueue))
        self.assignments = PublishedAssignments(
            "python",
            ServerApi(self.client),
            bundles=BundleCache(cache),
            versions=VersionCache(cache, server=xqueue.url),
            flag=self.flag,
        )
        self.gate = SandboxGate(self.backend)
        self.grader = Grader(
            self.client,
            [self.assignments],
            sandbox=self.backend,
            gate=self.gate,
            pace=Pace(renew_every_s=0.02, wait_s=1),
            sleep=Sleeper(),
        )

    def grade(self, document=None):
        """One submission, of which the server says that this version is to grade it."""
        if document is not None:
            self.xqueue.grader = named(document)
        number = self.xqueue.submit()
        return number, self.grader.take_turn()

    def graded_by(self):
        """The `returns` in the grader.yaml of the last run."""
        text = (self.backend.requests[-1].grader.path / "grader.yaml").read_text()
        return int(text.rpartition("returns: ")[2].rstrip("}\n "))


@pytest.fixture
def turns(xqueue, tmp_path):
    turns = Turns(xqueue, tmp_path / "cache")
    yield turns
    turns.client.close()


@pytest.fixture
def publish(turns, tmp_path):
    def publish(returns=9, version=1, **options):
        directory = square_grader(tmp_path / f"{returns}-{version}", returns=returns, **options)
        return turns.api.publish(directory, version=version)

    return publish


def test_the_named_version_grades_and_its_record_goes_with_the_result(turns, publish):
    number, end = turns.grade(publish())
    assert end is TurnEnd.REPORTED
    assert turns.xqueue.results[number]["correct"] is True
    assert turns.xqueue.records[number]["tests"] == [{"id": "three", "status": "passed"}]
    request = turns.backend.requests[0]
    assert isinstance(request.grader, DirectoryGrader)
    assert [test.test_id for test in request.tests] == ["three"]


def test_a_version_is_asked_for_and_fetched_once(turns, publish):
    document = publish()
    for _ in range(3):
        turns.grade(document)
    assert turns.api.asked.count("GET assignments/python/square/1") == 1
    assert len([path for path in turns.api.asked if "bundles" in path]) == 1


def test_nothing_is_leased_before_the_host_is_ready(turns, publish):
    turns.flag.set(False)
    assert turns.grade(publish())[1] is TurnEnd.NOT_READY
    assert turns.xqueue.asked("get_submission") == []


def test_a_queue_without_published_graders_keeps_its_submissions(turns):
    assert turns.grade()[1] is TurnEnd.EMPTY
    assert turns.xqueue.asked("get_submission")[-1]["grader"] == "only"


def test_a_rollback_counts_from_the_next_lease_on(turns, publish):
    first, second = publish(9), publish(10, version=2)
    seen = []
    for document in (first, second, first):
        turns.grade(document)
        seen.append(turns.graded_by())
    assert seen == [9, 10, 9]


def test_what_is_being_graded_keeps_its_version_when_another_is_published(turns, publish):
    first = publish(9)
    during = []

    def grading(_request):
        turns.xqueue.grader = named(publish(10, version=2))
        during.append(turns.graded_by())
        return result(report(test_id="three"))

    turns.backend.behave = grading
    number, end = turns.grade(first)
    assert (during, end) == ([9], TurnEnd.REPORTED)
    assert number in turns.xqueue.results
    header = turns.xqueue.asked("put_result")[0]["xqueue_header"]
    assert '"version": 1' in header


def test_several_graders_of_one_queue_take_turns(turns, publish, tmp_path):
    square, cube = publish(9), publish(27, name="cube")
    seen = []
    for document in (square, cube, square):
        turns.grade(document)
        seen.append(turns.graded_by())
    assert seen == [9, 27, 9]


def test_a_number_that_a_restored_server_gave_out_twice_is_not_mistaken(turns, publish):
    turns.grade(publish(9))
    turns.grade(publish(10))
    assert turns.graded_by() == 10


def test_a_version_that_is_not_what_the_lease_names_is_not_run(turns, publish):
    document = publish(9)
    number, end = turns.grade({**document, "digest": "sha256:" + "0" * 64})
    assert end is TurnEnd.RELEASED
    assert turns.xqueue.failures[number][0] == "platform"
    assert turns.backend.requests == []


def test_a_bundle_that_can_not_be_fetched_now_is_the_platforms_failure(turns, publish):
    document = publish()
    turns.api.broken["bundles"] = [503]
    number, end = turns.grade(document)
    assert end is TurnEnd.RELEASED
    assert turns.xqueue.failures[number][0] == "platform"
    assert turns.grade(document)[1] is TurnEnd.REPORTED
    assert turns.gate.is_open


def test_bytes_that_came_damaged_are_the_platforms_failure(turns, publish):
    document = publish()
    whole = turns.api.bundles[document["digest"]]
    turns.api.bundles[document["digest"]] = whole[:-10]
    number, end = turns.grade(document)
    assert end is TurnEnd.RELEASED
    assert turns.xqueue.failures[number][0] == "platform"
    assert turns.xqueue.results == {}


def test_a_full_disk_is_the_platforms_failure(turns, publish, tmp_path):
    (tmp_path / "cache").write_text("in the way")
    number, end = turns.grade(publish())
    assert end is TurnEnd.RELEASED
    assert turns.xqueue.failures[number][0] == "platform"
    assert turns.gate.is_open


def test_a_manifest_that_can_not_be_read_is_the_graders_fault(turns, publish):
    document = publish()
    document["manifest"]["format"] = 99
    number, end = turns.grade(document)
    assert end is TurnEnd.REPORTED
    assert turns.xqueue.failures[number][0] == "grader"
    assert "another version of the kit" in turns.xqueue.failures[number][1]


def test_a_trial_brings_its_own_assignment_and_is_prepared_first(turns, tmp_path):
    directory = square_grader(tmp_path / "trial")
    document = turns.api.publish_image(directory, PINNED, version=0)
    turns.api.versions["trials/5/assignment"] = document
    prepared = []
    turns.backend.prepare = lambda preparation: prepared.append(preparation.grader)
    turns.xqueue.grader = named(document) | {"trial": 5}
    number, end = turns.grade()
    assert end is TurnEnd.REPORTED
    assert prepared == [ImageGrader(image=PINNED)]
    assert turns.backend.requests[0].grader == prepared[0]
    assert turns.xqueue.records[number]["tests"][0]["id"] == "three"


def test_a_trial_whose_image_can_not_be_fetched_does_not_close_the_host(turns, tmp_path):
    document = turns.api.publish_image(square_grader(tmp_path / "trial"), PINNED, version=0)
    turns.api.versions["trials/5/assignment"] = document

    def refuse(_preparation):
        raise SandboxUnavailable("no access")

    turns.backend.prepare = refuse
    turns.xqueue.grader = named(document) | {"trial": 5}
    assert turns.grade()[1] is TurnEnd.RELEASED
    assert turns.gate.is_open


def test_a_forgeable_grader_runs_only_because_the_server_hands_it_out(turns, publish):
    document = publish()
    document["manifest"]["isolation"] = "none"
    turns.grade(document)
    assert turns.backend.requests[0].isolation is Isolation.NONE


CHOSEN = {"isolation": "split-container", "runtime": "runsc"}


def test_what_the_operator_chose_counts_from_the_next_lease_on(turns, publish):
    document = publish()
    for chosen in (None, CHOSEN, {"isolation": "box", "runtime": None}, None):
        turns.xqueue.grader = named(document) | ({"queue_isolation": chosen} if chosen else {})
        assert turns.grade()[1] is TurnEnd.REPORTED
    assert [(r.isolation, r.runtime) for r in turns.backend.requests] == [
        (None, None),
        (Isolation.SPLIT_CONTAINER, "runsc"),
        (Isolation.BOX, None),
        (None, None),
    ]
    assert turns.api.asked.count("GET assignments/python/square/1") == 1


def test_what_was_listed_with_a_version_does_not_outlive_it(turns, publish):
    """The keeper remembers a version as it was listed, with the choice of that moment."""
    document = publish()
    turns.assignments._versions.remember_version(
        published_grader(document | {"queue_isolation": CHOSEN})
    )
    turns.grade(document)
    assert turns.backend.requests[0].isolation is None


def test_a_grader_that_demands_an_isolation_keeps_it(turns, publish):
    document = publish()
    document["manifest"] |= {"isolation": "split-uid", "runtime": "runc"}
    turns.xqueue.grader = named(document) | {"queue_isolation": CHOSEN}
    turns.grade()
    [request] = turns.backend.requests
    assert (request.isolation, request.runtime) == (Isolation.SPLIT_UID, "runc")


@pytest.mark.parametrize("isolation", ["none", "of a later version"])
def test_a_choice_that_this_worker_does_not_know_is_released(turns, publish, isolation):
    document = publish()
    turns.xqueue.grader = named(document) | {"queue_isolation": {"isolation": isolation}}
    number, end = turns.grade()
    assert end is TurnEnd.RELEASED
    assert turns.xqueue.failures[number][0] == "platform"
    assert turns.backend.requests == []


def test_a_trial_runs_as_the_operator_chose(turns, tmp_path):
    document = turns.api.publish_image(square_grader(tmp_path / "trial"), PINNED, version=0)
    turns.api.versions["trials/5/assignment"] = document
    prepared = []
    turns.backend.prepare = prepared.append
    turns.xqueue.grader = named(document) | {"trial": 5, "queue_isolation": CHOSEN}
    turns.grade()
    assert [(p.isolation, p.runtime) for p in prepared] == [(Isolation.SPLIT_CONTAINER, "runsc")]
    assert turns.backend.requests[0].isolation is Isolation.SPLIT_CONTAINER


def test_a_lease_that_names_no_grader_is_not_graded(turns):
    with pytest.raises(RequestRefused, match="no published grader"):
        turns.assignments.of(Lease(header="{}", submission_id="1", body="{}"))


def test_a_header_names_the_whole_version():
    facts = {"submission_id": 1, "submission_key": "k"}
    said = {"name": "square", "version": 3, "digest": "sha256:0", "image": None}
    lease = parse_lease({"xqueue_header": facts | {"grader": said}, "xqueue_body": "{}"})
    assert lease.grader == NamedGrader(name="square", version=3, digest="sha256:0")
