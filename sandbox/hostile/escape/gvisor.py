"""Where gVisor answers instead of the kernel of the host."""

from __future__ import annotations

from sandbox.hostile.case import Deviation, Expected

GVISOR_OWN = "gVisor's own kernel answers, whatever our filter says; the host's sees none of it"


def gvisors_own(*gains: str) -> Deviation:
    return Deviation(reason=GVISOR_OWN, expected=Expected(gains=frozenset(gains)))
