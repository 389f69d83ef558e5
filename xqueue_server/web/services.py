"""What the web layer works with; `app` puts it together."""

from __future__ import annotations

from dataclasses import dataclass

from xqueue_server.accounts.failed_logins import FailedLogins
from xqueue_server.accounts.sessions import Sessions
from xqueue_server.accounts.signin import SignIn
from xqueue_server.dispatch import Dispatcher
from xqueue_server.files import Files
from xqueue_server.files.addresses import FileAddresses
from xqueue_server.identity_providers import IdentityProvider
from xqueue_server.settings import Settings
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.submissions.choosing import Choosing
from xqueue_server.submissions.queue_length import QueueLengths
from xqueue_server.web.desires import Desires
from xqueue_server.web.waiting import Waiting
from xqueue_server.workload.state_metrics import StateMetrics

SERVICES = "xqueue"
"""Where the application keeps them, in `Flask.extensions`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    settings: Settings
    storage: Storage
    proctoring: ProctoringStore
    sign_in: SignIn
    failed_tokens: FailedLogins
    desires: Desires
    identity_provider: IdentityProvider | None
    sessions: Sessions
    files: Files
    addresses: FileAddresses
    lengths: QueueLengths
    waiting: Waiting
    choosing: Choosing
    dispatcher: Dispatcher
    state_metrics: StateMetrics
