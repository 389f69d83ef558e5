"""How attempts are shown: ids only, no names."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any

from proctoring_hooks.attempt import Attempt
from xqueue_server.cli.output import show_facts, show_json, show_section, show_table
from xqueue_server.storage.proctoring.story import Story

_INNER = frozenset({"history_head", "learner"})


def object_of(attempt: Attempt, now: datetime) -> dict[str, Any]:
    """As JSON; with what the time is, for whoever counts down."""
    fields = {
        f.name: getattr(attempt, f.name)
        for f in dataclasses.fields(Attempt)
        if f.name not in _INNER
    }
    return {**fields, **dataclasses.asdict(attempt.learner), "server_now": now}


def line_of(attempt: Attempt) -> tuple[Any, ...]:
    return (
        attempt.id,
        attempt.exam_id,
        learner_of(attempt),
        attempt.status,
        attempt.started_at,
        attempt.expires_at,
        attempt.is_flagged,
    )


def learner_of(attempt: Attempt) -> str:
    return attempt.learner.user_id or attempt.learner.obscured_id


def show_story(story: Story, *, as_json: bool) -> None:
    if as_json:
        show_json(_object(story))
        return
    facts = object_of(story.attempt, story.now) | {"exam": story.exam.exam_name}
    show_facts([(name.replace("_", " "), value) for name, value in facts.items()])
    show_section(
        "History",
        lambda: show_table(
            ["AT", "ACTOR", "WHO", "ACTION", "FROM", "TO", "REASON"],
            [
                (c.at, c.actor, c.who, c.action, c.before, c.after, row.reason)
                for row in story.history
                for c in [row.change]
            ],
        ),
    )
    show_section(
        "Incidents",
        lambda: show_table(
            ["AT", "FROM", "WHAT", "SEVERITY", "STRIKE", "CONSEQUENCES"],
            [
                (i.happened_at, i.source, i.kind, i.severity, i.strike, ", ".join(i.consequences))
                for i in story.incidents
            ],
        ),
    )
    show_section(
        "Reviews",
        lambda: show_table(
            ["AT", "BY", "PERSON", "VERDICT", "EFFECT", "COMMENTS"],
            [
                (
                    r.received_at,
                    r.review.actor,
                    r.review.reviewed_by,
                    r.review.action,
                    r.effect,
                    len(r.review.comments),
                )
                for r in story.reviews
            ],
        ),
    )
    show_section(
        "Submissions",
        lambda: show_table(
            ["ID", "ARRIVED", "STANDING", "GRADE", "FACTOR"],
            [
                (s.submission_id, s.arrived_at, s.standing, s.state, s.factor)
                for s in story.submissions
            ],
        ),
    )
    show_section(
        "Messages",
        lambda: show_table(
            ["ID", "KIND", "TO", "WHAT", "STATE", "TRIES"],
            [(m.id, m.kind, m.recipient, m.purpose, m.state, m.attempt) for m in story.messages],
        ),
    )


def _object(story: Story) -> dict[str, Any]:
    """Without links to recordings: those are for who may judge."""
    return {
        "attempt": object_of(story.attempt, story.now),
        "exam": story.exam.exam_name,
        "history": [
            dataclasses.asdict(row.change) | {"reason": row.reason} for row in story.history
        ],
        "incidents": story.incidents,
        "reviews": [
            {
                "place": each.place,
                "received_at": each.received_at,
                "effect": each.effect,
                "actor": each.review.actor,
                "action": each.review.action,
                "reviewed_by": each.review.reviewed_by,
                "comments": each.review.comments,
            }
            for each in story.reviews
        ],
        "submissions": story.submissions,
        "messages": [
            {
                "id": each.id,
                "kind": each.kind,
                "recipient": each.recipient,
                "purpose": each.purpose,
                "state": each.state,
                "attempt": each.attempt,
            }
            for each in story.messages
        ],
    }
