"""One request on the wire: who asks, how patient we are, what it is called in the logs."""

from __future__ import annotations

import select
import socket
from dataclasses import dataclass, field
from typing import Any

from flask import Request

from xqueue_server.accounts.client_address import client_address
from xqueue_server.models.account import Account
from xqueue_server.web.forms import SHORT_FORM, Form, limits_of, read_form
from xqueue_server.web.patience import Patience
from xqueue_server.web.services import Services

SESSION_COOKIE = "sessionid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    request: Request
    services: Services
    request_id: str
    account: Account | None = None
    """None where nobody needs to be signed in."""
    patience: Patience = field(default_factory=Patience)
    notes: dict[str, Any] = field(default_factory=dict)
    """What the request's log line will say beside method and path."""

    def note(self, **facts: Any) -> None:
        self.notes.update(facts)

    @property
    def signed_in(self) -> Account:
        """The account, on the endpoints that are not served without one."""
        if self.account is None:
            raise AssertionError("this endpoint is not marked as needing a login")
        return self.account

    @property
    def address(self) -> str:
        """The client's address, behind the proxies that the settings trust."""
        return client_address(
            self.request.remote_addr,
            self.request.headers.get("X-Forwarded-For"),
            self.services.settings.trusted_proxies,
        )

    def form(self) -> Form:
        """Raises: InvalidRequest."""
        return read_form(self.request, limits_of(self.services.settings))

    def short_form(self) -> Form:
        """Raises: InvalidRequest."""
        return read_form(self.request, SHORT_FORM)

    def parameter(self, name: str) -> str | None:
        """A query parameter; the last of several, as the reference takes it."""
        values = self.request.args.getlist(name)
        return values[-1] if values else None

    def parameters(self, name: str) -> list[str]:
        """Every different value of a query parameter, in the order given."""
        return list(dict.fromkeys(self.request.args.getlist(name)))

    def seconds(self, name: str) -> float | None:
        """A query parameter as seconds; None if it is missing or no sensible number."""
        return to_seconds(self.parameter(name))

    def client_is_gone(self) -> bool:
        """Whether the client has closed the connection while we let it wait."""
        connection: Any = self.request.environ.get("gunicorn.socket")
        if not isinstance(connection, socket.socket):
            return False
        try:
            readable, _, _ = select.select([connection], [], [], 0)
            return bool(readable) and connection.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            return True


def to_seconds(text: str | None) -> float | None:
    """A number of seconds that a client has written, if it is finite and not negative."""
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < 1e6 else None
