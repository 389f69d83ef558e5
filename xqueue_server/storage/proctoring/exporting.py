"""All that is stored of one learner in exams, for himself to have.

Without what is somebody else's: who judged, granted or reported, and what the server keeps of keys.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from sqlalchemy import BigInteger, bindparam, select

from proctoring_hooks.history import Row
from proctoring_hooks.incidents import Incident
from xqueue_server.models.callback import Callback
from xqueue_server.storage import callbacks
from xqueue_server.storage.engine import Transaction
from xqueue_server.storage.proctoring import browsing
from xqueue_server.storage.proctoring.learners import Whose, attempts_of, tried
from xqueue_server.storage.proctoring.records import Received
from xqueue_server.storage.proctoring.session import ProctoringSession
from xqueue_server.storage.proctoring_schema import (
    exam_allowances,
    exam_course_staff,
    exam_learners,
    exam_workers,
    exams,
    marks,
)
from xqueue_server.storage.schema import callbacks as outbox

Document = dict[str, Any]

_N, _G, _S, _M, _W = (
    exam_learners.c,
    exam_allowances.c,
    exam_course_staff.c,
    marks.c,
    exam_workers.c,
)
_E = exams.c
_HEARD = select(_W.heard_at, _W.has_ended).where(_W.attempt_id == bindparam("of"))
_BODY = select(outbox.c.body).where(outbox.c.id == bindparam("of", type_=BigInteger))
_NOT_OF_HIM = frozenset({"history_head"})
_OTHERS = frozenset({"reviewed_by", "reviewer_email", "requested_by"})


def export(session: ProctoringSession, of: Whose) -> Document:
    """As JSON takes it, but for instants."""
    tx = session.tx
    ids = sorted(of.ids)
    in_course = [] if of.course_id is None else [_E.course_id == of.course_id]
    its_exams = select(_E.id).where(_E.lms == of.lms, *in_course)
    return {
        "lms": of.lms,
        "names": _rows(
            tx,
            select(_N.learner, _N.full_name, _N.email, _N.username, _N.told_at).where(
                _N.lms == of.lms, _N.learner.in_(ids)
            ),
        ),
        "attempts": [_attempt(session, each) for each in attempts_of(tx, of)],
        "allowances": _rows(
            tx,
            select(_G.exam_id, _G.user_id, _G.kind, _G.value, _G.granted_at).where(
                _G.exam_id.in_(its_exams), _G.user_id.in_(ids)
            ),
        ),
        "marks": _rows(
            tx,
            select(
                *(
                    _M[name]
                    for name in ("exam_id", "learner", "problem", "submission_id", "attempt_id")
                ),
                *(_M[name] for name in ("score", "factor", "state", "written_at")),
            ).where(_M.exam_id.in_(its_exams), _M.learner.in_(ids)),
        ),
        "staff_of": _rows(
            tx,
            select(_S.course_id, _S.user_id, _S.granted_at).where(
                _S.lms == of.lms, _S.user_id.in_(ids)
            ),
        ),
        "tries": tried(tx, of),
    }


def _rows(tx: Transaction, statement: Any) -> list[Document]:
    return [dict(row._mapping) for row in tx.all(statement)]


def _attempt(session: ProctoringSession, attempt_id: int) -> Document:
    tx = session.tx
    attempt = session.attempts.even_removed(attempt_id)
    told = {name: value for name, value in asdict(attempt).items() if name not in _NOT_OF_HIM}
    heard = tx.one(_HEARD, of=attempt_id)
    return told | {
        "history": [_change(row) for row in session.attempts.history(attempt_id)],
        "reviews": [_review(each) for each in session.records.received(attempt_id)],
        "incidents": [_incident(each) for each in session.records.incidents(attempt_id)],
        "submissions": [each.submission_id for each in session.grades.of_attempt(attempt_id)],
        "worker": dict(heard._mapping) if heard else None,
        "messages": [_message(tx, each) for each in browsing.messages_of(tx, attempt_id)],
    }


def _change(row: Row) -> Document:
    change = row.change
    return {
        "at": change.at,
        "actor": change.actor,
        "action": change.action,
        "before": change.before,
        "after": change.after,
        "facts": json.loads(change.facts),
        "reason": row.reason,
    }


def _review(received: Received) -> Document:
    review = received.review
    return {
        "received_at": received.received_at,
        "actor": review.actor,
        "verdict": review.action,
        "effect": received.effect,
        "comments": [asdict(each) for each in review.comments],
        "link": review.link,
    }


def _incident(incident: Incident) -> Document:
    told = asdict(incident)
    del told["reported_by"]
    return told


def _without_others(body: str) -> Any:
    """What was told, but for who has judged or asked."""
    if not body:
        return None
    told = json.loads(body)
    return {name: value for name, value in told.items() if name not in _OTHERS}


def _message(tx: Transaction, message: Callback) -> Document:
    return {
        "kind": message.kind,
        "recipient": message.recipient,
        "purpose": message.purpose,
        "url": message.url,
        "state": message.state,
        "created_at": message.created_at,
        "finished_at": message.finished_at,
        "body": _without_others(tx.scalar(_BODY, of=message.id)),
        "last_error": message.last_error,
        "tries": [
            {
                "started_at": each.started_at,
                "status": each.status,
                "error": each.error,
                "response": each.response,
            }
            for each in callbacks.attempts_of(tx, message.id)
        ],
    }
