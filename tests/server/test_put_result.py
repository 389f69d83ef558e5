"""What becomes of a result: the issue's table, key by state, and the callback that follows."""

from __future__ import annotations

import itertools
import json
import secrets
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.server.builders import INVALID_GRADE, Desk, add_account, callback_url, grade, lms_body
from xqueue_server.errors import Conflict, NotFound, WrongKey
from xqueue_server.models.account import Role
from xqueue_server.models.submission import LeasedSubmission, SubmissionState
from xqueue_server.storage import callbacks, outbox
from xqueue_server.storage.attempts import Ending
from xqueue_server.storage.results import Disposition
from xqueue_server.submissions import holding
from xqueue_server.submissions.leasing import FailureKind
from xqueue_server.submissions.results import HANDLING, Handling, KeyStanding

K, S, H = KeyStanding, SubmissionState, Handling
MADE_OF_IT = {
    H.GRADE: Disposition.ACCEPTED,
    H.AMEND: Disposition.AMENDED,
    H.KEEP: Disposition.UNUSED,
}

TABLE = {
    (K.CURRENT, S.LEASED): H.GRADE,
    (K.ACCEPTED, S.GRADED): H.AMEND,
    (K.EXPIRED, S.QUEUED): H.GRADE,
    (K.EXPIRED, S.HELD): H.GRADE,
    (K.EXPIRED, S.LEASED): H.REFUSE,
    (K.EXPIRED, S.GRADED): H.REFUSE,
    (K.EXPIRED, S.SUPERSEDED): H.KEEP,
    (K.EXPIRED, S.GIVEN_UP): H.KEEP,
}
WHILE_REGRADED = {(K.ACCEPTED, S.QUEUED): H.AMEND, (K.ACCEPTED, S.LEASED): H.AMEND}
"""What can only be while a graded submission is graded anew (tests/repair/test_regrading.py)."""
"""Written a second time, from the issue. A foreign key is refused in every state."""
REACHABLE = [*TABLE, *((K.FOREIGN, state) for state in S)]
OTHER = grade(0, correct=False, msg="<p>No</p>")


@pytest.mark.parametrize(
    ("standing", "state"), list(itertools.product(K, S)), ids=lambda value: str(value)
)
def test_the_code_has_the_table_of_the_issue(standing: K, state: S) -> None:
    found = HANDLING.get((standing, state), H.REFUSE)
    assert found is (TABLE | WHILE_REGRADED).get((standing, state), H.REFUSE)


@pytest.mark.parametrize(("standing", "state"), REACHABLE, ids=lambda value: str(value))
def test_a_result_is_handled_by_its_key_and_the_state(desk: Desk, standing: K, state: S) -> None:
    leased = _arrange(desk, standing, state)
    before = _stored(desk, leased.submission_id)
    expected = TABLE.get((standing, state), H.REFUSE)
    if expected is H.REFUSE:
        with pytest.raises(WrongKey, match=r"^Incorrect key for submission$"):
            desk.put(leased, OTHER)
        assert _stored(desk, leased.submission_id) == before
        return
    assert desk.put(leased, OTHER) is MADE_OF_IT[expected]
    after = desk.see(leased.submission_id)
    if expected is H.KEEP:
        assert after.state is state
        assert desk.outgoing(leased.submission_id) == before[2]
        assert desk.results_of(leased.submission_id)[-1].disposition == "unused"
        assert desk.results_of(leased.submission_id)[-1].body == OTHER
    else:
        assert after.state is S.GRADED
        assert (after.held_at, after.held_reason, after.available_at) == (None, None, None)
        assert desk.outgoing(leased.submission_id)[-1] == ("pending", OTHER)


@pytest.mark.parametrize(
    ("standing", "state"), [pair for pair in TABLE if TABLE[pair] is not H.REFUSE], ids=str
)
def test_the_same_bytes_again_change_nothing(desk: Desk, standing: K, state: S) -> None:
    leased = _arrange(desk, standing, state)
    desk.put(leased, OTHER)
    before = _stored(desk, leased.submission_id)
    for _ in range(3):
        desk.put(leased, OTHER)
    assert _stored(desk, leased.submission_id) == before


@pytest.mark.parametrize(
    ("standing", "state"), [pair for pair in TABLE if TABLE[pair] is H.GRADE], ids=str
)
def test_the_same_invalid_bytes_again_change_nothing(desk: Desk, standing: K, state: S) -> None:
    """A grader that got no answer sends again: one fault must not fill the timeline."""
    leased = _arrange(desk, standing, state)
    desk.put(leased, "[1]")
    assert desk.see(leased.submission_id).state is S.HELD
    before = _stored(desk, leased.submission_id)
    desk.put(leased, "[1]")
    assert _stored(desk, leased.submission_id) == before


# -- the callback ----------------------------------------------------------------------------------


def test_result_and_callback_are_written_together(desk: Desk) -> None:
    submission_id = desk.submit(key="k1")
    desk.put(desk.lease(), grade(0.5))
    (result,) = desk.results_of(submission_id)
    assert (result.body, result.disposition, result.sent_by) == (grade(0.5), "accepted", "grader")
    due = desk.claim_callback()
    assert (due.url, due.body) == (callback_url(), grade(0.5))
    assert json.loads(due.header) == {
        "lms_callback_url": callback_url(),
        "lms_key": "k1",
        "queue_name": "python",
    }


@given(body=st.text())
@hypothesis_settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_body_for_another_dispatch_goes_out_verbatim(desk: Desk, body: str) -> None:
    body = body.encode(errors="replace").decode()
    submission_id = desk.submit(callback_url(dispatch="ungraded_response"), body="not json")
    desk.put(desk.lease(), body)
    assert desk.outgoing(submission_id) == [("pending", body)]


def test_an_amended_result_replaces_a_callback_that_was_not_sent(desk: Desk) -> None:
    submission_id = desk.submit()
    leased = desk.lease()
    desk.put(leased)
    desk.put(leased, OTHER)
    assert desk.outgoing(submission_id) == [("cancelled", grade()), ("pending", OTHER)]
    assert [r.disposition for r in desk.results_of(submission_id)] == ["accepted", "amended"]


def test_an_amended_result_follows_a_callback_that_was_delivered(desk: Desk) -> None:
    submission_id = desk.submit()
    leased = desk.lease()
    desk.put(leased)
    assert desk.deliver(desk.claim_callback())
    desk.put(leased, OTHER)
    assert desk.outgoing(submission_id) == [("delivered", grade()), ("pending", OTHER)]


def test_an_amended_result_waits_for_a_callback_that_is_being_sent(desk: Desk) -> None:
    submission_id = desk.submit()
    leased = desk.lease()
    desk.put(leased)
    sending = desk.claim_callback()
    desk.put(leased, OTHER)
    assert desk.outgoing(submission_id) == [("pending", grade()), ("pending", OTHER)]
    with desk.storage.write() as tx:
        assert not outbox.claim_due(tx, sending.origin, limit=10, token=secrets.token_bytes(16))
    assert desk.deliver(sending)
    assert desk.claim_callback().body == OTHER


def test_an_amended_result_goes_out_although_the_first_is_a_dead_letter(desk: Desk) -> None:
    submission_id = desk.submit()
    leased = desk.lease()
    desk.put(leased)
    due = desk.claim_callback()
    ending = Ending(status=404, error=None, response="", duration_us=1)
    with desk.storage.write() as tx:
        outbox.finish_dead(tx, due, ending, why="refused")
    desk.put(leased, OTHER)
    assert desk.outgoing(submission_id) == [("cancelled", grade()), ("pending", OTHER)]
    with desk.storage.write() as tx, pytest.raises(Conflict):
        callbacks.replay(tx, due.id, actor="test")


def test_amending_back_to_the_first_body_sends_it_again(desk: Desk) -> None:
    submission_id = desk.submit()
    leased = desk.lease()
    for body in (grade(), OTHER, grade()):
        desk.put(leased, body)
    assert desk.outgoing(submission_id)[-1] == ("pending", grade())
    assert [state for state, _ in desk.outgoing(submission_id)].count("pending") == 1


def test_an_amendment_that_the_lms_would_refuse_leaves_the_good_result(desk: Desk) -> None:
    submission_id = desk.submit()
    leased = desk.lease()
    desk.put(leased)
    assert desk.put(leased, INVALID_GRADE) is Disposition.REJECTED
    assert desk.see(submission_id).state is S.GRADED
    assert desk.outgoing(submission_id) == [("pending", grade())]
    assert [r.disposition for r in desk.results_of(submission_id)] == ["accepted", "rejected"]
    last = desk.events_of(submission_id)[-1]
    assert (last.why, last.detail) == ("amend_rejected", "the result lacks 'msg'")


def test_an_invalid_amendment_sent_twice_is_kept_once(desk: Desk) -> None:
    submission_id = desk.submit()
    leased = desk.lease()
    desk.put(leased)
    desk.put(leased, INVALID_GRADE)
    before = _stored(desk, submission_id)
    desk.put(leased, INVALID_GRADE)
    assert _stored(desk, submission_id) == before


# -- invalid results -------------------------------------------------------------------------------


def test_an_invalid_result_holds_the_submission_as_the_graders_fault(desk: Desk) -> None:
    submission_id = desk.submit()
    assert desk.put(desk.lease(), INVALID_GRADE) is Disposition.REJECTED
    held = desk.see(submission_id)
    assert (held.state, held.held_reason) == ("held", "invalid_result")
    assert held.held_detail == "the result lacks 'msg'"
    assert [r.disposition for r in desk.results_of(submission_id)] == ["rejected"]
    assert desk.outgoing(submission_id) == []


def test_the_same_grader_may_mend_its_invalid_result(desk: Desk) -> None:
    submission_id = desk.submit()
    leased = desk.lease()
    desk.put(leased, INVALID_GRADE)
    desk.put(leased)
    assert desk.see(submission_id).state is S.GRADED
    assert desk.outgoing(submission_id) == [("pending", grade())]


# -- keys and accounts -----------------------------------------------------------------------------


def test_a_late_result_of_an_expired_lease_counts_while_nobody_else_has_it(desk: Desk) -> None:
    submission_id = desk.submit()
    late = desk.lease()
    desk.sweep_after(601)
    assert desk.put(late) is Disposition.ACCEPTED
    assert desk.see(submission_id).state is S.GRADED
    assert desk.try_lease() is None, "nobody grades it a second time"


def test_a_late_result_ends_a_back_off(desk: Desk) -> None:
    submission_id = desk.submit()
    late = desk.lease()
    desk.fail(late, FailureKind.PLATFORM)
    desk.put(late)
    assert desk.see(submission_id).available_at is None
    assert desk.sweep_after(100).queues_with_work == frozenset()


def test_the_first_of_two_keys_counts_again_when_the_second_has_expired_too(desk: Desk) -> None:
    submission_id = desk.submit()
    first = desk.lease()
    desk.sweep_after(601)
    second = desk.lease()
    desk.sweep_after(601)
    desk.put(first)
    with pytest.raises(WrongKey):
        desk.put(second)
    assert desk.see(submission_id).state is S.GRADED


def test_a_key_of_one_submission_opens_no_other(desk: Desk) -> None:
    desk.submit(body="not json")
    desk.submit(body="not json")
    first, second = desk.lease(), desk.lease()
    with pytest.raises(WrongKey):
        desk.put(replace(second, key=first.key))
    desk.sweep_after(601)
    with pytest.raises(WrongKey):
        desk.put(replace(second, key=first.key))


@pytest.mark.parametrize("key", ["", "0" * 32, "\ud800", "\x00", "ü" * 1000])
def test_a_key_that_was_never_issued_is_wrong_whatever_it_is(desk: Desk, key: str) -> None:
    desk.submit()
    with pytest.raises(WrongKey):
        desk.put(replace(desk.lease(), key=key))


def test_a_grader_of_another_queue_can_not_answer_even_with_the_key(desk: Desk) -> None:
    submission_id = desk.submit()
    leased = desk.lease()
    add_account(desk.storage, "elsewhere")
    stranger = add_account(desk.storage, "stranger", Role.LMS)
    with pytest.raises(NotFound, match=r"^Submission does not exist$"):
        desk.put(leased, by=stranger)
    with pytest.raises(NotFound, match=r"^Submission does not exist$"):
        desk.put(replace(leased, submission_id=10**12))
    assert desk.see(submission_id).state is S.LEASED


def _arrange(desk: Desk, standing: K, state: S) -> LeasedSubmission:
    """A submission in that state and a key of that standing."""
    submission_id = desk.submit()
    leased = desk.lease()
    if state is S.QUEUED or (standing is K.EXPIRED and state in (S.LEASED, S.GRADED)):
        desk.sweep_after(601)
    current = leased
    if desk.see(submission_id).state is S.QUEUED and state in (S.LEASED, S.GRADED):
        current = desk.lease()
    if state is S.GRADED:
        desk.put(current)
    if state in (S.HELD, S.GIVEN_UP):
        desk.fail(current, FailureKind.GRADER)
    if state is S.GIVEN_UP:
        holding.give_up(desk.storage, submission_id, actor="operator ann")
    if state is S.SUPERSEDED:
        desk.submit(body=lms_body("20260101120100"))
    assert desk.see(submission_id).state is state
    return replace(leased, key="f" * 32) if standing is K.FOREIGN else leased


def _stored(desk: Desk, submission_id: int) -> tuple[object, ...]:
    return (
        desk.see(submission_id),
        desk.results_of(submission_id),
        desk.outgoing(submission_id),
        desk.events_of(submission_id),
    )
