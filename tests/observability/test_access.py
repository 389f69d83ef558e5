"""Who may read /metrics: to all others it is not there."""

from __future__ import annotations

import dataclasses
import ipaddress
from datetime import UTC, datetime

import pytest
from werkzeug.test import TestResponse

from tests.observability.scrape import Scrape
from tests.server.builders import QUEUE, Desk, add_account
from xqueue_server.app import create_app
from xqueue_server.models.account import ALL_QUEUES, Grant, Role
from xqueue_server.models.api_token import new_token, token_hash
from xqueue_server.settings import Settings
from xqueue_server.storage import tokens


def ask(
    desk: Desk, settings: Settings, peer: str | None, headers: dict[str, str] | None = None
) -> TestResponse:
    client = create_app(settings, desk.storage).test_client()
    overrides = {} if peer is None else {"REMOTE_ADDR": peer}
    return client.get("/metrics", headers=headers, environ_overrides=overrides)


@pytest.fixture
def with_proxy(server_settings: Settings) -> Settings:
    proxies = (ipaddress.ip_network("10.0.0.0/8"),)
    return dataclasses.replace(server_settings, trusted_proxies=proxies)


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_loopback_may_read(desk: Desk, server_settings: Settings, peer: str) -> None:
    assert ask(desk, server_settings, peer).status_code == 200


@pytest.mark.parametrize("peer", ["192.0.2.1", "2001:db8::1", "10.0.0.1", ""])
def test_others_are_told_that_there_is_nothing(
    desk: Desk, server_settings: Settings, peer: str
) -> None:
    answer = ask(desk, server_settings, peer)
    assert answer.status_code == 404
    assert b"xqueue_" not in answer.data


def test_the_networks_are_a_setting(desk: Desk, server_settings: Settings) -> None:
    near = dataclasses.replace(
        server_settings, metrics_networks=(ipaddress.ip_network("192.0.2.0/24"),)
    )
    assert ask(desk, near, "192.0.2.1").status_code == 200
    assert ask(desk, near, "127.0.0.1").status_code == 404


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_a_proxy_on_this_host_that_nobody_trusts_hides_who_asks(
    desk: Desk, server_settings: Settings, header: str
) -> None:
    assert ask(desk, server_settings, "127.0.0.1", {header: "127.0.0.1"}).status_code == 404


def test_behind_a_trusted_proxy_the_clients_own_address_counts(
    desk: Desk, with_proxy: Settings
) -> None:
    assert ask(desk, with_proxy, "10.0.0.1", {"X-Forwarded-For": "192.0.2.7"}).status_code == 404
    assert ask(desk, with_proxy, "10.0.0.1", {"X-Forwarded-For": "127.0.0.1"}).status_code == 200


@pytest.mark.parametrize(
    ("role", "queue", "expected"),
    [
        (Role.VIEWER, ALL_QUEUES, 200),
        (Role.ADMIN, ALL_QUEUES, 200),
        (Role.VIEWER, QUEUE, 404),
        (Role.GRADER, ALL_QUEUES, 404),
    ],
)
def test_a_token_counts_by_its_role(
    desk: Desk, server_settings: Settings, role: Role, queue: str, expected: int
) -> None:
    add_account(desk.storage, "prometheus", role, queue=queue)
    token = new_token()
    with desk.storage.write() as tx:
        tokens.add(
            tx,
            "prometheus",
            [Grant(role=role, queue=queue)],
            hashed=token_hash(token),
            expires_at=datetime(2026, 6, 1, tzinfo=UTC),
            actor="test",
        )
    headers = {"Authorization": f"Bearer {token}"}
    assert ask(desk, server_settings, "192.0.2.1", headers).status_code == expected


def test_a_session_of_a_browser_does_not_count(desk: Desk, server_settings: Settings) -> None:
    admin = add_account(desk.storage, "admin", Role.ADMIN)
    app = create_app(server_settings, desk.storage)
    client = app.test_client()
    client.set_cookie("sessionid", app.extensions["xqueue"].sessions.issue(admin))
    answer = client.get("/metrics", environ_overrides={"REMOTE_ADDR": "192.0.2.1"})
    assert answer.status_code == 404


def test_no_label_is_an_id_or_comes_from_a_stranger(desk: Desk, server_settings: Settings) -> None:
    client = create_app(server_settings, desk.storage).test_client()
    for path in ("/api/v1/faults/12345", "/files/abc/1/2", "/made-up-by-a-client"):
        client.get(path)
    client.open("/healthz", method="BREW")
    shown = Scrape(client.get("/metrics").data.decode())
    # Not the whole text: any digits may turn up in a number of seconds.
    labels = " ".join(value for sample in shown.samples for value in sample.labels.values())
    assert "12345" not in labels
    assert "made-up" not in labels
    assert "BREW" not in labels
    assert shown.number("xqueue_database_up") == 1
