"""When the JavaScript workers of attempts were last heard of (see `proctoring_hooks.worker`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, bindparam, func, select

from proctoring_hooks import reporting
from proctoring_hooks.incidents import NewIncident, Source
from proctoring_hooks.statuses import Status
from proctoring_hooks.store import NotFound
from proctoring_hooks.worker.liveness import Report, Watched, is_worth_noting
from xqueue_server.storage.engine import NOW
from xqueue_server.storage.proctoring.session import ProctoringSession, ProctoringStore
from xqueue_server.storage.proctoring_schema import (
    exam_attempt_history,
    exam_attempts,
    exam_incidents,
    exam_workers,
)
from xqueue_server.storage.upsert import Upsert

_A, _W, _H, _I = exam_attempts.c, exam_workers.c, exam_attempt_history.c, exam_incidents.c
_LAST = select(_W.heard_at, _W.has_ended).where(_W.attempt_id == bindparam("of"))
_HEARD = Upsert(
    exam_workers,
    {"attempt_id": bindparam("of"), "heard_at": NOW, "has_ended": bindparam("has_ended")},
    conflict=["attempt_id"],
    change={"heard_at": NOW, "has_ended": bindparam("has_ended")},
)
_SINCE = (
    select(func.max(_H.at))
    .where(
        _H.attempt_id == _A.id,
        _H.after == Status.STARTED.value,
        _H.before != Status.STARTED.value,
    )
    .scalar_subquery()
)
_REPORTED = (
    select(func.max(_I.happened_at))
    .where(_I.attempt_id == _A.id, _I.source == Source.WORKER.value, _I.reported_by == "server")
    .scalar_subquery()
)
_WATCHED = (
    select(
        _A.id,
        _W.heard_at,
        func.coalesce(_W.has_ended, False).label("has_ended"),
        _SINCE.label("started_since"),
        _REPORTED.label("reported"),
    )
    .outerjoin(exam_workers, _W.attempt_id == _A.id)
    .where(
        and_(_A.status == Status.STARTED.value, _A.is_proctored.is_(True), _A.removed_at.is_(None))
    )
    .order_by(_A.id)
)


class WorkerReports:
    """`Liveness` and `Silences` over the server's storage."""

    def __init__(self, store: ProctoringStore) -> None:
        self._store = store

    def status(self, lms: str, attempt: str) -> Status | None:
        with self._store.read() as session:
            try:
                return session.attempts.by_external_id(lms, attempt).status
            except NotFound:
                return None

    def heard(self, lms: str, attempt: str, report: Report) -> Status | None:
        with self._store.read() as session:
            try:
                found = session.attempts.by_external_id(lms, attempt)
            except NotFound:
                return None
            is_new = _is_new(session, found.id, report)
        if is_new:
            with self._store.write() as session:
                has_ended = report is Report.END
                session.tx.run(
                    _HEARD.on(session.tx), of=found.id, has_ended=has_ended, now=session.tx.now
                )
        return found.status

    def watched(self) -> Sequence[Watched]:
        with self._store.read() as session:
            rows = session.tx.all(_WATCHED)
        return [
            Watched(
                attempt_id=row.id,
                started_since=row.started_since,
                heard_at=row.heard_at,
                has_ended=row.has_ended,
            )
            for row in rows
            if row.reported is None or row.reported < _last(row.heard_at, row.started_since)
        ]

    def report(self, incident: NewIncident) -> None:
        with self._store.write() as session:
            reporting.report(session, incident)


def _is_new(session: ProctoringSession, attempt_id: int, report: Report) -> bool:
    last = session.tx.one(_LAST, of=attempt_id)
    if last is None or last.has_ended != (report is Report.END):
        return True
    return is_worth_noting(last.heard_at, session.now)


def _last(heard_at: datetime | None, started_since: datetime) -> datetime:
    return max(heard_at or started_since, started_since)
