"""Removing rows of exams that have served: news that pages have shown, tokens that are over."""

from __future__ import annotations

from sqlalchemy import BigInteger, bindparam, delete, select, type_coerce, update

from xqueue_server.instant import micros
from xqueue_server.storage.engine import ONCE_NOW, Transaction
from xqueue_server.storage.proctoring.news import FORGOTTEN
from xqueue_server.storage.proctoring_schema import exam_news, used_tokens

BATCH = 1000

_IS_OLD_NEWS = type_coerce(exam_news.c.at, BigInteger) <= ONCE_NOW - bindparam(
    "age_us", type_=BigInteger
)
_OLD_NEWS = (
    select(exam_news.c.id, exam_news.c.kind)
    .where(_IS_OLD_NEWS)
    .order_by(exam_news.c.writer, exam_news.c.id)
    .limit(BATCH)
    .with_for_update(skip_locked=True)
)
_REMOVE_NEWS = delete(exam_news).where(
    exam_news.c.id.in_(bindparam("ids", expanding=True, type_=BigInteger))
)
_LEAVE_A_SIGN = (
    update(exam_news)
    .where(exam_news.c.id == bindparam("of"))
    .values(lms="", course_id="", attempt_id=0, kind=FORGOTTEN)
)
_OVER = (
    select(used_tokens.c.digest)
    .where(used_tokens.c.until <= ONCE_NOW)
    .order_by(used_tokens.c.until)
    .limit(BATCH)
    .with_for_update(skip_locked=True)
)
_REMOVE_TOKENS = delete(used_tokens).where(used_tokens.c.digest.in_(_OVER))


def remove_news(tx: Transaction, *, age_s: float) -> int:
    """A batch of what was told that long ago; returns how many. The place of the last stays on
    record, so that a reader who comes back from before it is known to have missed something."""
    found = tx.all(_OLD_NEWS, age_us=micros(age_s), now=tx.now)
    if found:
        *earlier, last = found
        tx.run(_REMOVE_NEWS, ids=[row.id for row in earlier])
        tx.run(_LEAVE_A_SIGN, of=last.id)
    return sum(row.kind != FORGOTTEN for row in found)


def remove_used_tokens(tx: Transaction) -> int:
    """A batch of those that could not be used any more anyway; returns how many."""
    return tx.run(_REMOVE_TOKENS, now=tx.now)
