"""Reviews and incidents of attempts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, func, insert, select, update

from proctoring_hooks.incidents import Consequence, Incident, NewIncident, Source
from proctoring_hooks.reviews import Comment, Review, digest_of
from proctoring_hooks.transitions import Action, Actor, Effect
from xqueue_server.storage.engine import NOW, Transaction
from xqueue_server.storage.proctoring.sealing import Sealer
from xqueue_server.storage.proctoring_schema import exam_incidents, exam_reviews

_R = exam_reviews.c
_KNOWN = select(_R.place).where(
    _R.attempt_id == bindparam("of"), _R.digest == bindparam("same_digest")
)
_LAST_PLACE = select(func.coalesce(func.max(_R.place), 0)).where(_R.attempt_id == bindparam("of"))
_INSERT_REVIEW = insert(exam_reviews).values(received_at=NOW)
_REVIEWS = select(exam_reviews).where(_R.attempt_id == bindparam("of")).order_by(_R.place)
_DECIDING = (
    select(exam_reviews)
    .where(_R.attempt_id == bindparam("of"), _R.effect == Effect.CHANGE.value)
    .order_by(_R.place.desc())
    .limit(1)
)
_KEPT = _REVIEWS.where(_R.effect == Effect.KEEP.value)
_APPLY = (
    update(exam_reviews)
    .where(_R.attempt_id == bindparam("of"), _R.place == bindparam("at_place"))
    .values(effect=bindparam("new_effect"))
)

_I = exam_incidents.c
_IS_REPORTED = select(_I.id).where(
    _I.attempt_id == bindparam("of"), _I.incident_id == bindparam("same_id")
)
_INSERT_INCIDENT = insert(exam_incidents).values(reported_at=NOW).returning(exam_incidents)
_STRIKES = select(func.count()).where(_I.attempt_id == bindparam("of"), _I.strike.is_not(None))
_INCIDENTS = select(exam_incidents).where(_I.attempt_id == bindparam("of")).order_by(_I.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A review as it came in."""

    place: int
    received_at: datetime
    effect: Effect
    """What it did: a CHANGE, or less."""
    review: Review


class Records:
    """`proctoring_hooks.store.Records` in one transaction that has locked the attempt."""

    def __init__(self, tx: Transaction, sealer: Sealer) -> None:
        self._tx = tx
        self._sealer = sealer

    def add_review(self, attempt_id: int, review: Review, *, effect: str) -> int | None:
        digest = digest_of(review)
        if self._tx.one(_KNOWN, of=attempt_id, same_digest=digest):
            return None
        place = int(self._tx.scalar(_LAST_PLACE, of=attempt_id)) + 1
        self._tx.run(
            _INSERT_REVIEW,
            attempt_id=attempt_id,
            place=place,
            digest=digest,
            actor=review.actor,
            action=review.action,
            reviewed_by=review.reviewed_by,
            reviewer_email=review.reviewer_email,
            comments=json.dumps([asdict(comment) for comment in review.comments]),
            link=self._sealer.seal({"link": review.link}) if review.link else None,
            effect=effect,
            now=self._tx.now,
        )
        return place

    def kept_reviews(self, attempt_id: int) -> Sequence[tuple[int, Review]]:
        return [(row.place, self._review_of(row)) for row in self._tx.all(_KEPT, of=attempt_id)]

    def apply_review(self, attempt_id: int, place: int, *, effect: str) -> None:
        self._tx.run(_APPLY, of=attempt_id, at_place=place, new_effect=effect)

    def deciding_review(self, attempt_id: int) -> Review | None:
        row = self._tx.one(_DECIDING, of=attempt_id)
        return self._review_of(row) if row else None

    def reviews(self, attempt_id: int) -> Sequence[tuple[int, Review]]:
        """Place and review of all, in the order of arrival."""
        return [(row.place, self._review_of(row)) for row in self._tx.all(_REVIEWS, of=attempt_id)]

    def received(self, attempt_id: int) -> Sequence[Received]:
        """All reviews, in the order of arrival."""
        return [
            Received(
                place=row.place,
                received_at=row.received_at,
                effect=Effect(row.effect),
                review=self._review_of(row),
            )
            for row in self._tx.all(_REVIEWS, of=attempt_id)
        ]

    def reviews_with_times(self, attempt_id: int) -> Sequence[tuple[datetime, str, Review]]:
        """When each was received, its effect, and it; in the order of arrival."""
        rows = self._tx.all(_REVIEWS, of=attempt_id)
        return [(row.received_at, row.effect, self._review_of(row)) for row in rows]

    def add_incident(
        self, new: NewIncident, *, strike: int | None, consequences: Sequence[Consequence]
    ) -> Incident | None:
        if self._tx.one(_IS_REPORTED, of=new.attempt_id, same_id=new.incident_id):
            return None
        given = {f.name: getattr(new, f.name) for f in fields(NewIncident)}
        row = self._tx.one(
            _INSERT_INCIDENT,
            **given,
            strike=strike,
            consequences=",".join(consequences),
            now=self._tx.now,
        )
        assert row is not None, "RETURNING"
        return _incident_of(row)

    def strikes(self, attempt_id: int) -> int:
        return int(self._tx.scalar(_STRIKES, of=attempt_id))

    def incidents(self, attempt_id: int) -> Sequence[Incident]:
        return [_incident_of(row) for row in self._tx.all(_INCIDENTS, of=attempt_id)]

    def _review_of(self, row: Row[Any]) -> Review:
        return Review(
            action=Action(row.action),
            actor=Actor(row.actor),
            reviewed_by=row.reviewed_by,
            reviewer_email=row.reviewer_email,
            comments=tuple(Comment(**each) for each in json.loads(row.comments)),
            link=self._sealer.open(bytes(row.link))["link"] if row.link else None,
        )


def _incident_of(row: Row[Any]) -> Incident:
    found = dict(row._mapping)
    found["source"] = Source(found["source"])
    names = found["consequences"].split(",") if found["consequences"] else []
    found["consequences"] = tuple(Consequence(name) for name in names)
    return Incident(**found)
