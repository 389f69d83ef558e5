"""D. Ways out: the network, the kernel's less-trodden system calls, devices, other namespaces.

System calls that would do harm if they worked are called with arguments that fail right after the
check of rights, so that trying them on a host without any protection harms nothing.
"""

from __future__ import annotations

from sandbox.hostile.escape import calls, kernel, network, rights

CASES = (
    *network.CASES,
    *rights.CASES,
    *calls.CASES,
    *kernel.CASES,
)
