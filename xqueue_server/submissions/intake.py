"""Taking a submission from an LMS: checking it, superseding older ones, storing it.

A missed supersede costs one grading, a wrong one loses a grade: so only a submission of the same
part (same queue, full callback URL and grader_payload) whose learner pressed the button at least
`SUPERSEDE_AFTER` later retires an older one. Two parts of one problem share a callback URL,
perhaps the payload too, but are submitted together.

What an exam claims is tied to its learner's attempt (see `exams`), in the transaction that stores
it; whether one may claim it is asked together with what it supersedes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from xqueue_server.errors import InvalidRequest, NotFound
from xqueue_server.keys import digest
from xqueue_server.models.account import Account, Role
from xqueue_server.models.callback_url import read_callback_url
from xqueue_server.models.submission import UNFINISHED, FileReference, NewSubmission
from xqueue_server.settings import origin_of
from xqueue_server.storage import (
    Storage,
    Transaction,
    callbacks,
    capping,
    queues,
    submissions,
    superseding,
)
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.storage.superseding import Before, Superseded
from xqueue_server.submissions import exams

SUPERSEDE_AFTER = timedelta(seconds=5)
INVALID_FORMAT = "Queue request has invalid format"
SUBMITTERS = frozenset({Role.LMS})

AllowsOrigin = Callable[[str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitHeader:
    """The three entries of xqueue_header that the queue reads; the text itself is kept as it is."""

    callback_url: str
    lms_key: str = field(repr=False)
    queue: str


def read_header(text: str) -> SubmitHeader:
    """Parse an xqueue_header as the reference does.

    Raises:
        InvalidRequest: not a JSON object with the three keys, or a value that can not be used.
    """
    try:
        header = json.loads(text)
        lms_key = json.dumps(header["lms_key"])  # may nest deeper than json.loads minds
        callback_url, queue = header["lms_callback_url"], header["queue_name"]
        named = f"Queue '{queue}'"
    except (ValueError, TypeError, KeyError, RecursionError):
        raise InvalidRequest(INVALID_FORMAT) from None
    if not isinstance(callback_url, str):
        raise InvalidRequest(f"{INVALID_FORMAT}: lms_callback_url must be a string")
    if not isinstance(queue, str):
        raise InvalidRequest(f"{named} not found")
    return SubmitHeader(callback_url=callback_url, lms_key=lms_key, queue=queue)


def check_callback_url(url: str, allows_origin: AllowsOrigin) -> None:
    """Refuse what could never be delivered, while the LMS still listens.

    Raises:
        InvalidRequest: says which origin is not allowed and which setting allows it.
    """
    origin = origin_of(url) if _is_clean(url) else None
    if origin is None:
        raise InvalidRequest(f"{INVALID_FORMAT}: lms_callback_url is not an http(s) URL")
    if not allows_origin(origin):
        raise InvalidRequest(
            f"Callbacks to {origin} are not allowed here; add it to XQUEUE_LMS_ORIGINS"
        )


def _is_clean(url: str) -> bool:
    """No control characters or spaces (they split headers), no half of a surrogate pair."""
    return not any(c <= " " or "\x7f" <= c <= "\x9f" or "\ud800" <= c <= "\udfff" for c in url)


def read_supersede_terms(
    header: SubmitHeader, body: str
) -> tuple[bytes, datetime] | tuple[None, None]:
    """The key that two submissions of one part share, and when the learner made this one.

    Nothing for a body that is not what the LMS sends: such a submission supersedes nothing.
    """
    try:
        content = json.loads(body)
        payload = json.dumps(content["grader_payload"], sort_keys=True)
        student_info = content["student_info"]
        if isinstance(student_info, str):
            student_info = json.loads(student_info)
        made_at = _learner_time(student_info["submission_time"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None, None
    return digest(header.queue, header.callback_url, payload), made_at


def _learner_time(text: Any) -> datetime:
    moment = datetime.strptime(str(text), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    if moment.year < 1970:
        raise ValueError("no learner lived then, and what is 5 s before may not exist")
    return moment


def may_submit(tx: Transaction, account: Account, queue: str) -> None:
    """Raises: NotFound, in the same words whether the queue is not there or not theirs."""
    if not account.may(SUBMITTERS, queue) or queues.find(tx, queue) is None:
        raise NotFound(f"Queue '{queue}' not found")


def accept(
    storage: Storage,
    proctoring: ProctoringStore,
    account: Account,
    *,
    header_text: str,
    header: SubmitHeader,
    body: str,
    files: tuple[FileReference, ...],
    request_id: str,
    traceparent: str | None = None,
    is_retry: bool = False,
) -> int:
    """Store a submission that has passed `read_header`, `check_callback_url` and `may_submit`.

    `is_retry` says that an earlier try of this request ended in doubt (the database went away,
    perhaps after the commit); what that try stored is then found by `request_id`, not doubled.

    Returns the submission's id.

    Raises:
        InvalidRequest: it belongs to an exam that takes nothing outside of an attempt. The text
            is for the learner.
        StorageUnavailable
    """
    supersede_key, made_at = read_supersede_terms(header, body)
    new = NewSubmission(
        request_id=request_id,
        queue=header.queue,
        header=header_text,
        body=body,
        callback_url=header.callback_url,
        lms_key=header.lms_key,
        files=files,
        submitted_by=account.name,
        supersede_key=supersede_key,
        learner_submitted_at=made_at,
        place=read_callback_url(header.callback_url),
        traceparent=traceparent,
    )
    before = _look(storage, new)
    is_one_statement = not before.older and not before.may_be_claimed
    begin = storage.write_at_once if is_one_statement else storage.write
    with begin() as tx:
        earlier = submissions.id_of_request(tx, request_id) if is_retry else None
        if earlier is None:
            stored = _store(tx, new, before, proctoring, account)
        else:
            stored = submissions.Stored(id=earlier, is_blocked=True)  # as far as we know
    if stored.is_blocked:
        _admit(storage, new, stored.id)
    return stored.id


def _admit(storage: Storage, new: NewSubmission, submission_id: int) -> None:
    """In a transaction of its own, which begins when the submission is there for all to count."""
    with storage.write() as tx:
        tx.arriving.add(submission_id)
        capping.admit(
            tx,
            queue=new.queue,
            learner=new.place.learner,
            course=new.place.course,
            actor=f"account {new.submitted_by}",
        )


def _look(storage: Storage, new: NewSubmission) -> Before:
    """What it retires, and whether an exam may claim it. Asked before it is stored, when hardly
    ever there is anything."""
    made_at = new.learner_submitted_at
    with storage.read() as tx:
        return superseding.look(
            tx,
            supersede_key=new.supersede_key,
            until=made_at - SUPERSEDE_AFTER if made_at else None,
            problem=new.place.problem,
            queue=new.queue,
        )


def _store(
    tx: Transaction,
    new: NewSubmission,
    before: Before,
    proctoring: ProctoringStore,
    account: Account,
) -> submissions.Stored:
    session = proctoring.of(tx)
    claim = exams.claim_of(session, new) if before.may_be_claimed else None
    older = before.older
    if claim is not None:
        new = replace(new, exam_id=claim.exam.id)
        older = exams.may_supersede(session, claim, older)
    stored = submissions.store(tx, new)
    if claim is not None:
        exams.add(session, claim, stored.id)
    _supersede(tx, older, by=stored.id, account=account)
    return stored


def _supersede(tx: Transaction, older: Sequence[Superseded], *, by: int, account: Account) -> None:
    actor = f"account {account.name}"
    for each in older:
        if each.state in UNFINISHED:  # with a callback: what is being graded anew
            superseding.supersede(tx, each.submission_id, by=by, actor=actor)
        if each.callback_id is not None:
            callbacks.cancel_superseded(tx, [each.callback_id], actor=actor)
