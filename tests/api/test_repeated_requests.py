"""`Idempotency-Key`: a request whose answer was lost is sent again, and acts once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from tests.api.callers import ApiClient, Site, manifest, problem_of
from tests.server.builders import QUEUE
from xqueue_server.files.local import LocalFiles
from xqueue_server.models.account import ALL_QUEUES, Role
from xqueue_server.storage import deadlines
from xqueue_server.storage.operations_schema import idempotency_keys
from xqueue_server.upkeep import housekeeping
from xqueue_server.web.api.operating import deadlines as deadline_routes

KEY = "9f0c2a4e-once"
DEADLINE: dict[str, Any] = {
    "queue": QUEUE,
    "at": "2030-01-01T12:00:00+00:00",
    "submissions": 600,
}


@pytest.fixture
def operator(site: Site) -> ApiClient:
    return site.token("operator", Role.OPERATOR)


def tell(caller: ApiClient, key: str = KEY, **changed: Any) -> TestResponse:
    return caller.call(
        "POST", "/deadlines", json=DEADLINE | changed, headers={"Idempotency-Key": key}
    )


def told(site: Site) -> int:
    with site.storage.read() as tx:
        return len(deadlines.all_deadlines(tx))


def test_the_same_request_with_the_same_key_acts_once_and_is_answered_alike(
    site: Site, operator: ApiClient
) -> None:
    first, again = tell(operator), tell(operator)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.get_data() == first.get_data()
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert told(site) == 1


def test_an_answer_is_repeated_with_its_location(site: Site) -> None:
    site.author.put_bundle()
    body = {
        "queue": QUEUE,
        "digest": site.author.publish()["digest"],
        "manifest": manifest(),
        "response": "x",
    }
    given = {"json": body, "headers": {"Idempotency-Key": KEY}}
    first, again = (site.author.call("POST", "/trials", **given) for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.headers["Location"] == first.headers["Location"]


def test_without_a_key_or_with_another_it_acts_again(site: Site, operator: ApiClient) -> None:
    tell(operator)
    tell(operator, "another")
    operator.call("POST", "/deadlines", json=DEADLINE)
    assert told(site) == 3


def test_a_key_is_of_whoever_sent_it(site: Site, operator: ApiClient) -> None:
    tell(operator)
    assert tell(site.token("second", Role.OPERATOR)).status_code == 201
    assert tell(site.token_of("operator", Role.OPERATOR)).status_code == 201
    assert told(site) == 3


def test_another_request_with_a_used_key_is_refused(site: Site, operator: ApiClient) -> None:
    tell(operator)
    problem_of(tell(operator, submissions=601), 422, "key-reused")
    elsewhere = operator.call(
        "POST", f"/queues/{QUEUE}/pause", json={"reason": "x"}, headers={"Idempotency-Key": KEY}
    )
    problem_of(elsewhere, 422, "key-reused")
    assert told(site) == 1


def test_what_was_refused_leaves_the_key_free(site: Site, operator: ApiClient) -> None:
    problem_of(tell(operator, submissions=0), 422, "invalid")
    problem_of(tell(operator, queue="nowhere"), 404, "not-found")
    assert tell(operator).status_code == 201
    assert told(site) == 1


def test_of_two_at_once_one_acts_and_the_other_is_told_to_wait(
    site: Site, operator: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_acting, may_go_on = Event(), Event()
    monkeypatch.setattr(deadline_routes, "_document", _waiting(is_acting, may_go_on))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(tell, operator)
        assert is_acting.wait(30)
        second = tell(operator)
        may_go_on.set()
        assert first.result(30).status_code == 201
    problem_of(second, 409, "key-in-use")
    assert second.headers["Retry-After"] == "1"
    assert tell(operator).get_data() == first.result().get_data()
    assert told(site) == 1


def _waiting(is_acting: Event, may_go_on: Event) -> Any:
    document = deadline_routes._document

    def wait(deadline: Any) -> dict[str, Any]:
        is_acting.set()
        assert may_go_on.wait(30)
        return document(deadline)

    return wait


def test_many_at_once_act_once(site: Site, operator: ApiClient) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: tell(operator), range(8)))
    assert {a.status_code for a in answers} <= {201, 409}
    assert len({a.get_data() for a in answers if a.status_code == 201}) == 1
    assert told(site) == 1


def test_what_broke_off_is_not_done_again(
    site: Site, operator: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_deadline: Any) -> dict[str, Any]:
        raise RuntimeError("after the commit")

    with monkeypatch.context() as patched:
        patched.setattr(deadline_routes, "_document", fail)
        problem_of(tell(operator), 500, "internal")
    assert "look whether it was done" in problem_of(tell(operator), 409, "key-in-use")["detail"]
    assert told(site) == 1


def test_a_key_is_free_again_after_a_day(site: Site, operator: ApiClient) -> None:
    tell(operator)
    site.desk.clock.advance(24 * 3600 - 1)
    assert tell(operator).headers["Idempotency-Replayed"] == "true"
    site.desk.clock.advance(1)
    assert "Idempotency-Replayed" not in tell(operator).headers
    assert told(site) == 2


def test_old_keys_are_swept(site: Site, operator: ApiClient, tmp_path: Any) -> None:
    tell(operator)
    site.desk.clock.advance(24 * 3600)
    tell(operator, "later")
    housekeeping.tidy(site.storage, LocalFiles(tmp_path))
    assert site.desk.count("idempotency_keys") == 1


def test_neither_the_key_nor_the_request_is_stored(site: Site, operator: ApiClient) -> None:
    tell(operator, note="a note of the request")
    with site.storage.read() as tx:
        (row,) = tx.all(select(idempotency_keys.c.hash, idempotency_keys.c.request_hash))
    for stored in row:
        assert len(stored) == 32
        assert KEY.encode() not in stored


@pytest.mark.parametrize("key", ["", "with space", "x" * 256, "caf\xe9"])
def test_a_key_that_can_not_be_used_is_named(site: Site, operator: ApiClient, key: str) -> None:
    assert "Idempotency-Key" in problem_of(tell(operator, key), 422, "invalid")["detail"]
    assert told(site) == 0


def test_where_the_answer_is_a_secret_no_key_is_taken(site: Site) -> None:
    maker = site.password(site.account("maker", Role.VIEWER))
    body = {"scopes": [{"role": "viewer", "queue": QUEUE}]}
    refused = maker.call("POST", "/tokens", json=body, headers={"Idempotency-Key": KEY})
    assert "secret" in problem_of(refused, 422, "invalid")["detail"]
    assert maker.get("/tokens") == {"tokens": [], "next": None}


def test_a_repeated_request_is_still_one_of_somebody_who_may(
    site: Site, operator: ApiClient
) -> None:
    boss = site.password(site.account("boss", Role.ADMIN, queue=ALL_QUEUES))
    tell(operator)
    boss.call("PATCH", "/accounts/operator", json={"active": False})
    problem_of(tell(operator), 401, "not-signed-in")
