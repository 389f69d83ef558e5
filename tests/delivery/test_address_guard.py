"""Where any https origin is allowed, only public addresses may be connected to."""

from __future__ import annotations

import dataclasses
import ipaddress
import socket
from typing import Any

import pytest

from tests.delivery.certificates import Authority
from tests.delivery.lms import ScriptedLms, running_lms
from tests.delivery.outbox_data import http_transport
from tests.delivery.test_http_transport import due
from xqueue_server import settings
from xqueue_server.callbacks.in_flight import Concurrency
from xqueue_server.cli.deliver import create_transport
from xqueue_server.errors import SettingsError
from xqueue_server.settings import Settings
from xqueue_server.transport import addresses
from xqueue_server.transport.access import Access
from xqueue_server.transport.addresses import is_public

PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:8.8.8.8"]
NOT_PUBLIC = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.8",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "64:ff9b::7f00:1",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "ff02::1",
    "fec0::1",
    "::ffff:0:127.0.0.1",
    "192.88.99.1",
    "3fff::1",
    "5f00::1",
]


@pytest.mark.parametrize("text", PUBLIC)
def test_ordinary_addresses_are_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_special_addresses_are_not_public(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0", "[::1]", "[::ffff:127.0.0.1]"]
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_every_way_to_write_loopback_is_refused_and_nothing_is_sent(
    lms: ScriptedLms, host: str, scheme: str
) -> None:
    transport = http_transport(is_guarded=lambda _: True)
    outcome = transport.send(due(f"{scheme}://{host}:{lms.port}"))
    assert outcome.status is None
    assert outcome.is_permanent
    assert outcome.error
    assert "not a public address" in outcome.error
    assert lms.connections == 0


def _resolver(*found: str) -> Any:
    calls = []

    def resolve(host: str, port: int, **_: object) -> list[Any]:
        calls.append(host)
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (address, port),
            )
            for address in found
        ]

    resolve.calls = calls  # type: ignore[attr-defined]
    return resolve


def test_one_address_that_is_not_public_refuses_the_name(lms: ScriptedLms) -> None:
    transport = http_transport(
        is_guarded=lambda _: True, resolve=_resolver("93.184.216.34", "127.0.0.1")
    )
    outcome = transport.send(due(f"http://rebinding.example:{lms.port}"))
    assert outcome.is_permanent
    assert lms.connections == 0


def test_a_link_local_address_with_a_zone_is_refused() -> None:
    transport = http_transport(is_guarded=lambda _: True, resolve=_resolver("fe80::1%eth0"))
    assert transport.send(due("https://zone.example")).is_permanent


def test_the_name_is_resolved_once_and_the_checked_address_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """TLS still verifies the name, although the connection goes to an address."""
    monkeypatch.setattr(addresses, "is_public", lambda _: True)
    authority = Authority()
    with running_lms(authority.server_context("lms.example")) as lms:
        resolve = _resolver("127.0.0.1")
        origin = f"https://lms.example:{lms.port}"
        transport = http_transport(
            is_guarded=lambda _: True,
            resolve=resolve,
            access={origin: Access(tls=authority.client_context())},
        )
        assert transport.send(due(origin)).status == 200
        transport.close()
    assert resolve.calls == ["lms.example"]
    assert lms.received[0].headers["host"] == f"lms.example:{lms.port}"


def test_the_next_address_is_tried_when_one_does_not_answer(lms: ScriptedLms) -> None:
    transport = http_transport(resolve=_resolver("127.0.0.2", "127.0.0.1"))
    lms_only_on_one = due(f"http://two.example:{lms.port}")
    assert transport.send(lms_only_on_one).status == 200
    transport.close()


# -- which origins are guarded -------------------------------------------------------------------


def loaded(mode: str, origins: str) -> Settings:
    return settings.load(
        {
            "XQUEUE_MODE": mode,
            "XQUEUE_LMS_ORIGINS": origins,
            "XQUEUE_SECRET_KEY": "s" * 32,
            "XQUEUE_DATABASE_URL": "sqlite:///not-opened.db",
        }
    )


def test_an_origin_that_is_named_may_be_on_a_private_address(lms: ScriptedLms) -> None:
    transport = create_transport(loaded("production", f"https://*,{lms.origin}"), Concurrency())
    assert transport.send(due(lms.origin)).status == 200
    transport.close()


def test_an_origin_allowed_only_as_any_https_is_guarded(lms: ScriptedLms) -> None:
    transport = create_transport(loaded("production", f"https://*,{lms.origin}"), Concurrency())
    outcome = transport.send(due(f"https://localhost:{lms.port}"))
    assert outcome.is_permanent
    transport.close()


def test_loopback_needs_no_name_in_demo_mode(lms: ScriptedLms) -> None:
    demo = loaded("demo", "https://*")
    transport = create_transport(demo, Concurrency())
    assert demo.allows_origin(lms.origin)
    assert transport.send(due(lms.origin)).status == 200
    transport.close()


def test_production_without_any_origin_refuses_to_start() -> None:
    with pytest.raises(SettingsError, match="XQUEUE_LMS_ORIGINS is empty"):
        create_transport(loaded("production", ""), Concurrency())


def test_settings_that_name_nothing_guard_nothing_by_accident() -> None:
    named = dataclasses.replace(loaded("production", "https://*"), lms_origins=())
    assert not named.allows_origin("https://lms.example")
