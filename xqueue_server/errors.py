"""Errors of the queue server.

XQueueError
├── SettingsError             the environment is wrong: says which name and what to write
├── InvalidRequest            a client sent something unusable: the message goes back to the client
│   └── NotFound              the thing named does not exist, or this account may not know of it
├── NotSignedIn               wrong credentials, or none that count
├── WrongKey                  the submission key is not (or no longer) valid for this act
├── Conflict                  an operator's act does not fit the present state: says why
├── StorageUnavailable        the database can not be reached or is locked; retry
└── FilesUnavailable          the store of uploaded files can not be reached, or refuses
"""

import errno


class XQueueError(Exception):
    """Root of this package's errors."""


class SettingsError(XQueueError):
    """The environment is wrong; the message names the setting and the mend."""


class InvalidRequest(XQueueError):
    """The message is meant for the client, verbatim."""


class NotFound(InvalidRequest):
    """No such queue, submission, account or callback, as far as the asker may know."""


class NotSignedIn(XQueueError):
    """The credentials are wrong or were not checked (too many failures); the message says which."""


class WrongKey(XQueueError):
    """The submission key was never issued, or another lease or result has replaced it."""


class Conflict(XQueueError):
    """An operator asked for something that the present state does not allow."""


class StorageUnavailable(XQueueError):
    """The database can not be reached, or stayed locked; the work was not done."""


class FilesUnavailable(XQueueError, OSError):
    """As for a disk, `strerror` says why; it is meant for operators."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.EIO, why)

    def __str__(self) -> str:
        return str(self.strerror)
