"""Submissions on the way through a regrade, in a line each."""

from __future__ import annotations

from collections.abc import Sequence

from tests.server.builders import Desk, callback_url, grade, lms_body
from xqueue_server.models.regrade import Regrade
from xqueue_server.models.submission import LeasedSubmission
from xqueue_server.repair import regrading
from xqueue_server.storage import faults, regrades

OLD = grade(0.5, msg="<p>old</p>")
NEW = grade(1, msg="<p>new</p>")
ACTOR = "operator ann"


def graded(
    desk: Desk, *, user: int = 42, body: str = OLD, is_delivered: bool = True, made_at: str = ""
) -> LeasedSubmission:
    """The lease that its result came with."""
    desk.submit(
        callback_url(user=user), body=lms_body(made_at) if made_at else None, key=f"k{user}"
    )
    leased = desk.lease()
    desk.put(leased, body)
    if is_delivered:
        assert desk.deliver(desk.claim_callback())
    return leased


def begin(desk: Desk, *submission_ids: int) -> int:
    """Returns the batch's id."""
    request = regrading.Request(reason="the tests were wrong", selection="ids", actor=ACTOR)
    batch_id = regrading.begin_batch(desk.storage, request)
    for submission_id in submission_ids:
        with desk.storage.write() as tx:
            regrading.begin(tx, submission_id, batch_id, actor=ACTOR)
    return batch_id


def cancel(desk: Desk, submission_id: int) -> None:
    with desk.storage.write() as tx:
        regrading.cancel(tx, submission_id, actor=ACTOR)


def regrades_of(desk: Desk, submission_id: int) -> Sequence[Regrade]:
    with desk.storage.read() as tx:
        return regrades.of_submission(tx, submission_id)


def last_regrade(desk: Desk, submission_id: int) -> Regrade:
    return regrades_of(desk, submission_id)[-1]


def fault_kinds(desk: Desk) -> list[str]:
    with desk.storage.read() as tx:
        return [fault.kind.value for fault in faults.latest(tx)]
