"""Telling course teams of new kinds of faults: a webhook or an e-mail, once for each kind.

Any number of processes may do it. Between any two steps one may be killed: what it had claimed is
due again a minute later, so that a message may come twice, with the same id. Neither kind carries
what a learner wrote or what a grader said.
"""

from __future__ import annotations

import base64
import hmac
import json
import logging
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from xqueue_server.callbacks.redelivery import Uniform
from xqueue_server.models.notification import Channel, DueNotification
from xqueue_server.secret_key import key_for
from xqueue_server.settings import origin_of
from xqueue_server.storage import Storage, notifications
from xqueue_server.transport import Outcome
from xqueue_server.transport.signing import signed_headers

log = logging.getLogger(__name__)

MOST_TRIES = 10
FIRST_DELAY_S = 10.0
LONGEST_DELAY_S = 3600.0


class WebhookTransport(Protocol):
    def post_json(self, *, origin: str, url: str, body: bytes, headers: dict[str, str]) -> Outcome:
        """Send once; never raises for what the receiver does."""


class Mailer(Protocol):
    def send(self, *, to: str, subject: str, text: str, message_id: str) -> Outcome:
        """Send once; never raises for what the mail server does."""


class Notifier:
    """Sends what is due; safe for one thread, several may exist."""

    def __init__(
        self,
        storage: Storage,
        *,
        webhooks: WebhookTransport,
        mailer: Mailer,
        secret_key: bytes,
        allows_origin: Callable[[str], bool],
        uniform: Uniform,
        new_token: Callable[[], bytes] = lambda: secrets.token_bytes(16),
    ) -> None:
        self._storage = storage
        self._webhooks = webhooks
        self._mailer = mailer
        self._secret_key = secret_key
        self._allows_origin = allows_origin
        self._uniform = uniform
        self._new_token = new_token

    def send_due(self) -> int:
        """Send everything that is due now; returns how many were tried.

        Raises: StorageUnavailable.
        """
        tried = 0
        while self._send_one():
            tried += 1
        return tried

    def _send_one(self) -> bool:
        with self._storage.read() as tx:
            if not notifications.has_due(tx):
                return False
        with self._storage.write() as tx:
            due = notifications.claim_due(tx, token=self._new_token())
        if due is None:
            return False
        self._conclude(due, self._sent(due))
        return True

    def _sent(self, due: DueNotification) -> Outcome:
        if due.target.channel is Channel.EMAIL:
            return self._mailer.send(
                to=due.target.address,
                subject=subject_of(due),
                text=text_of(due),
                message_id=f"fault-{due.fault.id}-{due.id}",
            )
        origin = origin_of(due.target.address)
        if origin is None:
            return Outcome(status=None, error="not an http(s) URL", is_permanent=True)
        if not self._allows_origin(origin):
            error = f"{origin} is not https and not in XQUEUE_WEBHOOK_ORIGINS"
            return Outcome(status=None, error=error, is_permanent=True)
        body = json.dumps(document_of(due)).encode()
        sent_at_s = self._storage.now_us() // 1_000_000
        secret = webhook_secret(self._secret_key, due.fault.queue, due.target.address)
        return self._webhooks.post_json(
            origin=origin,
            url=due.target.address,
            body=body,
            headers=signed_headers([secret], f"nt_{due.id}", sent_at_s, body),
        )

    def _conclude(self, due: DueNotification, outcome: Outcome) -> None:
        error = _error_of(outcome)
        with self._storage.write() as tx:
            if error is None:
                notifications.finish_sent(tx, due)
            elif outcome.is_permanent or due.attempt >= MOST_TRIES:
                notifications.finish_dead(tx, due, error)
            else:
                delay_s = delay_after(due.attempt, self._uniform)
                notifications.retry_later(tx, due, error, delay_s=delay_s)
        log.log(
            logging.INFO if error is None else logging.WARNING,
            "notification sent" if error is None else "notification failed",
            extra={
                "action": "notification_sent" if error is None else "notification_failed",
                "notification_id": due.id,
                "fault_id": due.fault.id,
                "queue": due.fault.queue,
                "channel": due.target.channel,
                "attempt": due.attempt,
                "error": error,
            },
        )


def _error_of(outcome: Outcome) -> str | None:
    if outcome.error is not None:
        return outcome.error
    if outcome.status is not None and 200 <= outcome.status < 300:
        return None
    return f"HTTP {outcome.status}"


def delay_after(attempt: int, uniform: Uniform) -> float:
    """Seconds until the next try: 10, 20, 40 … 3600, less up to a half of it."""
    longest = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** (attempt - 1))
    return uniform(longest / 2, longest)


# -- what is said --------------------------------------------------------------------------------


def document_of(due: DueNotification) -> dict[str, object]:
    """The body of a webhook. Nothing in it was written by a learner or a grader."""
    fault = due.fault
    return {
        "type": "grader.fault",
        "queue": fault.queue,
        "grader": fault.grader,
        "version": fault.version,
        "kind": fault.kind,
        "fault": fault.id,
        "count": fault.count,
        "at": fault.first_at.astimezone(UTC).isoformat(),
        "command": f"xqueue-server fault show {fault.id}",
        "path": f"/api/v1/faults/{fault.id}",
    }


def subject_of(due: DueNotification) -> str:
    fault = due.fault
    named = f"grader {fault.grader} version {fault.version}" if fault.grader else "its grader"
    return f"xqueue: queue {fault.queue}: a new fault of {named}"


def text_of(due: DueNotification) -> str:
    fault = due.fault
    return (
        f"Submissions to the queue {fault.queue} are held because of a fault of a kind that was "
        "not seen before.\n\n"
        f"grader:  {fault.grader or '(none published)'}\n"
        f"version: {fault.version or '-'}\n"
        f"kind:    {fault.kind}\n"
        f"seen:    {_times(fault.count)}, first at {_shown(fault.first_at)}\n\n"
        f"Details: xqueue-server fault show {fault.id}\n"
        "The learners lose nothing: repair the grader, then release the held submissions.\n"
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _shown(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


# -- signing -------------------------------------------------------------------------------------


def webhook_secret(secret_key: bytes, queue: str, url: str) -> bytes:
    """The secret shared with the receiver at this address; nothing of it is stored."""
    return hmac.digest(key_for("fault webhook", secret_key), f"{queue}\0{url}".encode(), "sha256")


def shown_secret(secret: bytes) -> str:
    """As the Standard Webhooks specification writes secrets."""
    return f"whsec_{base64.b64encode(secret).decode()}"
