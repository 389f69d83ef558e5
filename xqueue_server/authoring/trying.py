"""Trials: an author's submission on the learners' way, without an LMS and after their work."""

from __future__ import annotations

import base64
import binascii
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from xqueue_server.authoring import publishing
from xqueue_server.authoring.publishing import Refused, TooMany
from xqueue_server.errors import NotFound, StorageUnavailable
from xqueue_server.files import Files
from xqueue_server.instant import to_datetime
from xqueue_server.models.account import Account
from xqueue_server.models.grader import (
    Ceilings,
    GraderSource,
    Manifest,
    Problem,
    read_manifest,
)
from xqueue_server.models.manifest_rules import problems_of
from xqueue_server.models.submission import TRIAL_PRIORITY, FileReference, NewSubmission
from xqueue_server.models.trial import (
    CALLBACK_URL,
    MOST_FILES_BYTES,
    MOST_PER_MINUTE,
    MOST_UNFINISHED,
    NewTrial,
    Standing,
    Trial,
)
from xqueue_server.settings import Settings
from xqueue_server.storage import Storage, Transaction, graders, policies, trials

HIGHEST_SEED = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRequest:
    queue: str
    source: GraderSource
    manifest: Manifest
    manifest_text: str = field(repr=False)
    response: str = field(repr=False)
    payload: str
    seed: int
    files: Mapping[str, bytes] = field(repr=False)


def read_request(document: Mapping[str, Any], settings: Settings) -> TrialRequest:
    """Raises: Refused, naming everything that can not be used."""
    problems = [
        *publishing.source_problems(document),
        *problems_of(document.get("manifest")),
        *_text_problems(document, settings.max_body_bytes),
        *_file_problems(document.get("files"), settings),
    ]
    if problems:
        raise Refused("invalid", problems)
    return TrialRequest(
        queue=str(document["queue"]),
        source=publishing.read_source(document),
        manifest=read_manifest(document["manifest"]),
        manifest_text=publishing.manifest_text(document["manifest"]),
        response=document["response"],
        payload=document.get("payload") or "",
        seed=document.get("seed", 1),
        files={n: base64.b64decode(c) for n, c in (document.get("files") or {}).items()},
    )


def _text_problems(document: Mapping[str, Any], most_bytes: int) -> list[Problem]:
    found = []
    for name, default in (("response", None), ("payload", "")):
        value = document.get(name, default)
        if not isinstance(value, str) or not _is_unicode(value):
            found.append(Problem(where=name, problem="must be text"))
        elif len(value.encode()) > most_bytes:
            found.append(Problem(where=name, problem=f"is larger than {most_bytes} bytes"))
    seed = document.get("seed", 1)
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= HIGHEST_SEED:
        found.append(Problem(where="seed", problem=f"must be a whole number up to {HIGHEST_SEED}"))
    return found


def _is_unicode(text: str) -> bool:
    """Half of a surrogate pair can be written in JSON, not in UTF-8."""
    return not any("\ud800" <= c <= "\udfff" for c in text)


def _file_problems(files: Any, settings: Settings) -> list[Problem]:
    if files is None:
        return []
    if not isinstance(files, dict) or len(files) > settings.max_files:
        return [Problem(where="files", problem=f"must be an object of up to {settings.max_files}")]
    found = []
    total = 0
    for index, (name, content) in enumerate(files.items()):
        if not name or len(name) > 255 or not name.isprintable():
            found.append(
                Problem(where=f"files[{index}]", problem="has a name that can not be used")
            )
        size = _decoded_size(content)
        total += size or 0
        if size is None:
            found.append(Problem(where=f"files[{index}]", problem="must be base64"))
        elif size > settings.max_file_bytes:
            most = settings.max_file_bytes
            found.append(Problem(where=f"files[{index}]", problem=f"is larger than {most} bytes"))
    if total > MOST_FILES_BYTES:
        found.append(
            Problem(where="files", problem=f"have more than {MOST_FILES_BYTES} bytes together")
        )
    return found


def _decoded_size(content: Any) -> int | None:
    if not isinstance(content, str):
        return None
    try:
        return len(base64.b64decode(content, validate=True))
    except (binascii.Error, ValueError):
        return None


def begin(
    storage: Storage,
    files: Files,
    account: Account,
    request: TrialRequest,
    ceilings: Ceilings,
    *,
    token_id: int | None,
    request_id: str,
) -> int:
    """Put a trial into its queue; returns its id.

    Raises:
        Refused: as `publishing.publish`.
        TooMany: of this token, in the last minute or unfinished.
    """
    new = NewTrial(
        account_id=account.id,
        token_id=token_id,
        queue=request.queue,
        name=request.manifest.name,
        source=request.source,
        manifest_text=request.manifest_text,
    )
    with storage.write() as tx:
        graders.lock(tx, request.queue)
        _refuse_too_many(tx, account, token_id)
        publishing.require_allowed(policies.of_queue(tx, request.queue), request.manifest, ceilings)
        publishing.require_source(tx, account, request.source)
        now = to_datetime(storage.now_us())
        with _stored(files, request.files) as references:
            submission = _submission(request, references, account, now, request_id)
            return trials.add(tx, new, submission)


def _refuse_too_many(tx: Transaction, account: Account, token_id: int | None) -> None:
    """Under the queue's lock, so that two at once are counted one after the other."""
    recent = trials.count_recent(tx, account_id=account.id, token_id=token_id, within_s=60)
    unfinished = trials.count_unfinished(tx, account_id=account.id, token_id=token_id)
    if recent >= MOST_PER_MINUTE:
        raise TooMany(f"At most {MOST_PER_MINUTE} trials a minute", retry_after_s=60)
    if unfinished >= MOST_UNFINISHED:
        raise TooMany(f"{unfinished} trials wait or run; wait until one has ended", retry_after_s=5)


@contextmanager
def _stored(store: Files, files: Mapping[str, bytes]) -> Iterator[tuple[FileReference, ...]]:
    """The files, removed again if the block fails. One that fails at the commit after it keeps
    them: the trial may be stored all the same."""
    saved: list[FileReference] = []
    try:
        for name, content in files.items():
            saved.append(_store(store, name, content))
        yield tuple(saved)
    except BaseException:
        for reference in saved:
            with suppress(OSError):
                store.remove(reference.blob)
        raise


def _store(store: Files, name: str, content: bytes) -> FileReference:
    try:
        blob, size = store.save(io.BytesIO(content), limit_bytes=len(content))
    except OSError as error:
        raise StorageUnavailable("files can not be stored") from error
    return FileReference(name=name, blob=blob, size_bytes=size)


def _submission(
    request: TrialRequest,
    files: tuple[FileReference, ...],
    account: Account,
    now: datetime,
    request_id: str,
) -> NewSubmission:
    info = {
        "anonymous_student_id": "trial",
        "submission_time": now.strftime("%Y%m%d%H%M%S"),
        "random_seed": request.seed,
    }
    body = {
        "student_info": json.dumps(info),
        "student_response": request.response,
        "grader_payload": request.payload,
    }
    header = {"lms_callback_url": CALLBACK_URL, "lms_key": "trial", "queue_name": request.queue}
    return NewSubmission(
        request_id=request_id,
        queue=request.queue,
        header=json.dumps(header),
        body=json.dumps(body),
        callback_url=CALLBACK_URL,
        lms_key='"trial"',
        files=files,
        submitted_by=account.name,
        supersede_key=None,
        learner_submitted_at=None,
        priority=TRIAL_PRIORITY,
    )


def mine(storage: Storage, account: Account, trial_id: int) -> Standing:
    """How one's own trial stands. Raises: NotFound, also for those of others."""
    with storage.read() as tx:
        trial = _kept(trials.find(tx, trial_id))
        is_theirs = trial.account_id == account.id and account.may(publishing.AUTHORS, trial.queue)
        standing = trials.standing(tx, trial) if is_theirs else None
    if standing is None:
        raise NotFound("No such trial")
    return standing


def _kept(trial: Trial | None) -> Trial:
    if trial is None:
        raise NotFound("No such trial")
    return trial


def to_run(storage: Storage, account: Account, trial_id: int) -> Trial:
    """A trial for a worker of its queue. Raises: NotFound."""
    with storage.read() as tx:
        trial = _kept(trials.find(tx, trial_id))
    if not account.may(publishing.WORKERS, trial.queue):
        raise NotFound("No such trial")
    return trial
