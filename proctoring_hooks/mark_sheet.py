"""The mark sheet of an exam: what each learner has got for each problem, and where the grade is.

It has one writer at a time. Whoever wants to write takes the sheet for a while and gets a token,
which is greater than any before; a write names it, and is refused if a newer one was given
meanwhile. So a holder that dies is waited for no longer than it asked for, and one that was only
slow can not write over its successor.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from proctoring_hooks.store import Overtaken, Store

TTL_S = 60.0
"""Many times what a batch takes."""
AT_ONCE = 100


@contextmanager
def held(store: Store, exam_id: int, holder: str, *, ttl_s: float = TTL_S) -> Iterator[int | None]:
    """The token, for as long as the block lasts; None: somebody else holds the sheet."""
    with store.write() as session:
        token = session.marks.acquire(exam_id, holder, ttl_s=ttl_s)
    try:
        yield token
    finally:
        if token is not None:
            with store.write() as session:
                session.marks.release(exam_id, token)


def bring_up_to_date(store: Store, holder: str) -> int:
    """For a sweeper: write what is new into all sheets; returns how many marks. Several may run at
    once: what one is writing the others leave alone."""
    with store.read() as session:
        exams = session.marks.exams_to_write()
    return sum(write_what_is_new(store, exam_id, holder) for exam_id in exams)


def write_what_is_new(store: Store, exam_id: int, holder: str) -> int:
    """The same for one sheet; 0 if somebody else is at it."""
    with held(store, exam_id, holder) as token:
        count = 0
        try:
            while token is not None:
                with store.write() as session:
                    batch = session.marks.unwritten(exam_id, limit=AT_ONCE)
                    session.marks.write(exam_id, batch.entries, token, ttl_s=TTL_S)
                count += len(batch.entries)
                if batch.is_last:
                    break
        except Overtaken:
            pass  # what was not written is still new to whoever has the sheet
        return count
