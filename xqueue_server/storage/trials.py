"""Trials: each a submission like any other, with what is to be run beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, bindparam, delete, func, insert, select, update

from xqueue_server.instant import micros
from xqueue_server.models.grader import GraderSource
from xqueue_server.models.submission import NewSubmission
from xqueue_server.models.trial import KEPT_S, STATES, NewTrial, Standing, Trial
from xqueue_server.storage import results, submissions
from xqueue_server.storage.engine import NOW, ONCE_NOW, Transaction
from xqueue_server.storage.grader_schema import lease_graders, trials
from xqueue_server.storage.operations_schema import stored_files
from xqueue_server.storage.schema import IS_UNFINISHED, contents, events, leases
from xqueue_server.storage.schema import results as results_table
from xqueue_server.storage.schema import submissions as submissions_table

_C = trials.c
_INSERT = insert(trials).values(created_at=NOW).returning(_C.id)
_COLUMNS = [
    _C[name]
    for name in (
        "id",
        "submission_id",
        "account_id",
        "queue",
        "name",
        "digest",
        "image",
        "manifest",
        "record",
        "created_at",
    )
]
_IS_KEPT = _C.created_at > ONCE_NOW - micros(KEPT_S)
_BY_ID = select(*_COLUMNS).where(_C.id == bindparam("of"), _IS_KEPT)
_BY_SUBMISSION = select(*_COLUMNS).where(_C.submission_id == bindparam("of"), _IS_KEPT)
_KEEP_RECORD = (
    update(trials).where(_C.submission_id == bindparam("of")).values(record=bindparam("kept"))
)
_IS_OF_MAKER = (
    _C.account_id == bindparam("of_account"),
    func.coalesce(_C.token_id, 0) == bindparam("of_token"),
)
_RECENT = select(func.count()).where(
    *_IS_OF_MAKER, _C.created_at > ONCE_NOW - bindparam("age_us", type_=BigInteger)
)
_UNFINISHED = (
    select(func.count())
    .select_from(trials)
    .join(submissions_table, submissions_table.c.id == _C.submission_id)
    .where(*_IS_OF_MAKER, _IS_KEPT, IS_UNFINISHED, submissions_table.c.state != "held")
)
_EXPIRED = (
    select(_C.submission_id)
    .where(_C.created_at <= ONCE_NOW - micros(KEPT_S))
    .order_by(_C.created_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_HAS_EXPIRED = select(_C.id).where(_C.created_at <= ONCE_NOW - micros(KEPT_S)).limit(1)
_KEYS = select(lease_graders.c.key_hash).where(lease_graders.c.submission_id == bindparam("of"))
_REMOVALS = [
    delete(leases).where(leases.c.key_hash.in_(_KEYS)),  # before what names them
    *(
        delete(table).where(column == bindparam("of"))
        for table, column in (
            (contents, contents.c.submission_id),
            (results_table, results_table.c.submission_id),
            (events, events.c.submission_id),
            (lease_graders, lease_graders.c.submission_id),
            (stored_files, stored_files.c.submission_id),
            (submissions_table, submissions_table.c.id),
            (trials, _C.submission_id),
        )
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedTrials:
    count: int
    blobs: tuple[str, ...]
    """Of the files that are to be removed as well."""


def add(tx: Transaction, new: NewTrial, submission: NewSubmission) -> int:
    """Store a trial and its submission; returns the trial's id."""
    return int(
        tx.scalar(
            _INSERT,
            submission_id=submissions.insert_new(tx, submission),
            account_id=new.account_id,
            token_id=new.token_id,
            queue=new.queue,
            name=new.name,
            digest=new.source.digest,
            image=new.source.image,
            manifest=new.manifest_text,
            now=tx.now,
        )
    )


def find(tx: Transaction, trial_id: int) -> Trial | None:
    row = tx.one(_BY_ID, of=trial_id, now=tx.now)
    return _trial(row) if row else None


def of_submission(tx: Transaction, submission_id: int) -> Trial | None:
    row = tx.one(_BY_SUBMISSION, of=submission_id, now=tx.now)
    return _trial(row) if row else None


def standing(tx: Transaction, trial: Trial) -> Standing | None:
    """How it stands; None if it was removed meanwhile."""
    submission = submissions.find(tx, trial.submission_id)
    if submission is None:
        return None
    return Standing(
        trial=trial,
        state=STATES[submission.state],
        held_reason=submission.held_reason,
        detail=submission.held_detail,
        reply=results.latest_sent(tx, submission.id),
        ended_at=submission.ended_at or submission.held_at,
    )


def count_recent(tx: Transaction, *, account_id: int, token_id: int | None, within_s: float) -> int:
    """Trials that this token (or this account without a token) has made not longer ago."""
    age_us = micros(within_s)
    return int(
        tx.scalar(_RECENT, of_account=account_id, of_token=token_id or 0, age_us=age_us, now=tx.now)
    )


def count_unfinished(tx: Transaction, *, account_id: int, token_id: int | None) -> int:
    return int(tx.scalar(_UNFINISHED, of_account=account_id, of_token=token_id or 0, now=tx.now))


def keep_record(tx: Transaction, submission_id: int, record: str | None) -> None:
    tx.run(_KEEP_RECORD, of=submission_id, kept=record)


def remove_expired(tx: Transaction, most: int) -> RemovedTrials:
    """Remove old trials with all that belongs to them but their files."""
    blobs: list[str] = []
    expired = tx.all(_EXPIRED, most=most, now=tx.now)
    for row in expired:
        blobs += [f.blob for f in submissions.contents_of(tx, row.submission_id).files]
        for removal in _REMOVALS:
            tx.run(removal, of=row.submission_id)
    return RemovedTrials(count=len(expired), blobs=tuple(blobs))


def has_expired(tx: Transaction) -> bool:
    return tx.one(_HAS_EXPIRED, now=tx.now) is not None


def _trial(row: Any) -> Trial:
    fields = dict(row._mapping)
    source = GraderSource(digest=fields.pop("digest"), image=fields.pop("image"))
    return Trial(source=source, manifest_text=fields.pop("manifest"), **fields)
