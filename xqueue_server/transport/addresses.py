"""Which network addresses may be reached when any https origin is allowed.

Where an operator has listed an LMS by name this is not asked: an LMS is normally on a private
address. It guards the instances that take any callback URL against being used to reach what is
not public. Names are resolved once, every address is checked, and the connection goes to one of
those checked addresses.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[..., Sequence[Any]]
"""`socket.getaddrinfo`, or a test's stand-in."""

# is_global has changed between Python versions and says True for some of these.
DENIED = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # relays of 6to4, which are no more (RFC 7526)
        "64:ff9b::/96",  # NAT64: an IPv4 address in disguise
        "64:ff9b:1::/48",
        "::/96",  # IPv4-compatible
        "2001::/23",  # protocol assignments, Teredo among them
        "3fff::/20",  # documentation (RFC 9637)
    )
)
UNICAST_V6 = ipaddress.ip_network("2000::/3")
"""All that is handed out to the public so far (iana.org, IPv6 address space). What lies beside it
has special meanings: site-local fec0::/10, translated ::ffff:0:0:0/96, those to come."""


class AddressRefused(Exception):
    """The name leads to an address that is not public; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A checked address, as `socket.connect` takes it."""

    family: int
    sockaddr: tuple[Any, ...]


def is_public(address: Address) -> bool:
    """Whether this is an ordinary address of the public internet."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            return is_public(inner)
        if address not in UNICAST_V6:
            return False
    if any(address in network for network in DENIED if network.version == address.version):
        return False
    return address.is_global and not address.is_multicast


def public_endpoints(host: str, port: int, resolve: Resolve) -> Sequence[Endpoint]:
    """Resolve a name once; one address that is not public refuses all of them.

    Raises:
        AddressRefused
        OSError: the name can not be resolved.
    """
    found = all_endpoints(host, port, resolve)
    for endpoint in found:
        address = ipaddress.ip_address(endpoint.sockaddr[0].partition("%")[0])
        if not is_public(address):
            raise AddressRefused(f"{host} leads to {address}, which is not a public address")
    return found


def all_endpoints(host: str, port: int, resolve: Resolve) -> Sequence[Endpoint]:
    """Resolve a name once, whatever its addresses. Raises: OSError."""
    try:
        found = resolve(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that is too long, or empty
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from error
    return [Endpoint(family=family, sockaddr=sockaddr) for family, *_, sockaddr in found]
