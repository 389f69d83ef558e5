"""What `deliver` does beside callbacks: telling course teams of faults."""

from __future__ import annotations

import logging
import random
import threading

from xqueue_server.authoring.notifying import Mailer, Notifier
from xqueue_server.errors import StorageUnavailable
from xqueue_server.settings import Settings
from xqueue_server.storage import Storage
from xqueue_server.transport.http import HttpTransport
from xqueue_server.transport.mail import NoMailer, SmtpMailer

log = logging.getLogger(__name__)

NOTIFY_EVERY_S = 1.0


def notify_forever(loaded: Settings, storage: Storage, stop: threading.Event) -> None:
    """Notify every second. Whatever goes wrong is logged and tried again."""
    transport = create_webhook_transport(loaded)
    notifier = create_notifier(loaded, storage, transport)
    while not stop.wait(NOTIFY_EVERY_S):
        try:
            notifier.send_due()
        except StorageUnavailable as error:
            log.warning("no database", extra={"action": "notify_paused", "why": str(error)})
        except Exception:
            log.exception("notifying failed", extra={"action": "notify_failed"})
    transport.close()


def create_notifier(loaded: Settings, storage: Storage, transport: HttpTransport) -> Notifier:
    mailer: Mailer = SmtpMailer(loaded.mail) if loaded.mail else NoMailer()
    return Notifier(
        storage,
        webhooks=transport,
        mailer=mailer,
        secret_key=loaded.secret_key,
        allows_origin=lambda origin: (
            origin.startswith("https://") or origin in loaded.webhook_origins
        ),
        uniform=random.uniform,
    )


def create_webhook_transport(loaded: Settings) -> HttpTransport:
    """Only to public addresses, but for the origins that the operator has listed."""
    return HttpTransport(access={}, is_guarded=lambda origin: origin not in loaded.webhook_origins)
