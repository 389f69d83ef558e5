"""What subscribers are told, signed (see `signing`)."""

from __future__ import annotations

import time
from collections.abc import Callable

from proctoring_hooks.store import NotFound, Store
from xqueue_server.errors import SettingsError
from xqueue_server.models.callback import DueCallback
from xqueue_server.settings import origin_of
from xqueue_server.transport import Meaning, Outcome
from xqueue_server.transport.http import HttpTransport
from xqueue_server.transport.signing import read_secrets, signed_headers


class WebhookTransport:
    def __init__(
        self,
        store: Store,
        http: HttpTransport,
        *,
        allows_origin: Callable[[str], bool],
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """`http` connects to public addresses alone, but where an operator has listed others."""
        self._store = store
        self._http = http
        self._allows_origin = allows_origin
        self._now_s = now_s

    def send(self, due: DueCallback) -> Outcome:
        try:
            with self._store.read() as session:
                subscriber = session.subscriber(due.addressing.recipient)
            secrets = read_secrets(subscriber.secret)
        except NotFound as error:
            return Outcome(status=None, error=str(error), is_permanent=True)
        except (SettingsError, ValueError) as error:
            return Outcome(status=None, error=str(error), meaning=Meaning.CREDENTIALS)
        if due.url != subscriber.url or due.origin != origin_of(due.url):
            why = f"{subscriber.name} is at another address by now"
            return Outcome(status=None, error=why, is_permanent=True)
        if not self._allows_origin(due.origin):
            why = f"{due.origin} is not https and not in XQUEUE_WEBHOOK_ORIGINS"
            return Outcome(status=None, error=why, is_permanent=True)
        body = due.body.encode()
        return self._http.post_json(
            origin=due.origin,
            url=due.url,
            body=body,
            headers=signed_headers(secrets, f"msg_{due.id}", int(self._now_s()), body),
        )

    def close(self) -> None:
        self._http.close()
