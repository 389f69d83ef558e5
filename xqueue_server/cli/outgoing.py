"""Putting together what `deliver` sends with: a way for each kind of message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from proctoring_hooks.providers import plugins, telling
from proctoring_hooks.providers.base import Learned
from xqueue_server.callbacks.conclusion import Keep
from xqueue_server.cli.notifications import create_webhook_transport
from xqueue_server.models.callback import CallbackKind, DueCallback
from xqueue_server.settings import Settings
from xqueue_server.storage import Transaction, attempts, outbox
from xqueue_server.storage import callbacks as outbox_rows
from xqueue_server.storage.proctoring import ProctoringStore
from xqueue_server.transport import Transport
from xqueue_server.transport.authorized import Authorized
from xqueue_server.transport.by_kind import TransportByKind
from xqueue_server.transport.event_bus import EventBusTransport
from xqueue_server.transport.http import HttpTransport
from xqueue_server.transport.lms import LmsTransport
from xqueue_server.transport.providers import ProviderTransport, told_by
from xqueue_server.transport.tokens import Tokens
from xqueue_server.transport.webhooks import WebhookTransport

EXAM_SERVICE = "/exams"
"""Where, under the public address, providers tell us of attempts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """How things leave, and what is kept of their answers."""

    transport: Transport
    keep: Keep


def by_kind(
    loaded: Settings, store: ProctoringStore, *, callbacks: Transport, lms_http: HttpTransport
) -> TransportByKind:
    """`callbacks` sends results. Raises: SettingsError."""
    authorized = Authorized(lms_http, Tokens(lms_http))

    def count_ended(callback_id: int) -> int:
        with store.storage.read() as tx:
            return attempts.count(tx, callback_id)

    return TransportByKind(
        {
            CallbackKind.RESULT: callbacks,
            CallbackKind.GIVE_UP: callbacks,
            CallbackKind.LMS: LmsTransport(store, authorized, count_ended=count_ended),
            CallbackKind.PROVIDER: ProviderTransport(
                store,
                authorized,
                load=plugins.load,
                callback_url=loaded.public_url + EXAM_SERVICE,
            ),
            CallbackKind.EVENT: EventBusTransport(
                store,
                url=loaded.event_bus_redis_url,
                topic_prefix=loaded.event_bus_topic_prefix,
            ),
            CallbackKind.WEBHOOK: WebhookTransport(
                store,
                create_webhook_transport(loaded),
                allows_origin=lambda origin: (
                    origin.startswith("https://") or origin in loaded.webhook_origins
                ),
            ),
        }
    )


def keeper(store: ProctoringStore) -> Keep:
    """Stores what providers' answers told, and with what words an LMS is told again."""

    def keep(tx: Transaction, due: DueCallback, learned: Mapping[str, Any]) -> None:
        if due.kind is CallbackKind.LMS:
            outbox_rows.reword(tx, due.id, learned["body"])
            return
        found = Learned(**learned)
        telling.keep(store.of(tx), told_by(due), found)
        if found.exam_id:
            outbox.hurry_providers(tx, due.origin)  # attempts may have waited for it

    return keep
