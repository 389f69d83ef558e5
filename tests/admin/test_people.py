"""People of identity providers, grants for courses and searching the record, on both databases."""

from __future__ import annotations

import pytest

from tests.conftest import database_url
from tests.server.builders import QUEUE, Desk, add_account
from xqueue_server.accounts import people
from xqueue_server.accounts.access import REPAIR, SEE, scope_of
from xqueue_server.errors import Conflict, InvalidRequest, NotSignedIn
from xqueue_server.identity_providers import Person
from xqueue_server.models.account import ALL_QUEUES, Grant, Role
from xqueue_server.storage import accounts, audit, course_grants, events
from xqueue_server.storage.course_grants import CourseGrant

__all__ = ["database_url"]

COURSE = "course-v1:A+B+C"
OLGA = Person(issuer="https://id.example.org", subject="7", name="Olga O'Hara", email="o@x.org")


def test_a_person_keeps_the_account_and_gets_a_name_that_can_be_one(desk: Desk) -> None:
    first = people.account_for(desk.storage, OLGA, ())
    again = people.account_for(desk.storage, OLGA, ())

    assert (first.name, again.id, again.grants) == ("Olga-O-Hara", first.id, ())


def test_the_same_subject_of_another_issuer_is_another_person(desk: Desk) -> None:
    other = Person(issuer="https://other.example.org", subject="7", name="Olga O'Hara")

    first = people.account_for(desk.storage, OLGA, ())
    second = people.account_for(desk.storage, other, ())

    assert (second.name, second.id == first.id) == ("Olga-O-Hara-2", False)


def test_who_is_listed_administers_everything_until_it_is_taken_back_in_the_settings_too(
    desk: Desk,
) -> None:
    account = people.account_for(desk.storage, OLGA, ("7",))

    assert account.grants == (Grant(role=Role.ADMIN, queue=ALL_QUEUES),)


@pytest.mark.parametrize("subject", ["", "x" * 256, "a\0b"])
def test_a_subject_that_can_not_be_kept_is_refused(desk: Desk, subject: str) -> None:
    person = Person(issuer="https://id.example.org", subject=subject, name="x")

    with pytest.raises(NotSignedIn):
        people.account_for(desk.storage, person, ())


def test_scopes_come_from_queues_and_courses(desk: Desk) -> None:
    add_account(desk.storage, "teacher", Role.VIEWER, queue=QUEUE)
    with desk.storage.write() as tx:
        given = CourseGrant(role=Role.OPERATOR, course=COURSE)
        course_grants.grant(tx, "teacher", given, actor="test")
        course_grants.grant(tx, "teacher", given, actor="test")
        teacher = accounts.get(tx, "teacher")
        seen, repaired = scope_of(tx, teacher, SEE), scope_of(tx, teacher, REPAIR)

    assert seen.covers(QUEUE, "")
    assert seen.covers("other", COURSE)
    assert not seen.covers("other", "")
    assert repaired.covers("other", COURSE)
    assert not repaired.covers(QUEUE, "course-v1:D+E+F")


def test_a_grant_for_a_course_is_taken_back_exactly(desk: Desk) -> None:
    add_account(desk.storage, "teacher")
    viewer = CourseGrant(role=Role.VIEWER, course=COURSE)
    with desk.storage.write() as tx:
        course_grants.grant(tx, "teacher", viewer, actor="test")
    operator = CourseGrant(role=Role.OPERATOR, course=COURSE)
    with desk.storage.write() as tx, pytest.raises(Conflict):
        course_grants.revoke(tx, "teacher", operator, actor="test")
    with desk.storage.write() as tx:
        course_grants.revoke(tx, "teacher", viewer, actor="test")
        assert course_grants.of_all(tx) == {}


@pytest.mark.parametrize(
    ("role", "course"),
    [(Role.ADMIN, COURSE), (Role.LMS, COURSE), (Role.VIEWER, ""), (Role.VIEWER, "a b")],
)
def test_what_is_no_grant_for_a_course_is_refused(desk: Desk, role: Role, course: str) -> None:
    add_account(desk.storage, "teacher")
    given = CourseGrant(role=role, course=course)
    with desk.storage.write() as tx, pytest.raises(InvalidRequest):
        course_grants.grant(tx, "teacher", given, actor="test")


def test_the_record_is_searched_by_subject_actor_and_id(desk: Desk) -> None:
    submission_id = desk.submit()
    desk.lease()

    with desk.storage.read() as tx:
        both = audit.page(tx, subject=f"submission {submission_id}")
        (leased,) = audit.page(tx, actor="account grader")
        (same,) = audit.page(tx, event_id=leased.id)
        older = audit.page(tx, subject=f"submission {submission_id}", before=leased.id)

    assert [event.why for event in both] == ["lease", "arrive"]
    assert same == leased
    assert [event.why for event in older] == ["arrive"]
    with desk.storage.read() as tx:
        assert audit.latest_of_actor(tx, "account grader") == leased.id
        assert audit.latest_of_actor(tx, "account nobody") is None


def test_what_people_did_is_found_among_what_machines_did(desk: Desk) -> None:
    mine = [f"account {name}" for name in ("zoe", "adam")]
    with desk.storage.write() as tx:
        for number in range(6):
            desk_actor = mine[number % 2] if number in (0, 3) else "account lms"
            events.append(tx, subject=f"queue {number}", actor=desk_actor, why="paused")
    with desk.storage.read() as tx:
        known = audit.actors(tx)
        newest = audit.page_of(tx, mine, limit=1)
        older = audit.page_of(tx, mine, limit=5, before=newest[0].id)
        nobody = audit.page_of(tx, [], limit=5)

    assert list(known) == sorted(known)
    assert {*mine, "account lms"} <= set(known)
    assert [event.subject for event in (*newest, *older)] == ["queue 3", "queue 0"]
    assert list(nobody) == []


def test_an_account_gets_the_verified_address_and_keeps_what_an_administrator_has_set(
    desk: Desk,
) -> None:
    unverified = Person(issuer=OLGA.issuer, subject=OLGA.subject, name=OLGA.name)
    assert people.account_for(desk.storage, unverified, ()).email is None
    found = people.account_for(desk.storage, OLGA, ())
    assert found.email == "o@x.org"
    with desk.storage.write() as tx:
        accounts.set_email(tx, found.name, "olga@lms.example", actor="test")
    assert people.account_for(desk.storage, OLGA, ()).email == "olga@lms.example"
