"""The fake answers from its script and never by accident."""

import pytest

from sandbox.backends.fake import FakeBackend, a_result
from sandbox.errors import SandboxUnavailable
from sandbox.probe.script import one_run, probe_request

REQUEST = probe_request(one_run())


def test_it_answers_in_order_and_remembers_what_was_asked():
    backend = FakeBackend([a_result(score=1), SandboxUnavailable("down"), a_result(score=0)])
    assert backend.run(REQUEST).reports[0].score == 1
    with pytest.raises(SandboxUnavailable):
        backend.run(REQUEST)
    assert backend.run(REQUEST).reports[0].score == 0
    assert backend.requests == [REQUEST] * 3


def test_it_can_ask_a_function():
    backend = FakeBackend(lambda request: a_result(detail=request.run_id))
    assert backend.run(REQUEST).detail == REQUEST.run_id


def test_a_script_that_ran_out_is_a_mistake_and_not_a_result():
    with pytest.raises(AssertionError, match=REQUEST.run_id):
        FakeBackend().run(REQUEST)


def test_it_can_be_unhealthy():
    assert FakeBackend(problems=("no",)).check().problems == ("no",)
