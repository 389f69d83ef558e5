"""The record of who changed what: what it must not say; what is searched in it is found quickly."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.sql.expression import Executable

from tests.api.callers import Site
from tests.server.builders import QUEUE
from xqueue_server.models.account import ALL_QUEUES, Role
from xqueue_server.storage import Storage, audit, events

HOOK = "https://chat.example.org:8443/hooks/T0P/S3CRET?key=S3CRET,S3CRET"
SAFE = "webhook_url=https://chat.example.org:8443"


def details(site: Site) -> list[str]:
    viewer = site.token("viewer", Role.VIEWER)
    found = viewer.get("/events", subject=f"queue {QUEUE}")["events"]
    return [event["detail"] or "" for event in found]


def test_of_a_webhook_only_where_it_goes_is_recorded(site: Site) -> None:
    admin = site.password(site.account("admin", Role.ADMIN, queue=ALL_QUEUES))
    body = {"webhook_url": HOOK, "max_pids": 99}
    assert admin.call("PATCH", f"/queues/{QUEUE}/policy", json=body).status_code == 200
    assert f"max_pids=99, {SAFE}" in details(site)
    with site.storage.read() as tx:
        stored = [bytes(row.detail) for row in tx.all(text("SELECT detail FROM events"))
                  if row.detail is not None]  # fmt: skip
    assert not any(b"S3CRET" in detail for detail in stored)


@pytest.mark.parametrize(
    ("recorded", "shown"),
    [
        (f"webhook_url={HOOK}, email=None", f"{SAFE}, email=None"),
        (f"max_pids=9, webhook_url={HOOK}", f"max_pids=9, {SAFE}"),
        ("webhook_url=None, email=a@b.c", "webhook_url=None, email=a@b.c"),
    ],
)
def test_what_was_recorded_before_does_not_show_it_either(
    site: Site, recorded: str, shown: str
) -> None:
    with site.storage.write() as tx:
        events.append(tx, subject=f"queue {QUEUE}", actor="operator", why="notify", detail=recorded)
    assert details(site)[0] == shown


def test_events_of_a_thing_are_those_of_no_other(site: Site) -> None:
    submission_id = site.submit()
    site.desk.put(site.desk.lease())
    site.desk.deliver(site.desk.claim_callback())
    viewer = site.token("viewer", Role.VIEWER)
    callback_id = viewer.get("/callbacks")["callbacks"][0]["id"]
    for subject in (f"submission {submission_id}", f"callback {callback_id}", f"queue {QUEUE}"):
        found = viewer.get("/events", subject=subject)["events"]
        assert found
        assert {event["subject"] for event in found} == {subject}


@pytest.mark.parametrize(
    ("named", "kind", "index"),
    [
        ({"of_subject"}, "thing", "ix_events_subject"),
        ({"of_subject", "of_number"}, "submission", "ix_events_submission_id"),
        ({"of_subject", "of_number"}, "callback", "ix_events_submission_id"),
        ({"of_actor"}, "thing", "ix_events_actor"),
        ({"of_actor", "before"}, "thing", "ix_events_actor"),
    ],
)
def test_what_is_rare_in_a_long_record_is_found_by_an_index(
    site: Site, named: set[str], kind: str, index: str
) -> None:
    with site.storage.write() as tx:
        tx.run_many(
            text(
                "INSERT INTO events (at, submission_id, subject, actor, why) "
                "VALUES (1, :id, :subject, 'account lms', 'accepted')"
            ),
            # As many of other things: or one index would do as well as another.
            [{"id": n, "subject": f"submission {n}"} for n in range(1, 3001)]
            + [{"id": None, "subject": f"account {n}"} for n in range(1, 3001)],
        )
        tx.run(text("ANALYZE"))
    given = {
        "of_subject": "queue q", "of_number": 7, "of_actor": "account olga", "before": 2900,
        "size": 50,
    }  # fmt: skip
    statement = audit._page(frozenset(named), kind)
    plan = plan_of(site.storage, statement, given)
    assert index in plan, plan
    assert not re.search(r"Seq Scan on events|SCAN events(?! USING)", plan), plan


def plan_of(storage: Storage, statement: Executable, given: dict[str, Any]) -> str:
    compiled = statement.compile(dialect=storage.engine.dialect)
    names = compiled.positiontup
    bound = compiled.construct_params({k: v for k, v in given.items() if k in compiled.params})
    explain = "EXPLAIN " if compiled.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
    values: Any = tuple(bound[name] for name in names) if names else bound
    with storage.engine.connect() as connection:
        rows = connection.exec_driver_sql(explain + str(compiled), values).all()
    return "\n".join(str(row[-1]) for row in rows)
