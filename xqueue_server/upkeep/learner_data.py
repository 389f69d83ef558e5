"""A learner's own data: handing them out, and erasing them.

A learner is the id that an LMS names in its callback URLs; two LMSes share ids, so that the LMS's
origin belongs to it. Of exams he may also be named by the id that the LMS obscures him with. Of an
erased submission or attempt remains what counts for nobody in particular: queue, course, problem,
states, times and scores.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import re
import secrets
import shutil
import zipfile
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, Any

from proctoring_hooks.attempt import Learner as ExamLearner
from proctoring_hooks.lms import Lms
from xqueue_server.errors import Conflict, NotFound
from xqueue_server.files import Files
from xqueue_server.models.callback import Callback
from xqueue_server.models.callback_url import ERASED, without_learner
from xqueue_server.models.submission import (
    UNFINISHED,
    FileReference,
    Submission,
    SubmissionEvent,
)
from xqueue_server.settings import origin_of
from xqueue_server.storage import (
    Storage,
    Transaction,
    callbacks,
    events,
    learners,
    regrades,
    results,
    submissions,
    timings,
    transitions,
)
from xqueue_server.storage.learners import Found
from xqueue_server.storage.proctoring import ProctoringStore, erasing, exporting
from xqueue_server.storage.proctoring.erasing import ErasedOfExams, Standing
from xqueue_server.storage.proctoring.learners import Whose, user_id_of, whose
from xqueue_server.storage.proctoring.session import ProctoringSession
from xqueue_server.upkeep.leftovers import list_files

IDS_SHOWN = 10
NOBODY = "Nothing is stored of this learner; check the id and --lms"
_OBSCURED = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Learner:
    id: str = field(repr=False)
    """As callback URLs name him, or, of exams alone, as the LMS obscures him: 40 hex digits."""
    lms: str
    """Origin, as `origin_of` writes it."""
    course: str | None = None
    """None: all of them."""
    names: frozenset[str] = field(default=frozenset(), repr=False)
    """User names and e-mail addresses by which staff may have given him time in an exam before he
    came there; beside those that the LMS has told us."""
    entry: str | None = None
    """Of exams only what is of this entry of an LMS. None: of every entry with that origin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What there is of a learner."""

    learner: Learner
    """By the number of his user, wherever that is known."""
    submissions: Sequence[Found] = ()
    """Oldest first."""
    of_exams: Sequence[tuple[Whose, Standing]] = ()
    """For each entry of an LMS at that origin."""

    @property
    def attempts(self) -> int:
        return sum(standing.attempts for _, standing in self.of_exams)

    @property
    def unfinished_attempts(self) -> list[int]:
        return [each for _, standing in self.of_exams for each in standing.unfinished]

    def __bool__(self) -> bool:
        return bool(self.submissions) or any(standing for _, standing in self.of_exams)


def find(store: ProctoringStore, storage: Storage, learner: Learner) -> Stored:
    """Also submissions that the previous release has stored without noting whose they are."""
    list_files(storage)
    of_exams: list[tuple[Whose, Standing]] = []
    with store.read() as session:
        for lms in _lmses(session, learner):
            learner, of = _identified(session, lms, learner)
            of_exams.append((of, erasing.standing(session, of)))
        found = learners.of_learner(session.tx, learner.id)
    submissions = [
        each
        for each in found
        if origin_of(each.callback_url) == learner.lms and learner.course in (None, each.course)
    ]
    return Stored(learner=learner, submissions=submissions, of_exams=of_exams)


def _lmses(session: ProctoringSession, learner: Learner) -> list[Lms]:
    return [
        lms
        for lms in session.lmses.all()
        if learner.lms in origins_of(lms) and learner.entry in (None, lms.name)
    ]


def origins_of(lms: Lms) -> list[str]:
    """From which its learners' submissions may come."""
    return sorted({*lms.origins, origin_of(lms.base_url) or lms.base_url})


def _identified(session: ProctoringSession, lms: Lms, learner: Learner) -> tuple[Learner, Whose]:
    of = ExamLearner(user_id=learner.id)
    if _OBSCURED.fullmatch(learner.id):
        user_id = user_id_of(session.tx, lms, learner.id)
        of = ExamLearner(user_id=user_id or "", obscured_id=learner.id)
        learner = dataclasses.replace(learner, id=user_id or learner.id)
    return learner, whose(session.tx, lms, of, names=learner.names, course_id=learner.course)


# -- handing out ---------------------------------------------------------------------------------


def export(
    storage: Storage,
    files: Files,
    learner: Learner,
    target: IO[bytes],
    *,
    secret_key: bytes,
    actor: str,
) -> Stored:
    """Write a ZIP archive: `submissions.json`, files under `files/`, and `exams.json` if there is
    anything of exams; returns what there is.

    Without what is not the learner's: the grader's payload, the LMS's key, with which anybody
    could post a grade, and who judged. That it was handed out is on record. Raises: NotFound if
    there is nothing.
    """
    store = ProctoringStore(storage, secret_key)
    found = find(store, storage, learner)
    if not found:
        raise NotFound(NOBODY)
    learner = found.learner
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        listed = [_export_one(storage, files, each, archive) for each in found.submissions]
        document = {"learner": learner.id, "lms": learner.lms, "submissions": listed}
        _write(archive, "submissions.json", document)
        with store.read() as session:
            told = [exporting.export(session, of) for of, standing in found.of_exams if standing]
        if told:
            _write(archive, "exams.json", {"learner": learner.id, "exams": told})
    _note(storage, found, _counted(found), secret_key, actor, why="exported")
    return found


def _write(archive: zipfile.ZipFile, name: str, document: dict[str, Any]) -> None:
    archive.writestr(name, json.dumps(document, default=_plain, indent=2))


def _export_one(
    storage: Storage, files: Files, found: Found, archive: zipfile.ZipFile
) -> dict[str, Any]:
    with storage.read() as tx:
        submission = submissions.find(tx, found.id)
        content = submissions.contents_of(tx, found.id)
        given = results.of_submission(tx, found.id)
        sent = [(each, callbacks.attempts_of(tx, each.id)) for each in _callbacks(tx, found)]
        happened = events.of_submission(tx, found.id)
        anew = regrades.of_submission(tx, found.id)
        took = timings.of_submission(tx, found.id)
    assert submission is not None, "contents have a submission"
    return {
        "id": submission.id,
        "course": found.course,
        "problem": found.problem,
        "queue": submission.queue,
        "state": submission.state,
        "arrived_at": submission.arrived_at,
        "ended_at": submission.ended_at,
        "callback_url": submission.callback_url,
        "held": _only(submission, "held_reason", "held_detail", "held_at"),
        "sent": _of_learner(content.body),
        "files": _export_files(files, submission.id, content.files, archive),
        "results": [_only(r, "received_at", "disposition", "body") for r in given],
        "callbacks": [
            _only(c, "kind", "url", "state", "created_at", "finished_at", "last_error")
            | {"attempts": [_only(a, "started_at", "status", "error", "response") for a in tries]}
            for c, tries in sent
        ],
        "events": [_only(e, "at", "from_state", "to_state", "why", "detail") for e in happened],
        "regrades": [
            _only(r, "state", "old_score", "new_score", "started_at", "finished_at", "detail")
            for r in anew
        ],
        "timings": [dataclasses.asdict(each) for each in took],
    }


def _callbacks(tx: Transaction, found: Found) -> Sequence[Callback]:
    return callbacks.of_submission(tx, found.id)


def _of_learner(body: str) -> Any:
    """What the LMS says of the learner and what he wrote, or all of a body that is no LMS's."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return body
    if not isinstance(content, dict):
        return content
    return {name: value for name, value in content.items() if name != "grader_payload"}


def _export_files(
    files: Files, submission_id: int, listed: Iterable[FileReference], archive: zipfile.ZipFile
) -> list[dict[str, Any]]:
    """Under names of our own: what the learner called a file may be anything."""
    described = []
    for number, file in enumerate(listed, 1):
        place: str | None = f"files/{submission_id}-{number}"
        try:
            with files.open(file.blob) as source, archive.open(str(place), "w") as target:
                shutil.copyfileobj(source, target)
        except NotFound:
            place = None
        described.append({"name": file.name, "size_bytes": file.size_bytes, "in_archive": place})
    return described


def _only(value: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names}


def _plain(value: Any) -> str:
    assert isinstance(value, datetime), type(value)
    return value.astimezone(UTC).isoformat()


# -- erasing -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    attempts: int = 0
    """At exams."""
    attempts_ended: int = 0
    """Of these: those that went on, or waited to be judged or told of; they are removed."""
    submissions: int = 0
    files: int = 0
    files_left: int = 0
    """That the store would not remove now; they belong to nobody, and `sweep` removes them."""
    ended: int = 0
    """Of the submissions: those that had no grade yet, and get none."""

    def __add__(self, other: Erased) -> Erased:
        return Erased(
            **{n: getattr(self, n) + getattr(other, n) for n in Erased.__dataclass_fields__}
        )


def erase(
    storage: Storage,
    files: Files,
    learner: Learner,
    *,
    secret_key: bytes,
    actor: str,
    also_unfinished: bool = False,
) -> Erased:
    """Erase what is stored of a learner: of exams at once, then submission by submission;
    repeating it goes on.

    An unfinished submission ends without a grade, and without a word to the LMS: the learner's
    problem stays "queued" there. An unfinished attempt is removed, and nobody is told. What
    remains is an event that says how much was erased, of a learner whose name is a digest that
    only this installation can make.

    Raises:
        NotFound: there is nothing.
        Conflict: something is unfinished and `also_unfinished` is not said, or a callback is being
            sent at this moment.
        StorageUnavailable
    """
    store = ProctoringStore(storage, secret_key)
    stored = find(store, storage, learner)
    if not stored:
        raise NotFound(NOBODY)
    learner, found = stored.learner, stored.submissions
    if not also_unfinished:
        _refuse_unfinished("submissions", [e.id for e in found if not e.is_finished])
        _refuse_unfinished("attempts", stored.unfinished_attempts)
    with storage.read() as tx:
        keys = learners.lease_keys(tx, [each.id for each in found])
    _reword_events(storage, learner, [each.id for each in found])
    erased, has_begun = Erased(), False
    try:
        for of, _ in stored.of_exams:
            erased += _erase_of_exams(store, of, actor)
            has_begun = True
        for each in found:
            done = _erase_one(storage, files, each, learner, keys.get(each.id, ()), actor)
            erased, has_begun = erased + done, True
    finally:  # what was erased is on record, also if a later one could not be
        if has_begun:
            _note(storage, stored, erased, secret_key, actor)
    return erased


def retire(
    storage: Storage, files: Files, lms: Lms, obscured_id: str, *, secret_key: bytes
) -> bool:
    """What an LMS asks for when it retires a user: erase all of him, unfinished or not, as he is
    nobody's learner any more. False: not all could be erased now; the LMS shall ask again.

    Raises: StorageUnavailable.
    """
    for origin in origins_of(lms):
        learner = Learner(id=obscured_id, lms=origin, entry=lms.name)
        with suppress(NotFound):
            try:
                erase(
                    storage,
                    files,
                    learner,
                    secret_key=secret_key,
                    actor=f"lms {lms.name}",
                    also_unfinished=True,
                )
            except Conflict:
                return False
    return True


def _erase_of_exams(store: ProctoringStore, of: Whose, actor: str) -> Erased:
    with store.write() as session:
        done: ErasedOfExams = erasing.erase(session, of, actor=actor)
    return Erased(attempts=done.attempts, attempts_ended=done.ended)


def _erase_one(
    storage: Storage,
    files: Files,
    found: Found,
    learner: Learner,
    keys: Collection[bytes],
    actor: str,
) -> Erased:
    with storage.write() as tx:
        was_unfinished = _end(tx, found.id, actor)
        if was_unfinished:  # it may have been leased since
            keys = learners.lease_keys(tx, [found.id]).get(found.id, ())
        blobs = [f.blob for f in submissions.contents_of(tx, found.id).files]
        _reword(tx, found.id, learner)
        learners.erase(
            tx,
            found.id,
            url=without_learner(found.callback_url),
            order_key=secrets.token_bytes(16),
            keys=keys,
        )
        events.append(
            tx,
            subject=f"submission {found.id}",
            submission_id=found.id,
            actor=actor,
            why="erased",
        )
    removed = _remove(files, blobs)
    return Erased(
        submissions=1, files=removed, files_left=len(blobs) - removed, ended=int(was_unfinished)
    )


_WHAT_COMES_OF = {
    "submissions": "they get no grade",
    "attempts": "they are removed, and neither the LMS nor a provider is told",
}


def _refuse_unfinished(what: str, ids: Sequence[int]) -> None:
    if ids:
        shown = ", ".join(str(each) for each in ids[:IDS_SHOWN])
        more = ", …" if len(ids) > IDS_SHOWN else ""
        raise Conflict(
            f"{len(ids)} {what} are not finished or not delivered ({shown}{more}); wait, or "
            f"erase them too with --also-unfinished: {_WHAT_COMES_OF[what]}"
        )


def _end(tx: Transaction, submission_id: int, actor: str) -> bool:
    """Lock it, and end it if it has not ended; True if it had no grade yet."""
    submission = submissions.get_locked(tx, submission_id)
    callbacks.cancel_unsent(tx, submission_id, actor=actor, why="erase")
    _refuse_sending(tx, submission_id)
    if submission.state not in UNFINISHED:
        return False
    transitions.change(tx, submission, _ending_event(submission), actor=actor)
    return not submission.is_regrade


def _refuse_sending(tx: Transaction, submission_id: int) -> None:
    if learners.has_pending(tx, submission_id):
        raise Conflict(
            f"A callback of submission {submission_id} is being sent at this moment; repeat the "
            "command in a minute"
        )


def _ending_event(submission: Submission) -> SubmissionEvent:
    return SubmissionEvent.CANCEL if submission.is_regrade else SubmissionEvent.ERASE


def _reword(tx: Transaction, submission_id: int, learner: Learner) -> None:
    """Who asked for a regrade may have named the learner."""
    for asked in learners.selections_of(tx, submission_id):
        reworded = dataclasses.replace(
            asked, words=_without(learner, asked.words), reason=_without(learner, asked.reason)
        )
        learners.reword_selection(tx, reworded)


def _reword_events(storage: Storage, learner: Learner, ids: Sequence[int]) -> None:
    """The same in the record of what was done to many. First of all: after the last submission a
    repetition of the command would find nobody."""
    given = re.compile(rf"(?<!\S)learner={re.escape(learner.id)}(?!\S)")
    with storage.write() as tx:
        batches = {f"regrade {a.batch_id}" for i in ids for a in learners.selections_of(tx, i)}
        for event in learners.bulk_events(tx):
            detail = given.sub(f"learner={ERASED}", event.detail)
            if event.subject in batches:
                detail = _without(learner, detail)
            if detail != event.detail:
                learners.reword_event(tx, event.id, detail)


def _without(learner: Learner, text: str) -> str:
    return re.sub(rf"(?<!\w){re.escape(learner.id)}(?!\w)", ERASED, text)


def _remove(files: Files, blobs: Iterable[str]) -> int:
    """After the commit; what a crash leaves here is found as left over. Returns how many went."""
    removed = 0
    for blob in blobs:
        with suppress(OSError):
            files.remove(blob)
            removed += 1
    return removed


def _counted(stored: Stored) -> Erased:
    return Erased(attempts=stored.attempts, submissions=len(stored.submissions))


def _note(
    storage: Storage,
    stored: Stored,
    count: Erased,
    secret_key: bytes,
    actor: str,
    *,
    why: str = "erased",
) -> None:
    learner = stored.learner
    of = f" of {learner.course}" if learner.course else ""
    detail = f"{count.submissions} submissions{of}, {count.files} files"
    if count.attempts:
        detail += f", {count.attempts} attempts"
    with storage.write() as tx:
        events.append(
            tx,
            subject=f"learner {pseudonym(learner, secret_key)}",
            actor=actor,
            why=why,
            detail=detail,
        )


def pseudonym(learner: Learner, secret_key: bytes) -> str:
    """The same for the same learner of the same LMS, and nobody without the key can tell whose."""
    given = f"{learner.lms}\n{learner.id}".encode("utf-8", "surrogatepass")
    return hmac.new(secret_key, given, hashlib.sha256).hexdigest()[:32]
