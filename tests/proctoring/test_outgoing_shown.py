"""What is told of exams, as people see it, and how long it is kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select

from proctoring_hooks import attempts
from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import ClockOwner
from proctoring_hooks.transitions import Action
from tests.api.callers import Site
from tests.delivery.lms import running_lms
from tests.delivery.outbox_data import deliver_now
from tests.proctoring.conftest import COURSE, EXAM, LMS, SECRET_KEY
from tests.proctoring.outgoing import SignedIn, messages, move_lms, post_office, put_provider
from tests.proctoring.sitting import LMS_SAYS, PROCTOR, registered
from tests.server.conftest import desk, environment, server, server_settings
from tests.server.web_client import Server
from xqueue_server.files.local import LocalFiles
from xqueue_server.instant import ManualClock
from xqueue_server.models.account import Role
from xqueue_server.models.callback import CallbackState
from xqueue_server.models.scope import EVERYTHING, Scope
from xqueue_server.storage import Storage, callback_pages, callbacks, schema
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.upkeep.retention import Keep, apply, preview

__all__ = ["desk", "environment", "server", "server_settings"]

DAY_S = 24 * 3600


@pytest.fixture
def refused(storage: Storage, store: ProctoringStore) -> int:
    """A message about an attempt that its LMS has refused for good."""
    with running_lms() as lms:
        move_lms(store, lms.origin)
        _ready(store, _attempt(store))
        SignedIn(lms).answers = [404]
        with post_office(storage, store) as deliverer:
            deliver_now(deliverer)
    return messages(storage)[0].id


def _attempt(store: ProctoringStore) -> Attempt:
    with store.write() as session:
        exam = session.exams.add(replace(EXAM, clock_owner=ClockOwner.LMS))
    return registered(store, exam, by=LMS_SAYS)


def _ready(store: ProctoringStore, attempt: Attempt) -> None:
    with store.write() as session:
        attempts.act(session, attempt.id, Action.READY, PROCTOR)


def test_only_those_of_a_course_see_its_messages(storage: Storage, refused: int) -> None:
    scopes = {
        "everything": (EVERYTHING, [refused]),
        "the course": (Scope(courses=frozenset({COURSE})), [refused]),
        "another course": (Scope(courses=frozenset({"course-v1:o+o+o"})), []),
        "a queue": (Scope(queues=frozenset({"python"})), []),
        "nothing": (Scope(), []),
    }
    with storage.read() as tx:
        message = callbacks.get(tx, refused)
        for name, (scope, seen) in scopes.items():
            assert [each.id for each in callback_pages.latest(tx, scope)] == seen, name
            assert callback_pages.is_visible(tx, message, scope) is bool(seen), name


def test_the_api_shows_attempt_recipient_and_purpose_and_replays(
    site: Site, server: Server, refused_here: int
) -> None:
    chief = site.token("chief", Role.ADMIN, queue="*")
    [listed] = chief.get("/callbacks")["callbacks"]
    shown = chief.get(f"/callbacks/{refused_here}")
    for document in (listed, shown):
        assert document["submission_id"] is None
        assert (document["kind"], document["recipient"]) == ("lms", "edx")
        assert (document["purpose"], document["state"]) == ("ready", "dead")
        assert isinstance(document["attempt_id"], int)
    other = site.token("viewer", Role.VIEWER)
    assert other.get("/callbacks")["callbacks"] == []
    assert other.call("GET", f"/callbacks/{refused_here}").status_code == 404
    assert chief.call("POST", f"/callbacks/{refused_here}/replay", json={}).status_code == 200
    with server.desk.storage.read() as tx:
        assert callbacks.get(tx, refused_here).state is CallbackState.PENDING


@pytest.fixture
def refused_here(server: Server) -> int:
    """The same in the database of the web application."""
    storage = server.desk.storage
    store = ProctoringStore(storage, SECRET_KEY)
    with store.write() as session:
        session.lmses.add(LMS)
    _ready(store, _attempt(store))
    message = messages(storage)[0].id
    with storage.write() as tx:
        tx.connection.execute(schema.callbacks.update().values(state="dead", next_at=None))
    return message


@pytest.fixture
def site(server: Server) -> Site:
    return Site(server)


def test_what_was_told_of_exams_goes_when_results_go(
    storage: Storage, refused: int, tmp_path: Path, clock: ManualClock
) -> None:
    keep = Keep(code_s=0, results_s=10 * DAY_S, load_s=0)
    files = LocalFiles(tmp_path)
    clock.advance(9 * DAY_S)
    assert apply(storage, files, keep).messages == 0
    clock.advance(DAY_S)
    assert preview(storage, keep).messages == 1
    assert apply(storage, files, keep).messages == 1
    assert messages(storage) == []
    with storage.read() as tx:
        for table in (schema.callback_attempts, schema.events):
            assert tx.scalar(select(func.count()).select_from(table)) == 0, table.name


def test_what_is_still_to_be_told_is_kept(
    storage: Storage, store: ProctoringStore, tmp_path: Path, clock: ManualClock
) -> None:
    _ready(store, _attempt(store))
    clock.advance(100 * DAY_S)
    keep = Keep(code_s=0, results_s=10 * DAY_S, load_s=0)
    assert apply(storage, LocalFiles(tmp_path), keep).messages == 0
    assert len(messages(storage)) == 1


def test_the_stored_message_says_nothing_secret(
    storage: Storage, store: ProctoringStore, refused: int
) -> None:
    put_provider(store, "null")
    with storage.read() as tx:
        row = tx.one(select(schema.callbacks.c.header, schema.callbacks.c.body))
    assert row is not None
    assert json.loads(row.header) == {"recipient": "edx", "purpose": "ready", "method": "POST"}
    assert json.loads(row.body) == {"status": "ready"}
