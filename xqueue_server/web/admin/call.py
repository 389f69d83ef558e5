"""One request to the admin pages, with whoever is signed in and what they may see."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from flask import Request, Response, g

from xqueue_server.accounts.access import ADMINISTER, SEE_GRADERS, is_granted_everywhere, scope_of
from xqueue_server.accounts.client_address import client_address
from xqueue_server.errors import InvalidRequest, NotFound
from xqueue_server.instant import to_datetime
from xqueue_server.models.account import Account, Role
from xqueue_server.models.queue import Queue
from xqueue_server.models.scope import Scope
from xqueue_server.models.submission import Submission
from xqueue_server.storage import Storage, Transaction, audit, queues, submissions
from xqueue_server.web.admin import notice
from xqueue_server.web.admin.menu import Item, menu_of
from xqueue_server.web.admin.notice import Notice
from xqueue_server.web.admin.paths import HOME
from xqueue_server.web.admin.rendering import render
from xqueue_server.web.admin.security import csrf_token
from xqueue_server.web.forms import BodyLimits, read_form
from xqueue_server.web.services import Services

FORM_LIMITS = BodyLimits(fields_bytes=64 * 1024, files=0, file_bytes=0)
HIGHEST_ID = 2**63 - 1
LIVE_HEADER = "X-Live"
"""Set by our script when it asks whether a page has changed."""


class Forbidden(Exception):
    """Signed in, and may see this, but not do it. The message says which role it needs."""


@dataclass(kw_only=True)
class AdminCall:
    request: Request
    services: Services
    account: Account
    session: str = field(repr=False)

    # -- who -------------------------------------------------------------------------------------

    @property
    def storage(self) -> Storage:
        return self.services.storage

    @property
    def actor(self) -> str:
        return f"account {self.account.name}"

    @property
    def address(self) -> str:
        return client_address(
            self.request.remote_addr,
            self.request.headers.get("X-Forwarded-For"),
            self.services.settings.trusted_proxies,
        )

    @property
    def csrf(self) -> str:
        return csrf_token(self.services.settings.secret_key, self.session)

    @cached_property
    def menu(self) -> list[Item]:
        with self.storage.read() as tx:
            scope = self.scope(tx, SEE_GRADERS)
        return menu_of(self.account, scope, self.is_administrator, self.request.path)

    @property
    def is_administrator(self) -> bool:
        """Of everything: accounts, tokens and the whole audit log."""
        return is_granted_everywhere(self.account, ADMINISTER)

    def scope(self, tx: Transaction, roles: frozenset[Role]) -> Scope:
        return scope_of(tx, self.account, roles)

    def may(self, roles: frozenset[Role], queue: str) -> bool:
        return self.account.may(roles, queue)

    # -- what is asked for -----------------------------------------------------------------------

    @cached_property
    def now(self) -> datetime:
        """The same for the whole page."""
        return to_datetime(self.storage.now_us())

    @cached_property
    def fields(self) -> dict[str, str]:
        """Of the form that was sent. Raises: InvalidRequest."""
        return read_form(self.request, FORM_LIMITS).fields

    def field(self, name: str) -> str:
        """Without the white space around it; "" if it is missing."""
        return self.fields.get(name, "").strip()

    def parameter(self, name: str) -> str:
        return self.request.args.get(name, "").strip()

    def page_before(self) -> int | None:
        text = self.parameter("before")
        return int(text) if text.isascii() and text.isdecimal() and 0 < len(text) < 19 else None

    def note(self, **facts: Any) -> None:
        """For the request's log line."""
        g.notes.update(facts)

    # -- what may be touched ---------------------------------------------------------------------

    def require_queue(
        self, tx: Transaction, name: str, roles: frozenset[Role], see: frozenset[Role]
    ) -> Queue:
        """Raises: NotFound for what this account may not know of, Forbidden."""
        found = queues.find(tx, name) if self.account.may(see, name) else None
        if found is None:
            raise NotFound(f"There is no queue {name!r}, or it is not yours to see")
        self.require(roles, name)
        return found

    def require(self, roles: frozenset[Role], queue: str) -> None:
        """Raises: Forbidden."""
        if not self.account.may(roles, queue):
            raise Forbidden(f"This needs the role {_either(roles)} on the queue {queue}")

    def require_administrator(self) -> None:
        """Raises: Forbidden."""
        if not self.is_administrator:
            raise Forbidden("This needs the role admin on all queues")

    def require_submission(
        self, tx: Transaction, submission_id: int, roles: frozenset[Role], see: frozenset[Role]
    ) -> Submission:
        """Raises: NotFound for what this account may not know of, Forbidden."""
        found = submissions.find(tx, submission_id) if submission_id <= HIGHEST_ID else None
        hidden = found is None or found.is_trial
        if found is None or hidden or not self.scope(tx, see).covers(found.queue, found.course):
            raise NotFound(f"There is no submission {submission_id}, or it is not yours to see")
        if not self.scope(tx, roles).covers(found.queue, found.course):
            raise Forbidden(f"This needs the role {_either(roles)} on its queue or course")
        return found

    # -- answers ---------------------------------------------------------------------------------

    def page(self, template: str, /, *, status: int = 200, **context: Any) -> Response:
        """A page with an ETag; 304 if our script has this very one on the screen."""
        told = notice.carried(self.request, self.services.settings)
        body = render(template, call=self, now=self.now, notice=told, **context)
        response = Response(body, status, content_type="text/html; charset=utf-8")
        if status == 200:
            response.set_etag(hashlib.sha256(response.get_data()).hexdigest()[:32])
        if self.request.headers.get(LIVE_HEADER):
            response.make_conditional(self.request)
        elif told is not None:
            notice.drop(response)
        return response

    def done(self, text: str, to: str = HOME) -> Response:
        """After an action: to the page that shows its effect, with a word about what was done."""
        with self.storage.read() as tx:
            event_id = audit.latest_of_actor(tx, self.actor)
        response = see_other(to)
        settings = self.services.settings
        notice.carry(response, self.request, settings, Notice(text=text, event_id=event_id))
        return response


def see_other(to: str) -> Response:
    response = Response("", 303, content_type="text/html; charset=utf-8")
    response.headers["Location"] = to
    return response


def whole_number(text: str, what: str, *, least: int, most: int) -> int:
    """Raises: InvalidRequest, naming the field."""
    number = (
        int(text) if text.isascii() and text.lstrip("-").isdecimal() and len(text) < 19 else None
    )
    if number is None or not least <= number <= most:
        raise InvalidRequest(f"{what} must be a whole number from {least} to {most}")
    return number


def _either(roles: frozenset[Role]) -> str:
    return " or ".join(sorted(roles))
