"""What the web layer works with; `app` puts it together."""

from __future__ import annotations

from dataclasses import dataclass

from xqueue_server.choosing import Choosing
from xqueue_server.dispatch import Dispatcher
from xqueue_server.files.addresses import FileAddresses
from xqueue_server.files.local import LocalFiles
from xqueue_server.queue_length import QueueLengths
from xqueue_server.sessions import Sessions
from xqueue_server.settings import Settings
from xqueue_server.signin import SignIn
from xqueue_server.storage import Storage
from xqueue_server.web.waiting import Waiting

SERVICES = "xqueue"
"""Where the application keeps them, in `Flask.extensions`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    settings: Settings
    storage: Storage
    sign_in: SignIn
    sessions: Sessions
    files: LocalFiles
    addresses: FileAddresses
    lengths: QueueLengths
    waiting: Waiting
    choosing: Choosing
    dispatcher: Dispatcher
