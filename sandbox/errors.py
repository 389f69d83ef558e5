"""Errors of the sandbox.

SandboxError
├── SandboxUnavailable   the platform could not run it: release the lease, retry elsewhere or later
└── GraderNotUsable      this grader can not be run at all (missing, not readable, no entry point)
"""


class SandboxError(Exception):
    """Root of this package's errors."""


class SandboxUnavailable(SandboxError):
    """Our own fault: daemon down or hung, binary missing, host out of resources. Never a grade."""


class GraderNotUsable(SandboxError):
    """The course team's fault, known before the learner's code ran: no such directory or image."""
