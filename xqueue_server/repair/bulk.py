"""Repairing many submissions at once: all that match a selection and that the caller may repair.

A person has seen how many they are and said yes to that number: more are never touched. Each batch
is a short transaction, and each submission is looked at again when it is its turn; what has moved
on meanwhile is skipped, with the reason. What was interrupted is continued by doing it again; a
regrade by naming its batch, or what has been graded anew meanwhile would be graded once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from xqueue_server.errors import Conflict, NotFound
from xqueue_server.models.callback import CallbackState
from xqueue_server.models.fault import Fault
from xqueue_server.models.regrade import RegradeState
from xqueue_server.models.scope import Scope
from xqueue_server.models.selection import Selection
from xqueue_server.models.submission import Submission, SubmissionState
from xqueue_server.repair import regrading
from xqueue_server.storage import (
    Storage,
    Transaction,
    callbacks,
    events,
    faults,
    graders,
    regrades,
    selecting,
    submissions,
)
from xqueue_server.storage.regrades import GradedBy
from xqueue_server.submissions import holding

BATCH = 100
SHOWN_SKIPPED = 100


class Act(StrEnum):
    RELEASE = "release"
    """Held ones, back to their queues."""
    GIVE_UP = "give_up"
    """Held ones: their learners are told that no grade comes. Irreversible at the LMS."""
    REGRADE = "regrade"
    """Graded ones."""
    REPLAY = "replay"
    """Those with dead callbacks: these are sent again."""
    CANCEL_REGRADE = "cancel_regrade"
    """Those that are being graded anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    submission_id: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    count: int
    """Submissions that it was done to."""
    skipped_count: int
    skipped: Sequence[Skipped]
    """The first hundred."""
    is_complete: bool
    """False: time was over; the rest is still as it was."""
    queues: frozenset[str]
    """That have more work now."""
    batch_id: int | None = None
    """Of a regrade."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a regrade would touch."""

    count: int
    graded_by: Sequence[GradedBy]

    @property
    def lms_has(self) -> int:
        """How many grades the LMS has taken already, so that it will keep them."""
        return sum(each.count for each in self.graded_by if each.lms_has_it)


IsOver = Callable[[], bool]
"""Asked between batches: whether the caller has no more time."""
DoOne = Callable[[Transaction, int], Submission]


def never() -> bool:
    return False


# -- looking -------------------------------------------------------------------------------------


def matching(
    storage: Storage,
    act: Act,
    selection: Selection,
    scope: Scope,
    *,
    batch_id: int | None = None,
) -> int:
    """To how many submissions it would be done now: the number that a person confirms. `batch_id`
    is of the regrade that it would continue."""
    wanted = _narrowed(selection, act)
    with storage.read() as tx:
        return selecting.count(tx, wanted, scope, most=None, not_in_batch=batch_id).count


def preview_regrade(
    storage: Storage, selection: Selection, scope: Scope, *, batch_id: int | None = None
) -> Preview:
    """Without what the regrade `batch_id`, which it would continue, has already."""
    narrowed = _narrowed(selection, Act.REGRADE)
    with storage.read() as tx:
        wanted = selecting.matching_ids(tx, narrowed, scope, not_in_batch=batch_id)
        found = sorted(
            regrades.graded_by(tx, wanted),
            key=lambda each: (each.grader or "", each.version or 0, each.lms_has_it),
        )
    return Preview(count=sum(each.count for each in found), graded_by=found)


def _narrowed(selection: Selection, act: Act) -> Selection:
    """Only what the act can be done to; nothing, if something else was asked for."""
    match act:
        case Act.RELEASE | Act.GIVE_UP:
            return _with_state(selection, SubmissionState.HELD)
        case Act.REGRADE:
            return _with_state(selection, SubmissionState.GRADED)
        case Act.REPLAY:
            is_other = selection.callback not in (None, CallbackState.DEAD)
            narrowed = replace(selection, callback=CallbackState.DEAD)
        case Act.CANCEL_REGRADE:
            is_other = selection.regrade not in (None, RegradeState.WAITING)
            narrowed = replace(selection, regrade=RegradeState.WAITING)
    return replace(narrowed, ids=frozenset()) if is_other else narrowed


def _with_state(selection: Selection, state: SubmissionState) -> Selection:
    one = frozenset({state})
    return replace(selection, states=one if selection.states is None else one & selection.states)


# -- doing ---------------------------------------------------------------------------------------


def release(
    storage: Storage,
    selection: Selection,
    scope: Scope,
    *,
    confirmed: int,
    actor: str,
    is_over: IsOver = never,
) -> Done:
    """Put held submissions back to their queues, with all their attempts.

    Raises:
        Conflict: more match than were confirmed.
    """
    return _do(
        storage,
        Act.RELEASE,
        selection,
        scope,
        lambda tx, submission_id: holding.release_held(tx, submission_id, actor=actor),
        _Terms(confirmed=confirmed, actor=actor, is_over=is_over),
    )


def give_up(
    storage: Storage,
    selection: Selection,
    scope: Scope,
    *,
    confirmed: int,
    actor: str,
    is_over: IsOver = never,
) -> Done:
    """Tell the learners of held submissions that no grade comes. Irreversible.

    Raises: as `release`.
    """

    def one(tx: Transaction, submission_id: int) -> Submission:
        submission = holding.get_held(tx, submission_id)
        holding.give_up_held(tx, submission, actor=actor)
        return submission

    terms = _Terms(confirmed=confirmed, actor=actor, is_over=is_over)
    return _do(storage, Act.GIVE_UP, selection, scope, one, terms)


def regrade(
    storage: Storage,
    selection: Selection,
    scope: Scope,
    *,
    reason: str,
    confirmed: int,
    actor: str,
    batch_id: int | None = None,
    is_over: IsOver = never,
) -> Done:
    """Grade graded submissions anew (see `regrading`); a `batch_id` continues that batch: what it
    has already is left alone, whatever came of it.

    Raises: as `release`; Conflict without a reason.
    """
    terms = _Terms(confirmed=confirmed, actor=actor, is_over=is_over)
    _refuse_more(matching(storage, Act.REGRADE, selection, scope, batch_id=batch_id), terms)
    if batch_id is None:
        request = regrading.Request(reason=reason, selection=selection.words, actor=actor)
        batch_id = regrading.begin_batch(storage, request)
    batch = batch_id
    wanted = _narrowed(selection, Act.REGRADE)
    done = _do_all(
        storage,
        selecting.batches(storage, wanted, scope, size=BATCH, not_in_batch=batch),
        lambda tx, submission_id: regrading.begin(tx, submission_id, batch, actor=actor),
        terms,
        subject="submissions",
        why=f"bulk {Act.REGRADE.value}",
        asked_for=selection.words,
    )
    return replace(done, batch_id=batch)


def replay(
    storage: Storage,
    selection: Selection,
    scope: Scope,
    *,
    confirmed: int,
    actor: str,
    is_over: IsOver = never,
) -> Done:
    """Send dead callbacks again. Raises: as `release`."""
    terms = _Terms(confirmed=confirmed, actor=actor, is_over=is_over)
    return _do(
        storage,
        Act.REPLAY,
        selection,
        scope,
        lambda tx, submission_id: _replay_one(tx, submission_id, actor),
        terms,
    )


def cancel_regrades(
    storage: Storage,
    selection: Selection,
    scope: Scope,
    *,
    confirmed: int,
    actor: str,
    is_over: IsOver = never,
) -> Done:
    """Let the old grades stand. Raises: as `release`."""

    def one(tx: Transaction, submission_id: int) -> Submission:
        waiting = regrades.waiting_among(tx, [submission_id]).get(submission_id)
        if waiting and selection.batch not in (None, waiting.batch_id):
            raise Conflict(f"Submission {submission_id} is regraded in batch {waiting.batch_id}")
        return regrading.cancel(tx, submission_id, actor=actor)

    terms = _Terms(confirmed=confirmed, actor=actor, is_over=is_over)
    return _do(storage, Act.CANCEL_REGRADE, selection, scope, one, terms)


def _replay_one(tx: Transaction, submission_id: int, actor: str) -> Submission:
    submission = submissions.get_locked(tx, submission_id)
    dead = [c for c in callbacks.of_submission(tx, submission_id) if c.state is CallbackState.DEAD]
    if not dead:
        raise Conflict(f"Submission {submission_id} has no dead callback")
    for callback in dead:
        callbacks.replay(tx, callback.id, actor=actor)
    return submission


# -- what a fault holds --------------------------------------------------------------------------


def held_by_fault(storage: Storage, fault_id: int) -> int:
    """How many submissions wait for the fault to be mended. Raises: NotFound."""
    _get_fault(storage, fault_id)
    return sum(len(ids) for ids in _fault_batches(storage, fault_id))


def release_fault(
    storage: Storage,
    fault_id: int,
    *,
    confirmed: int,
    actor: str,
    anyway: bool = False,
    is_over: IsOver = never,
) -> Done:
    """Put all that a fault holds back to the queue, to be graded by the version in use now.

    Raises:
        NotFound: no such fault.
        Conflict: the version that failed is still in use (unless `anyway`), or more are held than
            were confirmed.
    """
    fault = _get_fault(storage, fault_id)
    why_not = None if anyway else why_still_broken(storage, fault)
    if why_not:
        raise Conflict(why_not)
    present = held_by_fault(storage, fault_id)
    terms = _Terms(confirmed=confirmed, actor=actor, is_over=is_over)
    _refuse_more(present, terms)
    return _do_all(
        storage,
        _fault_batches(storage, fault_id),
        lambda tx, submission_id: holding.release_held(tx, submission_id, actor=actor),
        terms,
        subject=f"fault {fault_id}",
        why="release",
        asked_for=f"fault {fault_id}",
    )


def why_still_broken(storage: Storage, fault: Fault) -> str | None:
    """None: another version is in use, or nobody knows which version failed."""
    if fault.grader is None or fault.version is None:
        return None
    with storage.read() as tx:
        grader = graders.find(tx, fault.queue, fault.grader)
    if grader is None or grader.active != fault.version:
        return None
    return (
        f"Queue '{fault.queue}' still grades with version {fault.version} of '{fault.grader}', "
        "which failed; publish or activate another version first"
    )


def _get_fault(storage: Storage, fault_id: int) -> Fault:
    with storage.read() as tx:
        fault = faults.find(tx, fault_id)
    if fault is None:
        raise NotFound(f"Fault {fault_id} not found")
    return fault


def _fault_batches(storage: Storage, fault_id: int) -> Iterator[Sequence[int]]:
    after = 0
    while True:
        with storage.read() as tx:
            ids = faults.held_by(tx, fault_id, after=after, most=BATCH)
        if not ids:
            return
        yield ids
        after = ids[-1]


# -- one batch after the other -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    confirmed: int
    actor: str
    is_over: IsOver


@dataclass(slots=True)
class _Progress:
    count: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    skipped_count: int = 0
    queues: set[str] = field(default_factory=set)

    @property
    def seen(self) -> int:
        return self.count + self.skipped_count


def _do(
    storage: Storage,
    act: Act,
    selection: Selection,
    scope: Scope,
    one: DoOne,
    terms: _Terms,
) -> Done:
    _refuse_more(matching(storage, act, selection, scope), terms)
    return _do_all(
        storage,
        selecting.batches(storage, _narrowed(selection, act), scope, size=BATCH),
        one,
        terms,
        subject="submissions",
        why=f"bulk {act.value}",
        asked_for=selection.words,
    )


def _refuse_more(present: int, terms: _Terms) -> None:
    if present > terms.confirmed:
        raise Conflict(
            f"{present} submissions match now, but {terms.confirmed} were confirmed; look again"
        )


def _do_all(
    storage: Storage,
    batches: Iterable[Sequence[int]],
    one: DoOne,
    terms: _Terms,
    *,
    subject: str,
    why: str,
    asked_for: str,
) -> Done:
    progress = _Progress()
    is_complete = True
    try:
        for ids in batches:
            if terms.is_over():
                is_complete = False
                break
            with storage.write() as tx:
                of_batch = _do_batch(tx, ids[: terms.confirmed - progress.seen], one)
            _add(progress, of_batch)
            if progress.seen >= terms.confirmed:
                break
    finally:  # what was done is done, also if the database went away meanwhile
        _note(storage, progress, terms.actor, subject=subject, why=why, asked_for=asked_for)
    return Done(
        count=progress.count,
        skipped_count=progress.skipped_count,
        skipped=progress.skipped,
        is_complete=is_complete,
        queues=frozenset(progress.queues),
    )


def _do_batch(tx: Transaction, ids: Sequence[int], one: DoOne) -> _Progress:
    progress = _Progress()
    for submission_id in ids:
        try:
            submission = one(tx, submission_id)
        except (Conflict, NotFound) as error:  # raised before anything was written
            progress.skipped.append(Skipped(submission_id=submission_id, why=str(error)))
            progress.skipped_count += 1
        else:
            progress.count += 1
            progress.queues.add(submission.queue)
    return progress


def _add(progress: _Progress, more: _Progress) -> None:
    progress.count += more.count
    progress.skipped_count += more.skipped_count
    progress.skipped += more.skipped[: SHOWN_SKIPPED - len(progress.skipped)]
    progress.queues |= more.queues


def _note(
    storage: Storage, progress: _Progress, actor: str, *, subject: str, why: str, asked_for: str
) -> None:
    with storage.write() as tx:
        events.append(
            tx,
            subject=subject,
            actor=actor,
            why=why,
            detail=f"{progress.count} done, {progress.skipped_count} skipped; {asked_for}",
        )
