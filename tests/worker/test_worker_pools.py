"""Queues that are served together: in the server's order, or in turn where it knows of one."""

from __future__ import annotations

import pytest

from grader_worker.errors import RequestRefused, ServerUnreachable, SettingsError
from grader_worker.leasing import REFUSED_S, Leases
from grader_worker.pool import MOST_QUEUES
from grader_worker.xqueue_client import XQueueClient
from tests.worker.fakes import FakeXQueue, account, eventually, pool
from tests.worker.running import listening, nudge

ENDPOINT = "get_submission"


class Book:
    """Assignments of one queue."""

    asks_server = False

    def __init__(self, queue):
        self.queue = queue
        self.is_ready = True

    def ready(self):
        return self.is_ready


class Taking:
    def __init__(self, xqueue, *queues):
        self.xqueue = xqueue
        self.client = XQueueClient(account(xqueue))
        self.books = [Book(queue) for queue in queues]
        self.leases = Leases(self.client, self.books, wait_s=1)

    def take(self, *, long_poll=False):
        leased = self.leases.next(long_poll=long_poll)
        return leased and (int(leased.lease.submission_id), leased.assignments.queue)


@pytest.fixture
def taking(xqueue):
    taking = Taking(xqueue, "a", "b")
    taking.client.login()
    yield taking
    taking.client.close()


@pytest.fixture
def in_turn(new_xqueue):
    taking = Taking(new_xqueue(extensions="wait, renew, lease"), "a", "b", "c")
    yield taking
    taking.client.close()


def test_the_server_is_asked_for_all_of_them_and_says_which_it_took(taking):
    numbers = [taking.xqueue.submit(queue=queue) for queue in ("b", "a", "b")]
    assert [taking.take() for _ in range(4)] == [
        (numbers[0], "b"),
        (numbers[1], "a"),
        (numbers[2], "b"),
        None,
    ]
    asked = taking.xqueue.asked("get_submission")
    assert [fields["queue_name"] for fields in asked] == ["a,b"] * 4


def test_one_long_poll_waits_for_all_of_them(taking):
    taking.take(long_poll=True)
    assert taking.xqueue.asked("get_submission")[-1]["wait"] == "1"


def test_only_those_that_are_ready_are_asked_for(taking):
    taking.books[0].is_ready = False
    number = taking.xqueue.submit(queue="b")
    taking.xqueue.submit(queue="a")
    assert taking.take() == (number, "b")
    assert taking.take() is None
    taking.books[1].is_ready = False
    assert not taking.leases.are_ready()


def test_a_server_that_does_not_say_which_it_took_is_not_believed(taking):
    number = taking.xqueue.submit()
    taking.xqueue.queue_of = Anything("c")
    with pytest.raises(ServerUnreachable, match="which of the queues"):
        taking.take()
    assert number in taking.xqueue.keys


class Anything(dict):
    """Of any submission: asked for among "a" and "b", said to be of another."""

    def __init__(self, said):
        self.said = said

    def get(self, _number, default=None):
        return self.said if default else None


def test_a_server_that_knows_of_one_is_asked_in_turn_and_none_is_starved(in_turn):
    for queue in ("a", "a", "b", "c", "a"):
        in_turn.xqueue.submit(queue=queue)
    taken = [in_turn.take() for _ in range(6)]
    assert [each and each[1] for each in taken] == ["a", "b", "c", "a", "a", None]
    assert all("," not in each["queue_name"] for each in in_turn.xqueue.asked("get_submission"))


def test_asking_in_turn_is_never_held(in_turn):
    in_turn.client.login()
    assert in_turn.take(long_poll=True) is None
    assert all("wait" not in each for each in in_turn.xqueue.asked("get_submission"))


@pytest.mark.parametrize("kind", ["taking", "in_turn"])
def test_a_queue_that_the_server_refuses_does_not_starve_the_others(kind, request):
    taking = request.getfixturevalue(kind)
    taking.client.login()
    now = 0.0
    taking.books[0] = Book("unknown")
    taking.leases = Leases(taking.client, taking.books, wait_s=1, clock=lambda: now)
    numbers = [taking.xqueue.submit(queue="b") for _ in range(2)]
    assert [taking.take() for _ in range(2)] == [(number, "b") for number in numbers]

    def asked_for_it():
        return sum("unknown" in each["queue_name"] for each in taking.xqueue.asked(ENDPOINT))

    before = asked_for_it()
    assert taking.take() is None
    assert asked_for_it() == before
    now += REFUSED_S
    assert taking.take() is None
    assert asked_for_it() > before


def test_where_the_server_refuses_all_queues_that_is_said(in_turn):
    in_turn.books[:] = [Book("unknown"), Book("unknown")]
    in_turn.leases = Leases(in_turn.client, in_turn.books, wait_s=1)
    for _ in range(2):
        with pytest.raises(RequestRefused, match="not found"):
            in_turn.take()


def test_a_pool_has_queues_of_one_server_and_one_kind():
    one, other = FakeXQueue(url="http://one"), FakeXQueue(url="http://other")
    mixed = (*pool(one).queues, *pool(other).queues)
    with pytest.raises(SettingsError, match="of one server"):
        type(pool(one))(name="x", queues=mixed)
    with pytest.raises(SettingsError, match="at most"):
        pool(one, *(f"q{n}" for n in range(MOST_QUEUES + 1)))


def test_a_nudge_for_any_queue_makes_a_pools_worker_grade_all(run, redis, xqueue, sandboxd_process):
    sandboxd_process()
    workers = run(redis.url, "--queue", "java", "--together")
    eventually(lambda: listening(redis) == 1)
    assert [pool["name"] for pool in workers.status()["pools"]] == ["python+java"]
    for queue in ("java", "python"):
        numbers = [xqueue.submit(queue=each) for each in ("python", "java")]
        nudge(redis, args=(queue,), queue=queue)
        xqueue.until(lambda xqueue, numbers=numbers: set(numbers) <= xqueue.results.keys())
    workers.control.scale({"java": 2})
    workers.until(lambda found: len(found) == 2)
