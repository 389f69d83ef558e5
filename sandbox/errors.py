"""Errors of the sandbox.

SandboxError
├── SandboxUnavailable   the platform could not run it: release the lease, retry elsewhere or later
│   └── HostCannot       never on this host as it is set up; another may
└── GraderNotUsable      this grader can not be run at all (missing, not readable, no entry point)
"""


class SandboxError(Exception):
    """Root of this package's errors."""


class SandboxUnavailable(SandboxError):
    """Our own fault: daemon down or hung, binary missing, host out of resources. Never a grade."""


class HostCannot(SandboxUnavailable):
    """This host is not set up for what the grader asks for. Nobody's grade and nobody's mistake:
    nothing weaker is taken instead."""


class GraderNotUsable(SandboxError):
    """The course team's fault, known before the learner's code ran: no such directory or image."""
