"""Whose request it is: the address that a client can not choose for itself."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_V4_WITH_PORT = re.compile(r"([0-9.]+):[0-9]+")
_V6_IN_BRACKETS = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]+)?")


def client_address(
    remote_addr: str | None, x_forwarded_for: str | None, trusted_proxies: Sequence[Network]
) -> str:
    """The right-most address that is not one of our proxies.

    Each proxy appends the address that it saw, so everything left of the first untrusted one is
    whatever the client wrote. Where a proxy wrote something unreadable, that proxy's own address
    is the answer. Without a peer address (a unix socket) it is "unknown".
    """
    peer = _parsed(remote_addr or "")
    if peer is None:
        return "unknown"
    if not _is_trusted(peer, trusted_proxies):
        return str(peer)
    for hop in reversed((x_forwarded_for or "").split(",")):
        address = _parsed(hop.strip())
        if address is None:
            return str(peer)
        peer = address
        if not _is_trusted(peer, trusted_proxies):
            break
    return str(peer)


def _parsed(text: str) -> Address | None:
    found = _V4_WITH_PORT.fullmatch(text) or _V6_IN_BRACKETS.fullmatch(text)
    bare = (found[1] if found else text).partition("%")[0]  # a scope may hold any text at all
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _is_trusted(address: Address, proxies: Sequence[Network]) -> bool:
    return any(address in network for network in proxies)
