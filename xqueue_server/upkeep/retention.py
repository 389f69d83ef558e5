"""How long things are kept: first the code goes, later the rest, at last the history of load.

What a learner has sent in, with its files and the LMS's header, is emptied `code_s` after the
submission has ended, and faults of graders, which may quote it, go as long after they were last
seen; the submission with its results, callbacks, events and times is removed `results_s` after its
end, and so long after its own end what was told of an exam.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xqueue_server.ending import IsEnding, never
from xqueue_server.errors import FilesUnavailable
from xqueue_server.files import Files
from xqueue_server.instant import micros
from xqueue_server.storage import Storage, Transaction, load, marks
from xqueue_server.storage import retention as stored
from xqueue_server.storage.retention import Old, Window

POSITION = "retention"
"""The mark that keeps the last submission that this round has looked at; 0: no round is on."""
ROUND = "retention round"
"""The mark that keeps when the last round began."""
ROUND_EVERY_S = 24 * 3600
BATCHES_AT_ONCE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """In seconds; 0: for ever."""

    code_s: int
    results_s: int
    load_s: int

    @property
    def shortest_us(self) -> int | None:
        """After which a submission may have something to lose; None: it never has."""
        given = [term for term in (self.code_s, self.results_s) if term]
        return micros(min(given)) if given else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    code: int = 0
    """Submissions of which the code, the files and the header went."""
    submissions: int = 0
    """Submissions that went with everything."""
    files: int = 0
    load_minutes: int = 0
    faults: int = 0
    """Kinds that were last seen when the code that their reports may quote was handed in."""
    messages: int = 0
    """What LMSes, providers and others were told of exams."""

    def __add__(self, other: Removed) -> Removed:
        return Removed(
            **{n: getattr(self, n) + getattr(other, n) for n in Removed.__dataclass_fields__}
        )


# -- a round in slices, for sweepers -------------------------------------------------------------


def continue_round(
    storage: Storage, files: Files, keep: Keep, *, is_ending: IsEnding = never
) -> Removed:
    """Go on with the round of the day, or begin it; at most `BATCHES_AT_ONCE` batches.

    Any number of sweepers may do so: the batches come one after the other. Raises:
    StorageUnavailable, FilesUnavailable.
    """
    if keep.shortest_us is None:
        return _end_round(storage, keep, is_ending) if _begins(storage) else Removed()
    removed = Removed()
    for _ in range(BATCHES_AT_ONCE):
        with storage.write() as tx:
            position = marks.lock(tx, POSITION)
            if position == 0 and not marks.claim(tx, ROUND, every_s=ROUND_EVERY_S):
                return removed
            window = stored.window(tx, after=position, age_us=keep.shortest_us)
            found = _find(tx, window, keep, lock=True)
            _remove(tx, found)
            marks.move(tx, POSITION, 0 if window.is_last else window.last)
        removed += found.removed(_remove_files(files, found.blobs, is_ending))
        if window.is_last:
            return removed + _end_round(storage, keep, is_ending)
        if is_ending():
            break
    return removed


def _begins(storage: Storage) -> bool:
    with storage.write() as tx:
        return marks.claim(tx, ROUND, every_s=ROUND_EVERY_S)


# -- all at once, for people ---------------------------------------------------------------------


def apply(storage: Storage, files: Files, keep: Keep) -> Removed:
    """Remove everything that is old enough now. Raises: StorageUnavailable, FilesUnavailable."""
    removed = Removed()
    after = 0
    while keep.shortest_us is not None:
        with storage.write() as tx:
            window = stored.window(tx, after=after, age_us=keep.shortest_us)
            found = _find(tx, window, keep, lock=True)
            _remove(tx, found)
        removed += found.removed(_remove_files(files, found.blobs))
        after = window.last
        if window.is_last:
            break
    return removed + _end_round(storage, keep, never)


def preview(storage: Storage, keep: Keep) -> Removed:
    """What `apply` would remove now; changes nothing."""
    removed = Removed()
    after = 0
    while keep.shortest_us is not None:
        with storage.read() as tx:
            window = stored.window(tx, after=after, age_us=keep.shortest_us)
            found = _find(tx, window, keep, lock=False)
        removed += found.removed(len(found.blobs))
        after = window.last
        if window.is_last:
            break
    with storage.read() as tx:
        return removed + Removed(
            load_minutes=load.count_old(tx, age_us=micros(keep.load_s)) if keep.load_s else 0,
            faults=stored.count_old_faults(tx, age_us=micros(keep.code_s)) if keep.code_s else 0,
            messages=(
                stored.count_old_messages(tx, age_us=micros(keep.results_s))
                if keep.results_s
                else 0
            ),
        )


# -- a batch -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    code: Old
    whole: Old

    @property
    def blobs(self) -> list[str]:
        return [*self.code.blobs, *self.whole.blobs]

    def removed(self, files: int) -> Removed:
        return Removed(code=len(self.code.ids), submissions=len(self.whole.ids), files=files)


_NOTHING = Old(ids=(), blobs=())


def _find(tx: Transaction, window: Window, keep: Keep, *, lock: bool) -> _Found:
    whole = code = _NOTHING
    if keep.results_s:
        age_us = micros(keep.results_s)
        whole = stored.ended_long_ago(tx, window, age_us=age_us, lock=lock)
    if keep.code_s:
        code = stored.with_old_code(tx, window, age_us=micros(keep.code_s), lock=lock)
    return _Found(code=_without(code, whole), whole=whole)


def _without(code: Old, whole: Old) -> Old:
    """What goes with everything is not counted twice."""
    gone, blobs = set(whole.ids), set(whole.blobs)
    return Old(
        ids=[i for i in code.ids if i not in gone], blobs=[b for b in code.blobs if b not in blobs]
    )


def _remove(tx: Transaction, found: _Found) -> None:
    stored.remove_code(tx, found.code.ids)
    stored.remove(tx, found.whole.ids)


def _remove_files(files: Files, blobs: list[str], is_ending: IsEnding = never) -> int:
    """After the commit: what a crash leaves here belongs to nobody, and is found as left over.

    A store that is away would be waited for with each file anew. Raises: FilesUnavailable.
    """
    removed = 0
    for blob in blobs:
        if is_ending():
            break
        try:
            files.remove(blob)
        except FilesUnavailable:
            raise
        except OSError:  # this file alone
            continue
        removed += 1
    return removed


def _end_round(storage: Storage, keep: Keep, is_ending: IsEnding) -> Removed:
    """What is not found by way of submissions."""
    after: bytes | None = b""
    while after is not None and not is_ending():
        with storage.write() as tx:
            after = stored.remove_leases(tx, after=after)
    return Removed(
        load_minutes=_remove_load(storage, keep, is_ending) if keep.load_s else 0,
        faults=_all(stored.remove_faults, storage, keep.code_s, is_ending),
        messages=_all(stored.remove_messages, storage, keep.results_s, is_ending),
    )


def _all(remove: Callable[..., int], storage: Storage, age_s: int, is_ending: IsEnding) -> int:
    """Batch by batch; nothing where `age_s` is 0."""
    removed, count = 0, stored.BATCH if age_s else 0
    while count == stored.BATCH and not is_ending():
        with storage.write() as tx:
            count = remove(tx, age_us=micros(age_s))
        removed += count
    return removed


def _remove_load(storage: Storage, keep: Keep, is_ending: IsEnding) -> int:
    removed = 0
    queue: str | None = ""
    while queue is not None and not is_ending():
        with storage.write() as tx:
            count = load.remove_old(tx, queue, age_us=micros(keep.load_s)) if queue else 0
            removed += count
            if count < load.REMOVED_AT_ONCE:
                queue = load.next_queue(tx, queue)
    return removed
