"""Grants in bodies and answers: a role on a queue ("*": every queue) or on a course."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from xqueue_server.models.account import QUEUE_ROLES, Grant, Role
from xqueue_server.storage.course_grants import MOST_CHARS, ROLES, CourseGrant
from xqueue_server.web.api.reading import Fields
from xqueue_server.web.api.schema import TEXT, Schema, list_of, one_of, record

MOST_GRANTS = 500
MAX_QUEUE_CHARS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    queues: tuple[Grant, ...]
    courses: tuple[CourseGrant, ...]


def read_grants(fields: Fields, name: str, *, is_needed: bool = True) -> Grants:
    """What is wrong is noted in `fields`."""
    given = fields.raw(name)
    if given is None and not is_needed:
        return Grants(queues=(), courses=())
    if not isinstance(given, list) or not len(given) <= MOST_GRANTS or (is_needed and not given):
        fields.wrong(name, f"must be a list of 1 to {MOST_GRANTS} grants")
        return Grants(queues=(), courses=())
    queues: list[Grant] = []
    courses: list[CourseGrant] = []
    for index, item in enumerate(given):
        read = _grant(fields, f"{name}[{index}]", item)
        if isinstance(read, Grant):
            queues.append(read)
        elif read is not None:
            courses.append(read)
    return Grants(queues=tuple(queues), courses=tuple(courses))


def _grant(fields: Fields, where: str, item: Any) -> Grant | CourseGrant | None:
    role = item.get("role") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(role, str) or role not in set(Role):
        fields.wrong(f"{where}.role", f"must be one of {', '.join(Role)}")
        return None
    keys = set(item) - {"role"}
    if keys == {"queue"} and _is_text(item["queue"], MAX_QUEUE_CHARS):
        if role not in QUEUE_ROLES:
            fields.wrong(f"{where}.role", "proctor is a role on courses")
            return None
        return Grant(role=Role(role), queue=item["queue"])
    if keys == {"course"} and _is_text(item["course"], MOST_CHARS):
        if role not in ROLES:
            fields.wrong(f"{where}.role", f"on a course must be one of {', '.join(sorted(ROLES))}")
            return None
        return CourseGrant(role=Role(role), course=item["course"])
    fields.wrong(where, 'must name a queue ("*": every one) or a course, one of the two')
    return None


def _is_text(value: Any, most: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= most and value.isprintable()


def grant_documents(
    queues: Iterable[Grant], courses: Iterable[CourseGrant] = ()
) -> list[dict[str, str]]:
    on_queues = sorted(queues, key=lambda g: (g.queue, g.role))
    on_courses = sorted(courses, key=lambda g: (g.course, g.role))
    return [
        *({"role": g.role.value, "queue": g.queue} for g in on_queues),
        *({"role": g.role.value, "course": g.course} for g in on_courses),
    ]


QUEUE_GRANT = record("QueueGrant", role=one_of(QUEUE_ROLES), queue=TEXT)
GRANT: Schema = {
    "anyOf": [QUEUE_GRANT, record("CourseGrant", role=one_of(sorted(ROLES)), course=TEXT)]
}
GRANTS = list_of(GRANT)
