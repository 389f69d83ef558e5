"""A learner's own data: handing them out, and erasing them.

A learner is the id that an LMS names in its callback URLs; two LMSes share ids, so that the LMS's
origin belongs to it. Of an erased submission remains what counts for nobody in particular: queue,
course, problem, states, times and scores.
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
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, Any

from xqueue_server.callback import Callback
from xqueue_server.callback_url import ERASED, without_learner
from xqueue_server.errors import Conflict, NotFound
from xqueue_server.files import Files
from xqueue_server.leftovers import list_files
from xqueue_server.settings import origin_of
from xqueue_server.storage import (
    Storage,
    Transaction,
    callbacks,
    events,
    learners,
    results,
    submissions,
    transitions,
)
from xqueue_server.storage.learners import Found
from xqueue_server.submission import (
    UNFINISHED,
    FileReference,
    Submission,
    SubmissionEvent,
)

IDS_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Learner:
    id: str = field(repr=False)
    lms: str
    """Origin, as `origin_of` writes it."""
    course: str | None = None
    """None: all of them."""


def find(storage: Storage, learner: Learner) -> Sequence[Found]:
    """The learner's submissions, oldest first.

    Also those that the previous release has stored without noting whose they are.
    """
    list_files(storage)
    with storage.read() as tx:
        found = learners.of_learner(tx, learner.id)
    return [
        each
        for each in found
        if origin_of(each.callback_url) == learner.lms and learner.course in (None, each.course)
    ]


# -- handing out ---------------------------------------------------------------------------------


def export(storage: Storage, files: Files, learner: Learner, target: IO[bytes]) -> int:
    """Write a ZIP archive: `submissions.json`, and files under `files/`; returns the number of
    submissions.

    Without what is not the learner's: the grader's payload, and the LMS's key, with which anybody
    could post a grade. Raises: NotFound if there are none.
    """
    found = find(storage, learner)
    if not found:
        raise NotFound("No submissions of this learner; check the id and --lms")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        listed = [_export_one(storage, files, each, archive) for each in found]
        document = {"learner": learner.id, "lms": learner.lms, "submissions": listed}
        archive.writestr("submissions.json", json.dumps(document, default=_plain, indent=2))
    return len(found)


def _export_one(
    storage: Storage, files: Files, found: Found, archive: zipfile.ZipFile
) -> dict[str, Any]:
    with storage.read() as tx:
        submission = submissions.find(tx, found.id)
        content = submissions.contents_of(tx, found.id)
        given = results.of_submission(tx, found.id)
        sent = [(each, callbacks.attempts_of(tx, each.id)) for each in _callbacks(tx, found)]
        happened = events.of_submission(tx, found.id)
    assert submission is not None, "contents have a submission"
    return {
        "id": submission.id,
        "course": found.course,
        "problem": found.problem,
        "queue": submission.queue,
        "state": submission.state,
        "arrived_at": submission.arrived_at,
        "ended_at": submission.ended_at,
        "sent": _of_learner(content.body),
        "files": _export_files(files, submission.id, content.files, archive),
        "results": [_only(r, "received_at", "disposition", "body") for r in given],
        "callbacks": [
            _only(c, "kind", "url", "state", "created_at", "finished_at")
            | {"attempts": [_only(a, "started_at", "status", "error") for a in tries]}
            for c, tries in sent
        ],
        "events": [_only(e, "at", "from_state", "to_state", "why", "detail") for e in happened],
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
    submissions: int = 0
    files: int = 0
    ended: int = 0
    """Of the submissions: those that had no grade yet, and get none."""


def erase(
    storage: Storage,
    files: Files,
    learner: Learner,
    *,
    secret_key: bytes,
    actor: str,
    also_unfinished: bool = False,
) -> Erased:
    """Erase what is stored of a learner, submission by submission; repeating it goes on.

    An unfinished submission ends without a grade, and without a word to the LMS: the learner's
    problem stays "queued" there. What remains is an event that says how much was erased, of a
    learner whose name is a digest that only this installation can make.

    Raises:
        NotFound: there are none.
        Conflict: some are unfinished and `also_unfinished` is not said, or a callback is being
            sent at this moment.
        StorageUnavailable
    """
    found = find(storage, learner)
    if not found:
        raise NotFound("No submissions of this learner; check the id and --lms")
    _refuse_unfinished([each.id for each in found if not each.is_finished], also_unfinished)
    with storage.read() as tx:
        keys = learners.lease_keys(tx, [each.id for each in found])
    erased = Erased()
    for each in found:
        with storage.write() as tx:
            was_unfinished = _end(tx, each.id, actor)
            more = learners.lease_keys(tx, [each.id]) if was_unfinished else keys
            blobs = [f.blob for f in submissions.contents_of(tx, each.id).files]
            _reword(tx, each.id, learner)
            learners.erase(
                tx,
                each.id,
                url=without_learner(each.callback_url),
                order_key=secrets.token_bytes(16),
                keys=more.get(each.id, ()),
            )
        _remove(files, blobs)
        erased = dataclasses.replace(
            erased,
            submissions=erased.submissions + 1,
            files=erased.files + len(blobs),
            ended=erased.ended + was_unfinished,
        )
    _note(storage, learner, erased, secret_key, actor)
    return erased


def _refuse_unfinished(ids: Sequence[int], also_unfinished: bool) -> None:
    if ids and not also_unfinished:
        shown = ", ".join(str(each) for each in ids[:IDS_SHOWN])
        more = ", …" if len(ids) > IDS_SHOWN else ""
        raise Conflict(
            f"{len(ids)} submissions are not finished or not delivered ({shown}{more}); wait, or "
            "erase them too with --also-unfinished: they get no grade"
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
    name = re.compile(rf"(?<!\w){re.escape(learner.id)}(?!\w)")
    for selection in learners.selections_of(tx, submission_id):
        learners.reword_selection(tx, selection.batch_id, name.sub(ERASED, selection.words))


def _remove(files: Files, blobs: Iterable[str]) -> None:
    """After the commit; what a crash leaves here is found as left over."""
    for blob in blobs:
        with suppress(OSError):
            files.remove(blob)


def _note(
    storage: Storage, learner: Learner, erased: Erased, secret_key: bytes, actor: str
) -> None:
    of = f" of {learner.course}" if learner.course else ""
    with storage.write() as tx:
        events.append(
            tx,
            subject=f"learner {pseudonym(learner, secret_key)}",
            actor=actor,
            why="erased",
            detail=f"{erased.submissions} submissions{of}, {erased.files} files",
        )


def pseudonym(learner: Learner, secret_key: bytes) -> str:
    """The same for the same learner of the same LMS, and nobody without the key can tell whose."""
    given = f"{learner.lms}\n{learner.id}".encode("utf-8", "surrogatepass")
    return hmac.new(secret_key, given, hashlib.sha256).hexdigest()[:32]
