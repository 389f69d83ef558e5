"""With which arguments the calls of `Rule.BY_ARGUMENTS` are allowed.

A call passes when all conditions of one of its alternatives hold. Only the low 32 bits of an
argument are compared, because the kernel reads no more of these; a filter that compared all 64
could be passed by setting a high one.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass

WHOLE = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Holds when `argument & mask == value`."""

    argument: int
    """0 is the first."""
    value: int
    mask: int = WHOLE


Alternative = tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgumentRule:
    """Which arguments pass, and the error for all others."""

    alternatives: tuple[Alternative, ...]
    otherwise: int = errno.EPERM
    """In boxes. A profile of Docker knows one error for all arguments no rule allows, EPERM."""


def _one_of(argument: int, values: Iterable[int]) -> tuple[Alternative, ...]:
    return tuple((Condition(argument=argument, value=value),) for value in values)


AF_UNIX = 1
AF_INET = 2
AF_INET6 = 10
AF_NETLINK = 16
NETLINK_ROUTE = 0
INTERNET_PROTOCOLS = (0, 6, 17)
"""Default, TCP, UDP. Others load kernel modules on first use."""
NOT_STREAM_DATAGRAM_RAW = 0b1100
"""Bits of a socket type that none of these three has; DCCP and sequenced packets do. The kernel
itself keeps raw sockets from whoever lacks a capability."""

NEW_NAMESPACES = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET. CLONE_NEWTIME shares its
bit with the exit signal of `clone`, and works in `clone3` and `unshare` alone."""

PERSONALITIES = (0, 0x0040000, WHOLE)
"""The normal one, without address randomisation (thread sanitizers ask for it), and the question
which one is set."""

TERMINAL_REQUESTS = (
    *range(0x5401, 0x5405),  # TCGETS, TCSETS, TCSETSW, TCSETSF
    *range(0x5409, 0x540C),  # TCSBRK, TCXONC, TCFLSH
    *range(0x540E, 0x5412),  # TIOCSCTTY, TIOCGPGRP, TIOCSPGRP, TIOCOUTQ
    *range(0x5413, 0x5415),  # TIOCGWINSZ, TIOCSWINSZ
    *range(0x5422, 0x5423),  # TIOCNOTTY
    *range(0x5429, 0x542A),  # TIOCGSID
    *(0x802C542A, 0x402C542B, 0x402C542C, 0x402C542D),  # TCGETS2, TCSETS2, TCSETSW2, TCSETSF2
    *(0x80045430, 0x40045431, 0x5441),  # TIOCGPTN, TIOCSPTLCK, TIOCGPTPEER
)
"""Without TIOCSTI and TIOCLINUX, which type into the terminal, and TIOCSETD: it loads modules."""
DESCRIPTOR_REQUESTS = (
    *(0x541B, 0x5421),  # FIONREAD, FIONBIO
    *(0x5450, 0x5451, 0x5452, 0x5460),  # FIONCLEX, FIOCLEX, FIOASYNC, FIOQSIZE
)
INTERFACE_QUESTIONS = (
    *(0x8905, 0x8910, 0x8912, 0x8913, 0x8915),  # SIOCATMARK, SIOCGIFNAME, CONF, FLAGS, ADDR
    *(0x8917, 0x8919, 0x891B),  # SIOCGIFDSTADDR, BRDADDR, NETMASK
    *(0x8921, 0x8927, 0x8933),  # SIOCGIFMTU, HWADDR, INDEX
)

ARGUMENT_RULES: dict[str, ArgumentRule] = {
    "clone": ArgumentRule(
        alternatives=((Condition(argument=0, mask=NEW_NAMESPACES, value=0),),),
    ),
    "socket": ArgumentRule(
        alternatives=(
            (Condition(argument=0, value=AF_UNIX),),
            (
                Condition(argument=0, value=AF_NETLINK),
                Condition(argument=2, value=NETLINK_ROUTE),
            ),
            *(
                (
                    Condition(argument=0, value=family),
                    Condition(argument=1, mask=NOT_STREAM_DATAGRAM_RAW, value=0),
                    Condition(argument=2, value=protocol),
                )
                for family in (AF_INET, AF_INET6)
                for protocol in INTERNET_PROTOCOLS
            ),
        ),
    ),
    "socketpair": ArgumentRule(alternatives=_one_of(0, (AF_UNIX,))),
    # What is not a terminal answers every request of one with ENOTTY, so programs expect that.
    "ioctl": ArgumentRule(
        alternatives=_one_of(1, (*TERMINAL_REQUESTS, *DESCRIPTOR_REQUESTS, *INTERFACE_QUESTIONS)),
        otherwise=errno.ENOTTY,
    ),
    "personality": ArgumentRule(alternatives=_one_of(0, PERSONALITIES)),
    # Its own limits, as the C libraries ask: the first process of a box or of a learner's container
    # has the learner's uid, and without descriptors or processor time it could not go on.
    "prlimit64": ArgumentRule(alternatives=_one_of(0, (0,))),
}
