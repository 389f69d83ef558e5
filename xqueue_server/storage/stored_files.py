"""Which uploads belong to a submission, listed by going through the contents of all of them.

Not where a submission is stored: so those of the previous release are listed as well, also while
its programs still run, and no submission waits for it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import takewhile

from sqlalchemy import BigInteger, bindparam, delete, select, type_coerce, update

from xqueue_server.instant import micros
from xqueue_server.models.callback_url import NOWHERE, Place, read_callback_url
from xqueue_server.storage.engine import ONCE_NOW, Transaction
from xqueue_server.storage.operations_schema import stored_files
from xqueue_server.storage.schema import contents, submissions
from xqueue_server.storage.submissions import files_from_json
from xqueue_server.storage.upsert import Upsert

SETTLE_S = 3600
"""Ids grow with time but for what is being stored at the moment; no transaction takes longer."""

_F, _C, _S = stored_files.c, contents.c, submissions.c
_PAGE = (
    select(
        _S.id,
        _S.callback_url,
        _C.files,
        _C.course,
        _C.learner,
        (type_coerce(_S.arrived_at, BigInteger) <= ONCE_NOW - micros(SETTLE_S)).label("is_settled"),
    )
    .join(contents, _C.submission_id == _S.id)
    .where(_S.id > bindparam("after", type_=BigInteger))
    .order_by(_S.id)
    .limit(bindparam("most"))
)
_LIST = Upsert(
    stored_files,
    {"blob": bindparam("blob"), "submission_id": bindparam("submission_id")},
    conflict=["blob"],
    change=None,
)
_PLACE = (
    update(contents)
    .where(_C.submission_id == bindparam("of"))
    .values({name: bindparam(f"the_{name}") for name in Place.__dataclass_fields__})
)
_LISTED = select(_F.blob).where(_F.blob.in_(bindparam("blobs", expanding=True)))
_FORGET = delete(stored_files).where(
    _F.submission_id.in_(bindparam("ids", expanding=True, type_=BigInteger))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    last: int
    """The highest id that was gone through."""
    settled: int
    """Up to this id nothing can be stored any more that is not listed yet."""
    is_last: bool


def list_next(tx: Transaction, *, after: int, most: int) -> Listed:
    """Go through the contents of the next submissions: list their files, and note whose they are
    where the previous release has not."""
    rows = tx.all(_PAGE, after=after, most=most, now=tx.now)
    for row in rows:
        for file in files_from_json(row.files):
            tx.run(_LIST.on(tx), blob=file.blob, submission_id=row.id)
        place = NOWHERE if row.course or row.learner else read_callback_url(row.callback_url)
        if place != NOWHERE:
            names = {f"the_{name}": getattr(place, name) for name in Place.__dataclass_fields__}
            tx.run(_PLACE, of=row.id, **names)
    settled = [row.id for row in takewhile(lambda row: row.is_settled, rows)]
    return Listed(
        last=rows[-1].id if rows else after,
        settled=settled[-1] if settled else after,
        is_last=len(rows) < most,
    )


def unlisted(tx: Transaction, blobs: Sequence[str]) -> Sequence[str]:
    """Those of them that belong to no submission."""
    listed = {row.blob for row in tx.all(_LISTED, blobs=list(blobs))}
    return [blob for blob in blobs if blob not in listed]


def forget(tx: Transaction, submission_ids: Collection[int]) -> None:
    """The submissions' files are about to be removed."""
    tx.run(_FORGET, ids=list(submission_ids))
