"""Which address a request is counted for."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from xqueue_server.accounts.client_address import client_address

PROXIES = [ip_network("10.0.0.0/8"), ip_network("::1/128"), ip_network("2001:db8::/32")]
PROXY, CLIENT = "10.0.0.1", "198.51.100.7"


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        pytest.param(CLIENT, None, CLIENT, id="no proxy"),
        pytest.param(CLIENT, "1.2.3.4", CLIENT, id="a client's own header is not believed"),
        pytest.param(PROXY, None, PROXY, id="a proxy that says nothing"),
        pytest.param(PROXY, CLIENT, CLIENT, id="one proxy"),
        pytest.param(PROXY, f"{CLIENT}, 10.9.9.9", CLIENT, id="two proxies"),
        pytest.param(PROXY, f"1.2.3.4, {CLIENT}", CLIENT, id="what the client wrote is left of it"),
        pytest.param(PROXY, f"{CLIENT}, rubbish", PROXY, id="rubbish counts for who wrote it"),
        pytest.param(PROXY, "rubbish, 10.2.2.2", "10.2.2.2", id="rubbish further left"),
        pytest.param(PROXY, "", PROXY, id="empty header"),
        pytest.param(PROXY, " , ,", PROXY, id="only commas"),
        pytest.param(PROXY, "10.1.1.1", "10.1.1.1", id="nothing but proxies"),
        pytest.param(PROXY, f"{CLIENT}:5555", CLIENT, id="with a port"),
        pytest.param("::1", "[2a00::7]:80", "2a00::7", id="ipv6 with a port"),
        pytest.param("::1", "2a00::7", "2a00::7", id="ipv6"),
        pytest.param("::ffff:10.0.0.1", CLIENT, CLIENT, id="ipv4 written as ipv6"),
        pytest.param("fe80::1%eth0", None, "fe80::1", id="scoped"),
        pytest.param(PROXY, f"fe80::1%{'x' * 999}", "fe80::1", id="scope of any text"),
        pytest.param(None, CLIENT, "unknown", id="unix socket"),
        pytest.param("", CLIENT, "unknown", id="empty peer"),
        pytest.param("unix:", CLIENT, "unknown", id="strange peer"),
        pytest.param(PROXY, "9" * 10_000, PROXY, id="long rubbish"),
        pytest.param(PROXY, "\0,\ud800", PROXY, id="not even text"),
    ],
)
def test_the_right_most_untrusted_address_counts(
    peer: str | None, forwarded: str | None, expected: str
) -> None:
    assert client_address(peer, forwarded, PROXIES) == expected


def test_without_trusted_proxies_the_header_is_never_read() -> None:
    assert client_address(PROXY, CLIENT, []) == PROXY
