"""Errors of the grader worker.

WorkerError
├── SettingsError            the operator must change a flag or workers.toml; the process ends
├── SubmissionUnusable       what was leased is not a submission of a problem: held for people
├── FilesUnavailable         a submitted file could not be fetched just now: the lease is released
├── FrameError               the other end of the sandboxd socket broke the protocol
├── ControlUnavailable       the supervisor of this host did not answer, or refused
└── XQueueError              the XQueue server did not do what was asked
    ├── ServerUnreachable    no answer, or no usable one: try again later
    ├── LoginRefused         wrong user name or password, as far as the server says
    ├── RequestRefused       return code 1 with a message of its own
    └── LeaseLost            the submission is no longer ours; its result must not be posted
"""

from __future__ import annotations


class WorkerError(Exception):
    """Root of this package's errors."""


class SettingsError(WorkerError):
    """Says what to change, in words for the operator."""


class SubmissionUnusable(WorkerError):
    """No retry helps: the body or its files are not what a problem sends."""


class FilesUnavailable(WorkerError):
    """A retry may help."""


class FrameError(WorkerError):
    """A frame that is too long, cut short, or not the JSON expected."""


class ControlUnavailable(WorkerError):
    """Says why, in words for the operator."""


class XQueueError(WorkerError):
    """Root of what can go wrong between us and an XQueue server."""


class ServerUnreachable(XQueueError):
    """Connection failed, timed out, or the answer was not the protocol's."""


class LoginRefused(XQueueError):
    """The server answered the login and said no."""


class RequestRefused(XQueueError):
    """The server answered with return code 1, or its API with a 4xx."""

    def __init__(
        self, message: str, *, status: int | None = None, places: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        """Of the API's answer."""
        self.places = places
        """In what was sent, where the API says what it refuses."""


class LeaseLost(XQueueError):
    """The key is no longer the submission's, or the submission is gone."""
