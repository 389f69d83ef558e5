"""Accounts, tokens and the record of who changed what, through the API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.api.callers import OTHER, ApiClient, Site, problem_of
from tests.server.builders import COURSE, PASSWORD, QUEUE
from xqueue_server.instant import to_datetime
from xqueue_server.models.account import ALL_QUEUES, Role
from xqueue_server.storage import accounts


@pytest.fixture
def admin(site: Site) -> ApiClient:
    return site.password(site.account("admin", Role.ADMIN, queue=ALL_QUEUES))


def scope(role: str, queue: str = QUEUE) -> dict[str, str]:
    return {"role": role, "queue": queue}


def test_an_account_is_added_changed_and_removed(site: Site, admin: ApiClient) -> None:
    grants = [scope("operator"), {"role": "viewer", "course": COURSE}]
    added = admin.call(
        "POST", "/accounts", json={"name": "eve", "password": PASSWORD, "grants": grants}
    )
    assert added.status_code == 201
    assert added.get_json()["grants"] == grants
    with site.storage.read() as tx:
        eve = site.password(accounts.get(tx, "eve"))
    assert eve.get("/accounts/eve")["name"] == "eve"
    problem_of(admin.call("POST", "/accounts", json={"name": "eve"}), 409, "conflict")

    revoked = admin.call("POST", "/accounts/eve/revoke", json={"grants": [grants[1]]})
    assert revoked.get_json()["grants"] == grants[:1]
    again = admin.call("POST", "/accounts/eve/revoke", json={"grants": [grants[1]]})
    problem_of(again, 409, "conflict")
    granted = admin.call("POST", "/accounts/eve/grant", json={"grants": [scope("viewer", "*")]})
    assert scope("viewer", "*") in granted.get_json()["grants"]

    disabled = admin.call("PATCH", "/accounts/eve", json={"active": False})
    assert disabled.get_json()["active"] is False
    problem_of(eve.call("GET", "/queues"), 401, "not-signed-in")
    assert admin.call("DELETE", "/accounts/eve").status_code == 204
    problem_of(admin.call("GET", "/accounts/eve"), 404, "not-found")


def test_no_hash_and_no_password_is_ever_shown(site: Site, admin: ApiClient) -> None:
    for path in ("/accounts", "/accounts/worker"):
        text = admin.call("GET", path).get_data(as_text=True)
        assert "argon2" not in text
        assert PASSWORD not in text


def test_an_account_without_a_password_can_not_be_entered_with_one(
    site: Site, admin: ApiClient
) -> None:
    assert admin.call("POST", "/accounts", json={"name": "eve"}).status_code == 201
    with site.storage.read() as tx:
        eve = accounts.get(tx, "eve")
    problem_of(site.password(eve, "").call("GET", "/queues"), 401, "not-signed-in")
    problem_of(site.password(eve).call("GET", "/queues"), 401, "not-signed-in")


def test_a_new_password_takes_the_place_of_the_old(site: Site, admin: ApiClient) -> None:
    old = site.password(site.account("eve", Role.VIEWER))
    assert old.call("GET", "/queues").status_code == 200
    changed = admin.call("PATCH", "/accounts/eve", json={"password": "another one"})
    assert changed.status_code == 200
    problem_of(old.call("GET", "/queues"), 401, "not-signed-in")


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ({}, "name"),
        ({"name": "eve", "password": ""}, "password"),
        ({"name": "eve", "password": "a\0b"}, "password"),
        ({"name": "eve", "grants": [{"role": "king", "queue": QUEUE}]}, "grants[0].role"),
        ({"name": "eve", "grants": [{"role": "viewer"}]}, "grants[0]"),
        ({"name": "eve", "grants": [{"role": "viewer", "queue": "q", "course": "c"}]}, "grants[0]"),
        ({"name": "eve", "grants": [{"role": "admin", "course": COURSE}]}, "grants[0].role"),
        ({"name": "eve", "grants": {"role": "viewer"}}, "grants"),
        ({"name": "eve", "admin": True}, "admin"),
    ],
)
def test_an_account_that_can_not_be_is_refused(
    site: Site, admin: ApiClient, document: dict[str, Any], where: str
) -> None:
    refused = admin.call("POST", "/accounts", json=document)
    assert where in [e["where"] for e in problem_of(refused, 422, "invalid")["errors"]]
    with site.storage.read() as tx:
        assert accounts.by_name(tx, "eve") is None


def test_a_grant_on_a_queue_that_is_not_there_stores_nothing(site: Site, admin: ApiClient) -> None:
    document = {"name": "eve", "grants": [scope("viewer", "missing")]}
    problem_of(admin.call("POST", "/accounts", json=document), 404, "not-found")
    with site.storage.read() as tx:
        assert accounts.by_name(tx, "eve") is None


def test_an_account_sees_itself_and_no_other(site: Site) -> None:
    viewer = site.token("viewer", Role.VIEWER)
    assert viewer.get("/accounts/viewer")["grants"] == [scope("viewer")]
    problem_of(viewer.call("GET", "/accounts/worker"), 403, "forbidden")
    problem_of(viewer.call("GET", "/accounts/missing"), 403, "forbidden")


# -- tokens --------------------------------------------------------------------------------------


def test_a_token_is_shown_once_and_opens_what_it_is_for(site: Site) -> None:
    maker = site.password(site.account("maker", Role.OPERATOR, Role.VIEWER))
    made = maker.call("POST", "/tokens", json={"scopes": [scope("viewer")]})
    assert made.status_code == 201
    assert made.headers["Cache-Control"] == "no-store"
    secret = made.get_json()["token"]
    held = site.bearer(secret)
    assert held.call("GET", "/queues").status_code == 200
    pause = held.call("POST", f"/queues/{QUEUE}/pause", json={"reason": "x"})
    problem_of(pause, 403, "forbidden")
    listing = maker.call("GET", "/tokens")
    assert secret not in listing.get_data(as_text=True)
    (listed,) = listing.get_json()["tokens"]
    assert (listed["account"], listed["scopes"]) == ("maker", [scope("viewer")])
    assert maker.call("DELETE", f"/tokens/{listed['id']}").status_code == 204
    assert maker.call("DELETE", f"/tokens/{listed['id']}").status_code == 204
    problem_of(held.call("GET", "/queues"), 401, "not-signed-in")


@pytest.mark.parametrize(
    "wanted", [scope("operator"), scope("viewer", OTHER), scope("viewer", ALL_QUEUES + "x")]
)
def test_a_token_never_allows_more_than_its_maker_may(site: Site, wanted: dict[str, str]) -> None:
    maker = site.password(site.account("maker", Role.VIEWER))
    problem_of(maker.call("POST", "/tokens", json={"scopes": [wanted]}), 409, "conflict")
    assert maker.get("/tokens") == {"tokens": [], "next": None}


def test_a_token_makes_no_tokens(site: Site) -> None:
    """It would outlive its own end."""
    held = site.token("maker", Role.VIEWER)
    refused = held.call("POST", "/tokens", json={"scopes": [scope("viewer")]})
    problem_of(refused, 403, "forbidden")


def test_only_an_administrator_makes_and_ends_tokens_of_others(
    site: Site, admin: ApiClient
) -> None:
    viewer = site.password(site.account("viewer", Role.VIEWER))
    document = {"account": "worker", "scopes": [scope("grader")]}
    problem_of(viewer.call("POST", "/tokens", json=document), 403, "forbidden")
    made = admin.call("POST", "/tokens", json=document)
    assert (made.status_code, made.get_json()["account"]) == (201, "worker")
    path = f"/tokens/{made.get_json()['id']}"
    problem_of(viewer.call("DELETE", path), 404, "not-found")
    assert admin.call("DELETE", path).status_code == 204
    problem_of(admin.call("DELETE", "/tokens/99999999999999999999"), 404, "not-found")


def test_a_token_ends_within_a_year(site: Site) -> None:
    maker = site.password(site.account("maker", Role.VIEWER))
    now = to_datetime(site.storage.now_us())
    for wrong in (now - timedelta(1), now, now + timedelta(367)):
        document = {"scopes": [scope("viewer")], "expires_at": wrong.isoformat()}
        refused = maker.call("POST", "/tokens", json=document)
        assert problem_of(refused, 422, "invalid")["errors"][0]["where"] == "expires_at"
    made = maker.call("POST", "/tokens", json={"scopes": [scope("viewer")]}).get_json()
    assert made["expires_at"] == (now + timedelta(90)).isoformat()
    courses = {"scopes": [{"role": "viewer", "course": COURSE}]}
    problem_of(maker.call("POST", "/tokens", json=courses), 422, "invalid")


# -- the record ----------------------------------------------------------------------------------


def test_what_was_done_is_told_to_those_who_see_the_thing(site: Site, admin: ApiClient) -> None:
    submission_id = site.submit()
    viewer = site.token("viewer", Role.VIEWER)
    told = viewer.get("/events", subject=f"submission {submission_id}")["events"]
    assert [e["why"] for e in told] == ["arrive"]
    assert viewer.get("/events", subject=f"queue {QUEUE}")["events"][-1]["why"] == "added"
    assert viewer.get("/events", subject="account viewer")["events"][-1]["why"] == "added"
    for subject in ("account worker", "host grading-1", "submissions"):
        refused = viewer.call("GET", "/events", query_string={"subject": subject})
        problem_of(refused, 403, "forbidden")
    problem_of(viewer.call("GET", "/events"), 403, "forbidden")
    for subject in (f"queue {OTHER}", "submission 999", "callback 7"):
        missing = viewer.call("GET", "/events", query_string={"subject": subject})
        problem_of(missing, 404, "not-found")
    everything = admin.get("/events", limit="2")
    assert len(everything["events"]) == 2
    older = admin.get("/events", limit="2", cursor=everything["next"])
    assert older["events"][0]["id"] < everything["events"][-1]["id"]


def test_who_did_it_by_which_token_is_recorded(site: Site, admin: ApiClient) -> None:
    operator = site.token("operator", Role.OPERATOR)
    operator.call("POST", f"/queues/{QUEUE}/pause", json={"reason": "mending"})
    (last, *_) = admin.get("/events", subject=f"queue {QUEUE}")["events"]
    assert (last["why"], last["detail"]) == ("paused", "mending")
    assert last["actor"].startswith("account operator by token ")


def test_accounts_and_tokens_are_listed_a_page_at_a_time_newest_first(site: Site) -> None:
    admin = site.password(site.account("admin", Role.ADMIN, queue=ALL_QUEUES))
    for name, made in (("accounts", "POST /accounts"), ("tokens", "POST /tokens")):
        for number in range(3):
            body: dict[str, Any] = {"name": f"new-{number}"}
            if name == "tokens":
                body = {"scopes": [{"role": "admin", "queue": "*"}]}
            assert admin.call("POST", made.partition(" ")[2], json=body).status_code == 201
        whole = [each["id"] for each in admin.get(f"/{name}")[name]]
        found, cursor = [], ""
        while cursor is not None:
            page = admin.get(f"/{name}", limit="2", **({"cursor": cursor} if cursor else {}))
            assert len(page[name]) <= 2
            found += [each["id"] for each in page[name]]
            cursor = page["next"]
        assert found == whole == sorted(whole, reverse=True)
        assert len(found) >= 3


def test_an_address_is_set_kept_and_taken_away(site: Site, admin: ApiClient) -> None:
    added = {"name": "eve", "email": "eve@example.org"}
    assert admin.call("POST", "/accounts", json=added).get_json()["email"] == "eve@example.org"
    admin.call("PATCH", "/accounts/eve", json={"active": True})
    assert admin.get("/accounts/eve")["email"] == "eve@example.org"
    for wrong in ("eve", 5):
        refused = admin.call("PATCH", "/accounts/eve", json={"email": wrong})
        problem_of(refused, 422, "invalid")
    assert admin.call("PATCH", "/accounts/eve", json={"email": None}).get_json()["email"] is None
