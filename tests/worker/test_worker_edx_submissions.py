"""The same worker at the LMS's own XQueue: edx-submissions' real viewset, in Django."""

from __future__ import annotations

import dataclasses
import logging
import threading

import pytest

from grader_worker.assignment import Assignment, ServedQueue
from grader_worker.assignments import OwnAssignment
from grader_worker.errors import LeaseLost, LoginRefused, RequestRefused
from grader_worker.lease import Lease
from grader_worker.polling import poll_pools
from grader_worker.pool import Pool, queues_of
from grader_worker.published.publications import Publications
from grader_worker.sandbox_gate import SandboxGate
from grader_worker.server_account import ServerAccount
from grader_worker.stopping import Stop
from grader_worker.turn import Grader, Pace, TurnEnd
from grader_worker.xqueue_client import EDX_SUBMISSIONS_LEASE_S, XQueueClient
from sandbox.errors import GraderNotUsable
from sandbox.run import ImageGrader, Limits
from tests.worker.edx_submissions.peer import PASSWORD, EdxSubmissions
from tests.worker.fakes import LocalBackend, Sleeper, eventually, pool, report, result


@pytest.fixture(scope="module")
def lms(tmp_path_factory):
    lms = EdxSubmissions(tmp_path_factory.mktemp("lms") / "site")
    yield lms
    lms.close()


@pytest.fixture
def account(lms):
    return ServerAccount(url=lms.url, username="grader", password=PASSWORD, whole_points=True)


@pytest.fixture
def client(account):
    client = XQueueClient(account)
    yield client
    client.close()


def assigned(queue, **changes):
    return Assignment(queue=queue, grader=ImageGrader(image="i"), **changes)


class Worker:
    def __init__(self, client, queue, **changes):
        self.backend = LocalBackend()
        self.grader = Grader(
            client,
            [OwnAssignment(assigned(queue, **changes))],
            sandbox=self.backend,
            gate=SandboxGate(self.backend),
            pace=Pace(retry_first_s=0.01),
            sleep=Sleeper(),
        )

    def take(self):
        return self.grader.take_turn()


def test_a_submission_is_graded_from_login_to_score(lms, client):
    number = lms.submit(queue="whole")
    assert Worker(client, "whole").take() is TurnEnd.REPORTED
    assert lms.show(number) == {"status": "retired", "earned": 1, "possible": 1, "failures": 0}


def test_a_queue_that_does_not_exist_is_an_empty_one(client):
    assert Worker(client, "never-heard-of").take() is TurnEnd.EMPTY


def test_a_lost_session_is_logged_in_again(lms, client):
    number = lms.submit(queue="session")
    worker = Worker(client, "session")
    worker.backend.behave = lambda _request: lms.log_everybody_out() or result()
    assert worker.take() is TurnEnd.REPORTED
    assert lms.show(number)["status"] == "retired"


def test_a_wrong_password_is_said_so(account):
    client = XQueueClient(dataclasses.replace(account, password="wrong"))
    with pytest.raises(LoginRefused, match="Incorrect login credentials"):
        client.login()
    client.close()


@pytest.mark.parametrize(
    ("passed", "points", "earned"), [(1, 10, 3), (2, 10, 6), (3, 10, 10), (0, 10, 0), (2, 1, 0)]
)
def test_a_score_is_sent_in_whole_points_rounded_down(lms, client, passed, points, earned):
    """Parts of a point would be lost, and the learner never told."""
    number = lms.submit(queue="points", points=points)
    worker = Worker(client, "points", lms_points=points)
    reports = [report(int(n < passed), test_id=f"t{n}") for n in range(3)]
    worker.backend.behave = lambda _request: result(*reports)
    assert worker.take() is TurnEnd.REPORTED
    shown = lms.show(number)
    assert (shown["status"], shown["earned"], shown["possible"]) == ("retired", earned, points)


def test_without_whole_points_a_part_of_one_is_lost_there(lms, account):
    """Why the setting exists: the server says that all is well, and hands it out again."""
    client = XQueueClient(dataclasses.replace(account, whole_points=False))
    number = lms.submit(queue="parts", points=1)
    worker = Worker(client, "parts")
    worker.backend.behave = lambda _request: result(report(1), report(0, test_id="u"))
    assert worker.take() is TurnEnd.REPORTED
    assert lms.show(number)["status"] == "retry"
    client.close()


def test_a_wrong_key_and_an_unknown_submission_are_lost_leases(lms, client):
    number = lms.submit(queue="keys")
    lease = client.get_submission("keys")
    wrong = lease.header.replace(lease.header.rpartition(": ")[2], '"wrong"}')
    for header in (wrong, lease.header.replace(str(number), "987654")):
        with pytest.raises(LeaseLost):
            client.put_result(Lease(header=header, submission_id="1", body=""), "{}")


def test_a_reply_that_it_does_not_understand_is_refused(lms, client):
    lms.submit(queue="format")
    lease = client.get_submission("format")
    with pytest.raises(RequestRefused, match="Incorrect reply format"):
        client.put_result(lease, "not JSON")


def test_what_was_pulled_five_minutes_ago_is_handed_out_again_with_the_same_key(lms, client):
    number = lms.submit(queue="again")
    first = client.get_submission("again")
    assert client.get_submission("again") is None
    lms.pretend_pulled(number, seconds_ago=int(EDX_SUBMISSIONS_LEASE_S) + 1)
    again = client.get_submission("again")
    assert again.header == first.header
    client.put_result(first, '{"score": 1}')
    assert lms.show(number)["status"] == "retired"


def test_a_grader_that_may_take_longer_than_that_is_warned_of_once(lms, client, caplog):
    for _ in range(2):
        lms.submit(queue="slow")
    worker = Worker(client, "slow", limits=Limits(wall_s=EDX_SUBMISSIONS_LEASE_S))
    with caplog.at_level(logging.WARNING, "grader_worker"):
        assert [worker.take(), worker.take()] == [TurnEnd.REPORTED] * 2
    assert [r.message for r in caplog.records].count("grader-may-outlive-lease") == 1


def test_a_broken_grader_sends_nothing(lms, client):
    number = lms.submit(queue="broken")
    worker = Worker(client, "broken")

    def fail(_request):
        raise GraderNotUsable("no such image")

    worker.backend.behave = fail
    assert worker.take() is TurnEnd.ABANDONED
    assert lms.show(number)["status"] == "pulled"


def test_what_comes_first_for_ever_is_not_tried_without_a_pause(lms, client):
    """After five minutes without a result nothing else of its queue is handed out."""
    number = lms.submit(queue="first")
    worker = Worker(client, "first")

    def fail(_request):
        raise GraderNotUsable("no such image")

    worker.backend.behave = fail
    assert worker.take() is TurnEnd.ABANDONED
    lms.pretend_pulled(number, seconds_ago=int(EDX_SUBMISSIONS_LEASE_S) + 1)
    assert [worker.take() for _ in range(2)] == [TurnEnd.RELEASED] * 2
    worker.backend.behave = lambda _request: result()
    assert worker.take() is TurnEnd.REPORTED
    assert lms.show(number)["status"] == "retired"


def test_two_servers_of_different_kinds_are_served_by_one_process(
    lms, account, new_xqueue, backend, tmp_path
):
    reference = new_xqueue(extensions="")
    there = ServedQueue(account=account, name="both", assignment=assigned("both"))
    pools = (pool(reference), Pool(name="both", queues=(there,)))
    stop = Stop()
    thread = threading.Thread(
        target=poll_pools,
        args=(pools, Publications(queues_of(pools), tmp_path)),
        kwargs={"sandbox": backend, "gate": SandboxGate(backend), "stop": stop},
    )
    thread.start()
    try:
        at_reference, at_lms = reference.submit(), lms.submit(queue="both")
        reference.until(lambda xqueue: at_reference in xqueue.results)
        eventually(lambda: lms.show(at_lms)["status"] == "retired")
    finally:
        stop.set()
        thread.join(60)
