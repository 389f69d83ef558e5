"""Other machines, other families of sockets, and sockets of this host's services."""

from __future__ import annotations

from sandbox.hostile.case import Deviation, Engine, Expected, Group, HostileCase, hostile

REACHED = """
import socket
def reach(family, address, kinds=(socket.SOCK_STREAM, socket.SOCK_DGRAM)):
    for kind in kinds:
        try:
            with socket.socket(family, kind) as s:
                s.settimeout(0.5)
                s.connect(address)
                # A datagram socket can always be connected within its own machine.
                if kind == socket.SOCK_STREAM or address[0] not in ("127.0.0.1", "::1"):
                    gained("a way to %s" % (address,))
        except (OSError, OverflowError):
            pass
"""


CASES = (
    HostileCase(
        number="48",
        name="network",
        group=Group.ESCAPE,
        attack=(
            "connects to the Internet, the gateway, engine, Redis, database, a listener of the host"
        ),
        outcome="unreachable or refused",
        plan=hostile(
            REACHED
            + """
import json
targets = json.load(open("/box/targets.json"))
for host, port in targets["v4"]:
    reach(socket.AF_INET, (host, port))
for host, port in targets["v6"]:
    reach(socket.AF_INET6, (host, port))
for name in targets["abstract"]:
    reach(socket.AF_UNIX, "\\0" + name, (socket.SOCK_STREAM,))
with open("/proc/net/dev") as file:
    for line in file.readlines()[2:]:
        name = line.split(":")[0].strip()
        if name not in ("lo", "tunl0", "sit0", "ip6tnl0", "gre0", "gretap0", "erspan0", "ip_vti0",
                        "ip6_vti0", "ip6gre0"):
            gained("the interface " + name)
"""
        ),
    ),
    HostileCase(
        number="49",
        name="metadata-and-names",
        group=Group.ESCAPE,
        attack="metadata service, IPv6 link-local and multicast, broadcast, names (DNS)",
        outcome="unreachable; no name resolves",
        plan=hostile(
            REACHED
            + """
reach(socket.AF_INET, ("169.254.169.254", 80))
reach(socket.AF_INET6, ("fd00:ec2::254", 80))
reach(socket.AF_INET6, ("fe80::1", 80, 0, 1))
for address in (("255.255.255.255", 67), ("224.0.0.251", 5353)):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        attempt("a datagram to %s" % (address,), s.sendto, b"x", address)
for name in ("example.com", "metadata.google.internal", "host.docker.internal"):
    attempt("the address of " + name, socket.getaddrinfo, name, 80)
"""
        ),
        deviations={
            Engine.GVISOR: Deviation(
                reason="a datagram socket can be pointed there; there is no way to send it on",
                expected=Expected(gains=frozenset({"a way to ('fe80::1', 80, 0, 1)"})),
            )
        },
    ),
    HostileCase(
        number="50",
        name="vsock",
        group=Group.ESCAPE,
        attack="a socket to the hypervisor (AF_VSOCK), which no network namespace confines",
        outcome="refused by the system call filter",
        plan=hostile(
            """
import socket
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
    attempt("an AF_VSOCK socket", lambda: socket.socket(40, kind).close())
    attempt("a pair of AF_VSOCK sockets", lambda: socket.socketpair(40, kind))
"""
        ),
    ),
    HostileCase(
        number="51",
        name="strange-sockets",
        group=Group.ESCAPE,
        attack="sockets of every family and kind the kernel knows (PACKET, RAW, ALG, XDP, ...)",
        outcome="refused: local and Internet sockets, in an empty network, are all there is",
        plan=hostile(
            """
import socket
HARMLESS = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
for family in range(1, 64):
    for kind in (1, 2, 3, 4, 5, 6, 10):
        if family in HARMLESS and kind in (1, 2, 5):
            continue
        if family in (socket.AF_NETLINK, socket.AF_UNIX) and kind == 3:
            continue  # what every C library uses, about an empty network; another word for 2
        for protocol in (0, 1, 3, 255):
            attempt("a socket (%d, %d, %d)" % (family, kind, protocol),
                    lambda: socket.socket(family, kind, protocol).close())
for protocol in range(0, 32):
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as s:
            if protocol in (9, 11):
                s.bind((0, 1))
                gained("the kernel's audit or connector messages")
    except OSError:
        pass
"""
        ),
    ),
    HostileCase(
        number="52",
        name="engine-sockets",
        group=Group.ESCAPE,
        attack="looks for sockets of Docker, containerd, D-Bus, sandboxd and anybody else",
        outcome="there is none",
        plan=hostile(
            """
import stat
for top, folders, names in os.walk("/"):
    if top == "/":
        folders[:] = [name for name in folders if name not in ("proc", "sys", "usr")]
    for name in names:
        try:
            if stat.S_ISSOCK(os.lstat(os.path.join(top, name)).st_mode):
                gained(os.path.join(top, name))
        except OSError:
            pass
"""
        ),
    ),
)
