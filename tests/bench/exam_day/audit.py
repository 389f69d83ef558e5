"""What must be true after the day, told by what was stored and by what others have received."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

from sqlalchemy import select

from proctoring_hooks.attempt import Attempt
from proctoring_hooks.events.exam_attempt import TOPIC
from proctoring_hooks.exam import Exam, Release
from proctoring_hooks.grades import ExamSubmission, GradeState, Standing
from proctoring_hooks.history import Change
from proctoring_hooks.messages import EVENTS, TYPE
from proctoring_hooks.statuses import IN_PROGRESS, OPEN, Status
from tests.bench.exam_day.hall import LISTENING, Hall, Sat
from tests.bench.exam_day.people import Learner, Part
from tests.bench.exam_day.watching import Heard, Watching
from xqueue_server.models.callback import CallbackKind, CallbackState
from xqueue_server.models.submission import SubmissionState
from xqueue_server.storage.proctoring import browsing
from xqueue_server.storage.schema import callbacks, submissions
from xqueue_server.upkeep.exam_history import check_all

MOST_SHOWN = 5
END_OF_ALL = timedelta(seconds=1)
"""An attempt lasts for whole seconds, so it ends less than this before the due date."""
_CLOCK = "clock"
_UNFINISHED = select(callbacks.c.id).where(callbacks.c.state == CallbackState.PENDING.value)
_UNGRADED = select(submissions.c.id).where(submissions.c.state != SubmissionState.GRADED.value)
_OTHERS = select(callbacks.c.attempt_id, callbacks.c.kind, callbacks.c.header, callbacks.c.state)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    learner: Learner
    attempt: Attempt
    changes: Sequence[Change]
    """Of the status; the first is the registration."""
    work: Sequence[ExamSubmission]

    @property
    def ends(self) -> list[Change]:
        return [each for each in self.changes if each.before in OPEN and each.after not in OPEN]

    @property
    def has_run_out(self) -> bool:
        return any(each.actor == "system" and each.who == _CLOCK for each in self.ends)

    @property
    def path(self) -> list[str]:
        return [each.after for each in self.changes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    promise: str
    looked_at: int
    wrong: Sequence[str]

    @property
    def line(self) -> str:
        if not self.looked_at:
            return f"NOT SHOWN  {self.promise}: nothing of the kind has happened"
        if not self.wrong:
            return f"ok         {self.promise} ({self.looked_at})"
        shown = "".join(f"\n             {each}" for each in self.wrong[:MOST_SHOWN])
        return f"WRONG      {self.promise}: {len(self.wrong)} of {self.looked_at}{shown}"

    @property
    def holds(self) -> bool:
        return bool(self.looked_at) and not self.wrong


def stories(hall: Hall, learners: Sequence[Learner]) -> list[Story]:
    by_id = {each.attempt_id: each for each in learners}
    found: list[Story] = []
    after = 0
    with hall.store.read() as session:
        while batch := browsing.chains(session.tx, after=after):
            after = batch[-1].attempt.id
            for chain in batch:
                changes = [row.change for row in chain.rows]
                found.append(
                    Story(
                        learner=by_id[chain.attempt.id],
                        attempt=chain.attempt,
                        changes=[each for each in changes if each.before != each.after],
                        work=session.grades.of_attempt(chain.attempt.id),
                    )
                )
    return found


def is_quiet(hall: Hall) -> bool:
    """All is graded, and nothing is on its way."""
    with hall.storage.read() as tx:
        return not (tx.all(_UNFINISHED.limit(1)) or tx.all(_UNGRADED.limit(1)))


def count_writing(hall: Hall, learners: Sequence[Learner]) -> int:
    return sum(each.attempt.status in IN_PROGRESS for each in stories(hall, learners))


def checks(
    hall: Hall, sats: Sequence[Sat], told: Sequence[Story], watched: Watching
) -> Iterator[Check]:
    exams = {each.exam.id: each.exam for each in sats}
    yield _check("every attempt has one end", told, _has_one_end)
    yield _check("each ended as was planned for it", told, _has_its_end)
    out = [each for each in told if each.has_run_out]
    yield _check("who ran out of time: completed_at is expires_at", out, _ended_in_time)
    usual = [each for each in out if each.learner.part is not Part.IS_EXTENDED]
    yield _check("they all end within the second before the due date", usual, _at_the_due_date)
    yield _histories(hall)
    yield _work(told)
    yield _grades(hall, exams, told)
    yield _webhooks(hall, told)
    yield _events(hall, told)
    yield _provider(hall, told)
    yield _streams(told, watched)


def _check(promise: str, looked_at: Sequence[Story], flaw: Any) -> Check:
    flaws = [(each.attempt.id, flaw(each)) for each in looked_at]
    wrong = [f"attempt {number}: {said}" for number, said in flaws if said]
    return Check(promise=promise, looked_at=len(looked_at), wrong=wrong)


# -- attempts ------------------------------------------------------------------------------------


def _has_one_end(story: Story) -> str:
    return "" if len(story.ends) == 1 else " -> ".join(story.path)


def _has_its_end(story: Story) -> str:
    if story.learner.part in (Part.RUNS_OUT, Part.IS_WARNED):
        return "" if story.has_run_out else "not by the clock"
    is_terminated = story.learner.part is Part.IS_TERMINATED
    wanted = Status.SECOND_REVIEW_REQUIRED if is_terminated else Status.SUBMITTED
    answered_at = story.learner.answered_at.get("terminate" if is_terminated else "submit")
    expires_at = story.attempt.expires_at
    if story.has_run_out and answered_at and expires_at and answered_at > expires_at:
        return ""  # a machine that is too slow: the clock was faster than the answer
    if story.has_run_out or [each.after for each in story.ends] != [wanted]:
        return f"{story.learner.part}, but {' -> '.join(story.path)}"
    return ""


def _ended_in_time(story: Story) -> str:
    of = story.attempt
    return "" if of.completed_at == of.expires_at else f"{of.completed_at}, not {of.expires_at}"


def _at_the_due_date(story: Story) -> str:
    due_at, expires_at = story.learner.sat.exam.due_at, story.attempt.expires_at
    assert due_at is not None
    assert expires_at is not None
    is_so = due_at - END_OF_ALL < expires_at <= due_at
    return "" if is_so else f"{expires_at}, due {due_at}"


def _histories(hall: Hall) -> Check:
    found = list(check_all(hall.store))
    wrong = [f"attempt {each.attempt_id}: {each.flaw}" for each in found if each.flaw]
    return Check(promise="every history verifies", looked_at=len(found), wrong=wrong)


def _work(told: Sequence[Story]) -> Check:
    """By its own reckoning: an arrival before the end belongs to the attempt."""
    wrong = []
    for each in told:
        for work in each.work:
            assert each.attempt.completed_at is not None
            grace = timedelta(seconds=each.learner.sat.exam.terms.grace_s)
            in_time = work.arrived_at < each.attempt.completed_at + grace
            if work.standing is not (Standing.IN_TIME if in_time else Standing.LATE):
                wrong.append(f"submission {work.submission_id}: {work.standing}")
        if len(each.work) != 1:
            wrong.append(f"attempt {each.attempt.id} has {len(each.work)} submissions")
    count = sum(len(each.work) for each in told)
    return Check(
        promise="code belongs to the attempt it was written in", looked_at=count, wrong=wrong
    )


# -- what others were told -----------------------------------------------------------------------


def _grades(hall: Hall, exams: Mapping[int, Exam], told: Sequence[Story]) -> Check:
    received = Counter(
        json.loads(parse_qs(each.raw.decode())["xqueue_header"][0])["lms_key"]
        for each in hall.lms.received
        if each.path != LISTENING
    )
    wanted = Counter(
        {
            each.learner.lms_key: 1
            for each in told
            if each.work and _goes(exams[each.attempt.exam_id].terms.release, each)
        }
    )
    wrong = _differences(wanted, received)
    wrong += [
        f"submission {work.submission_id} is {work.state}"
        for each in told
        for work in each.work
        if (work.state is GradeState.RELEASED) != (each.learner.lms_key in wanted)
    ]
    return Check(
        promise="the LMS has each grade once that may go, and no other",
        looked_at=len(told),
        wrong=wrong,
    )


def _goes(release: Release, story: Story) -> bool:
    if any(each.standing is not Standing.IN_TIME for each in story.work):
        return False
    match release:
        case Release.AT_ONCE:
            return True
        case Release.ON_SUBMIT:
            return bool({"submitted", "verified"} & {*story.path})
        case Release.ON_VERIFIED:
            return "verified" in story.path


def _webhooks(hall: Hall, told: Sequence[Story]) -> Check:
    bodies = [json.loads(each.raw) for each in hall.lms.received if each.path == LISTENING]
    received = Counter((each["data"]["attempt"], each["type"]) for each in bodies)
    wanted = Counter(
        (each.attempt.external_id, kind) for each in told for kind in _told_of(each.path)
    )
    return _same("the subscriber has each change once", wanted, received)


def _events(hall: Hall, told: Sequence[Story]) -> Check:
    """The entries of the bus by their ids, which each try to send one has in common."""
    entries: Any = hall.bus.xrange(TOPIC)
    ids = Counter(fields[b"id"] for _, fields in entries)
    received = Counter(fields[b"type"].decode() for _, fields in entries)
    wanted = Counter(kind for each in told for kind in _told_of(each.path))
    found = _same("the event bus has each change once", wanted, received)
    twice = [f"{event!r} is there {count} times" for event, count in ids.items() if count > 1]
    return Check(promise=found.promise, looked_at=found.looked_at, wrong=[*found.wrong, *twice])


def _told_of(path: Collection[str]) -> list[str]:
    return [TYPE.format(EVENTS[Status(each)]) for each in path if each in EVENTS]


def _provider(hall: Hall, told: Sequence[Story]) -> Check:
    """It answers nothing and receives nothing; what it was sent is in the outbox."""
    with hall.storage.read() as tx:
        rows = tx.all(_OTHERS.where(callbacks.c.kind == CallbackKind.PROVIDER.value))
    received = Counter(
        (row.attempt_id, json.loads(row.header)["purpose"], row.state)
        for row in rows
        if row.attempt_id is not None
    )
    occasions = ("register", "start", "submit")
    delivered = CallbackState.DELIVERED.value
    wanted = Counter((each.attempt.id, of, delivered) for each in told for of in occasions)
    return _same("the provider has each of register, start, submit once", wanted, received)


def _streams(told: Sequence[Story], watched: Watching) -> Check:
    wanted = Counter((each.attempt.id, after) for each in told for after in each.path)
    wrong: list[str] = []
    for number, heard in enumerate(watched.by_stream):
        received = Counter((each.attempt_id, each.kind) for each in heard if _is_status(each))
        wrong += [f"stream {number}: {each}" for each in _differences(wanted, received)]
    looked_at = wanted.total() * len(watched.by_stream)
    return Check(promise="each open page heard each change once", looked_at=looked_at, wrong=wrong)


def _is_status(heard: Heard) -> bool:
    return heard.kind in {*Status}


def _same(promise: str, wanted: Counter[Any], received: Counter[Any]) -> Check:
    wrong = _differences(wanted, received)
    return Check(promise=promise, looked_at=wanted.total(), wrong=wrong)


def _differences(wanted: Counter[Any], received: Counter[Any]) -> list[str]:
    return [
        f"{what}: {received[what]} instead of {wanted[what]}"
        for what in sorted({*wanted, *received}, key=str)
        if received[what] != wanted[what]
    ]


# -- figures -------------------------------------------------------------------------------------


def lag_of_the_clock_s(told: Sequence[Story]) -> list[float]:
    """From each expiry to the transaction that ended the attempt."""
    return [
        (end.at - each.attempt.expires_at).total_seconds()
        for each in told
        if each.has_run_out and each.attempt.expires_at is not None
        for end in each.ends
    ]


def lag_of_news_s(told: Sequence[Story], watched: Watching) -> list[float]:
    """From the beginning of the transaction that changed a status to each open page."""
    changed = {
        (each.attempt.id, change.after): change.at.timestamp()
        for each in told
        for change in each.changes
    }
    return [
        heard.at - changed[heard.attempt_id, heard.kind]
        for stream in watched.by_stream
        for heard in stream
        if (heard.attempt_id, heard.kind) in changed
    ]
