"""One turn against a real server: what is leased, renewed, answered and given back."""

from __future__ import annotations

import json
import logging
import threading

import pytest

from grader_worker.assignments import OwnAssignment
from grader_worker.errors import ServerUnreachable
from grader_worker.sandbox_gate import SandboxGate
from grader_worker.turn import Grader, Pace, TurnEnd
from grader_worker.xqueue_client import XQueueClient
from sandbox.errors import GraderNotUsable, SandboxUnavailable
from tests.worker.fakes import LocalBackend, Sleeper, account, assignment, eventually, result


class Turns:
    """A grader with an open gate, and what it is made of."""

    def __init__(self, xqueue, **pace):
        self.xqueue = xqueue
        self.backend = LocalBackend()
        self.gate = SandboxGate(self.backend)
        self.sleeper = Sleeper()
        self.client = XQueueClient(account(xqueue))
        self.times = iter(range(0, 100_000, 100))
        self.grader = Grader(
            self.client,
            [OwnAssignment(assignment())],
            sandbox=self.backend,
            gate=self.gate,
            pace=Pace(**{"renew_every_s": 0.02, "wait_s": 1} | pace),
            sleep=self.sleeper,
            clock=lambda: next(self.times),
        )

    def take(self):
        return self.grader.take_turn()


@pytest.fixture
def turns(xqueue):
    turns = Turns(xqueue)
    yield turns
    turns.client.close()


def test_an_empty_queue_is_an_empty_turn(turns):
    assert turns.take() is TurnEnd.EMPTY


def test_a_submission_is_graded_and_its_result_put(turns):
    number = turns.xqueue.submit()
    assert turns.take() is TurnEnd.REPORTED
    assert turns.xqueue.results[number]["score"] == 1.0


def test_the_header_goes_back_verbatim(turns):
    turns.xqueue.submit()
    turns.take()
    assert json.loads(turns.xqueue.asked("put_result")[0]["xqueue_header"]) == {
        "submission_id": 1,
        "submission_key": "key-1",
    }


def test_every_line_about_a_submission_carries_its_trace(turns, caplog):
    turns.xqueue.traceparent = f"00-{'ab' * 16}-{'cd' * 8}-01"
    turns.xqueue.submit()
    with caplog.at_level(logging.INFO, "grader_worker"):
        turns.take()
    about = [record.facts for record in caplog.records if "submission" in record.facts]
    assert len(about) == len(("leased", "turn-ended"))
    assert {facts["trace_id"] for facts in about} == {"ab" * 16}


def test_how_long_it_took_goes_with_the_result(turns):
    """The clock goes on by 100 s whenever it is looked at."""
    turns.backend.behave = lambda _request: result(phases_ms={"prepare": 5.0, "run": 250.0})
    number = turns.xqueue.submit()
    turns.take()
    told = turns.xqueue.records[number]
    assert told == {"tests": [], "prepare_ms": 99_750.0, "run_ms": 250.0}


def test_the_lease_is_renewed_while_grading(turns):
    def grading(_request):
        turns.xqueue.until(lambda xqueue: xqueue.renewals >= 2)
        return result()

    turns.backend.behave = grading
    number = turns.xqueue.submit()
    turns.take()
    assert number in turns.xqueue.results
    assert turns.xqueue.asked("renew_lease")[0]["lease_s"] == "30"


def test_a_result_whose_lease_was_lost_is_not_posted(turns):
    def grading(_request):
        turns.xqueue.lost = True
        turns.xqueue.until(lambda xqueue: xqueue.asked("renew_lease"))
        # The answer has still to reach the renewal's thread.
        eventually(lambda: not any(t.name == "renewal" for t in threading.enumerate()))
        return result()

    turns.backend.behave = grading
    turns.xqueue.submit()
    assert turns.take() is TurnEnd.ABANDONED
    assert turns.xqueue.asked("put_result") == []


def test_renewals_that_fail_do_not_cost_the_result(turns):
    def grading(_request):
        turns.xqueue.broken["renew_lease"] = [503, 503, 503]
        turns.xqueue.until(lambda xqueue: len(xqueue.asked("renew_lease")) >= 3)
        return result()

    turns.backend.behave = grading
    turns.xqueue.submit()
    assert turns.take() is TurnEnd.REPORTED


def test_a_put_that_fails_is_repeated_with_growing_pauses(turns):
    number = turns.xqueue.submit()
    turns.xqueue.broken["put_result"] = [500, 502, 503]
    assert turns.take() is TurnEnd.REPORTED
    assert number in turns.xqueue.results
    assert len(turns.sleeper.pauses) == 3
    bodies = {fields["xqueue_body"] for fields in turns.xqueue.asked("put_result")}
    assert len(bodies) == 1


def test_a_put_is_given_up_after_its_bound(xqueue):
    turns = Turns(xqueue, result_bound_s=250)
    xqueue.submit()
    xqueue.broken["put_result"] = [503] * 50
    assert turns.take() is TurnEnd.ABANDONED
    assert len(xqueue.asked("put_result")) == 4


def test_a_put_that_is_refused_for_its_key_is_not_repeated(new_xqueue):
    xqueue = new_xqueue(extensions="")
    turns = Turns(xqueue)
    turns.backend.behave = lambda _request: setattr(xqueue, "lost", True) or result()
    xqueue.submit()
    assert turns.take() is TurnEnd.ABANDONED
    assert len(xqueue.asked("put_result")) == 1


def test_a_broken_grader_is_reported_and_the_gate_stays_open(turns):
    turns.backend.behave = raising(GraderNotUsable("no such image"))
    number = turns.xqueue.submit()
    assert turns.take() is TurnEnd.REPORTED
    assert turns.xqueue.failures[number] == ("grader", "unusable grader: no such image")
    assert turns.xqueue.results == {}
    assert turns.gate.is_open


def test_a_broken_sandbox_releases_the_lease_and_closes_the_gate(turns):
    turns.backend.behave = raising(SandboxUnavailable("docker is away"))
    number = turns.xqueue.submit()
    assert turns.take() is TurnEnd.RELEASED
    assert turns.xqueue.failures[number] == ("platform", "sandbox: docker is away")
    assert turns.xqueue.results == {}
    assert not turns.gate.is_open


@pytest.mark.parametrize("error", [GraderNotUsable("g"), SandboxUnavailable("s")])
def test_a_server_without_our_extensions_gets_no_reply_when_there_is_no_grade(new_xqueue, error):
    foreign = new_xqueue(extensions="")
    turns = Turns(foreign)
    turns.backend.behave = raising(error)
    foreign.submit()
    assert turns.take() in (TurnEnd.ABANDONED, TurnEnd.RELEASED)
    asked = {endpoint for endpoint, _ in foreign.requests}
    assert asked == {"login", "get_submission"}


def test_a_server_without_our_extensions_is_not_asked_to_renew(new_xqueue):
    foreign = new_xqueue(extensions="")
    turns = Turns(foreign)
    turns.backend.behave = lambda _request: threading.Event().wait(0.1) or result()
    foreign.submit()
    assert turns.take() is TurnEnd.REPORTED
    assert foreign.renewals == 0


def test_a_failure_that_is_not_taken_is_repeated_a_few_times(turns):
    turns.backend.behave = raising(GraderNotUsable("g"))
    turns.xqueue.submit()
    turns.xqueue.broken["put_failure"] = [503] * 10
    assert turns.take() is TurnEnd.ABANDONED
    assert len(turns.xqueue.asked("put_failure")) == 3


def test_nothing_is_leased_while_the_sandbox_is_down(turns):
    turns.backend.health = [turns.backend.health[0].__class__(healthy=False, problems=("down",))]
    turns.sleeper.stop_after = 5
    turns.xqueue.submit()
    assert turns.take() is TurnEnd.STOPPED
    assert turns.xqueue.requests == []
    assert turns.backend.checks == 5


def test_who_is_told_to_stop_leases_nothing(turns):
    """To lease and give back would cost the submission a platform failure and a back-off."""
    turns.xqueue.submit()
    turns.gate.check()
    turns.sleeper.stopped = True
    assert turns.take() is TurnEnd.STOPPED
    assert turns.xqueue.requests == []


def test_a_submission_that_arrives_when_stopping_is_given_back(turns, monkeypatch):
    number = turns.xqueue.submit()
    ask = turns.client.get_submission

    def be_stopped_meanwhile(*arguments, **options):
        turns.sleeper.stopped = True
        return ask(*arguments, **options)

    monkeypatch.setattr(turns.client, "get_submission", be_stopped_meanwhile)
    assert turns.take() is TurnEnd.STOPPED
    assert turns.xqueue.failures[number][0] == "platform"
    assert turns.backend.requests == []


def test_a_result_is_offered_once_more_when_stopping(turns):
    number = turns.xqueue.submit()
    turns.sleeper.stop_after = 1
    turns.xqueue.broken["put_result"] = [503]
    assert turns.take() is TurnEnd.REPORTED
    assert number in turns.xqueue.results


def test_a_server_that_can_not_be_asked_is_the_callers_trouble(turns):
    turns.client.login()
    turns.xqueue.broken["get_submission"] = [500]
    with pytest.raises(ServerUnreachable):
        turns.take()


def raising(error):
    def behave(_request):
        raise error

    return behave
