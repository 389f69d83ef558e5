"""Who calls the API, and what that account may do there. Denied unless granted."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from flask import Request, g

from xqueue_server.accounts.access import PUBLISH, SEE, scope_of
from xqueue_server.accounts.client_address import client_address
from xqueue_server.errors import NotSignedIn
from xqueue_server.models.account import ALL_QUEUES, Account, Role
from xqueue_server.models.api_token import TOKEN, token_hash
from xqueue_server.models.scope import Scope
from xqueue_server.storage import Transaction, queues, tokens
from xqueue_server.web.api.problem import ApiError
from xqueue_server.web.call import SESSION_COOKIE
from xqueue_server.web.services import Services

ANY_ROLE = frozenset(Role)
AUTHOR = frozenset({Role.AUTHOR})
CHOOSER = PUBLISH
"""Of a version that is published already: on the evening of an exam an operator must go back."""
READER = AUTHOR | SEE
WORKER = frozenset({Role.GRADER})


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCaller:
    account: Account
    """With the grants that count for this call: a token's may be fewer."""
    token_id: int | None

    @property
    def actor(self) -> str:
        name = f"account {self.account.name}"
        return name if self.token_id is None else f"{name} by token {self.token_id}"

    def require(self, tx: Transaction, roles: frozenset[Role], queue: object) -> str:
        """The queue's name, if it exists and one of the roles is granted on it.

        Raises:
            ApiError: 404 in the same words for a queue that is not there and one on which the
                account has no role at all; 403 where it has another role.
        """
        if not isinstance(queue, str):
            raise ApiError(422, "invalid", "queue must be a queue's name")
        if not self.account.may(ANY_ROLE, queue) or queues.find(tx, queue) is None:
            raise ApiError(404, "not-found", f"Queue {queue[:128]!r} not found")
        if not self.account.may(roles, queue):
            needed = " or ".join(sorted(roles))
            raise ApiError(403, "forbidden", f"This needs the role {needed} on the queue {queue!r}")
        return queue

    def require_everywhere(self, roles: frozenset[Role]) -> None:
        """One of the roles on all queues. Raises: ApiError 403."""
        if not self.account.may(roles, ALL_QUEUES):
            needed = " or ".join(sorted(roles))
            raise ApiError(403, "forbidden", f"This needs the role {needed} on all queues")

    def require_password(self) -> None:
        """For what would let a token outlive itself. Raises: ApiError 403."""
        if self.token_id is not None:
            raise ApiError(
                403, "forbidden", "A token can not do this; sign in as the account itself"
            )

    def scope(self, tx: Transaction, roles: frozenset[Role]) -> Scope:
        """Where the caller has one of the roles. Grants on courses do not count for tokens, whose
        scopes name queues."""
        scope = scope_of(tx, self.account, roles)
        return scope if self.token_id is None else Scope(queues=scope.queues)

    def queues_with(self, tx: Transaction, roles: frozenset[Role]) -> list[str]:
        """Existing queues on which one of the roles is granted, by name."""
        return [q.name for q in queues.all_queues(tx) if self.account.may(roles, q.name)]

    def chosen_queues(
        self, tx: Transaction, roles: frozenset[Role], named: Collection[str]
    ) -> list[str]:
        """The queues that are named, each checked; all of the caller's if none is."""
        if not named:
            return self.queues_with(tx, roles)
        return [self.require(tx, roles, name) for name in sorted(set(named))]


def caller_of(request: Request, services: Services, *, by_session: bool) -> ApiCaller:
    """Raises: ApiError 401, 429; StorageUnavailable."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        caller = _by_token(credentials.strip(), request, services)
    elif request.authorization and request.authorization.type == "basic":
        caller = _by_password(request, services)
    elif not by_session:
        caller = None
    else:
        # A cookie is enough: it is SameSite=Lax, and every change needs a JSON content type or a
        # PUT, which other sites' pages can not send here.
        caller = _by_session(request, services)
    if caller is None:
        raise ApiError(401, "not-signed-in", "No credentials, or none that count")
    g.notes["account"] = caller.account.name
    return caller


def _by_token(token: str, request: Request, services: Services) -> ApiCaller | None:
    caller = _holder_of(token, services) if TOKEN.fullmatch(token) else None
    if caller is None:
        # A good one is let in from the same address all the same.
        address = _address(request, services)
        wait_s = services.failed_tokens.wait_s("", address)
        if wait_s:
            raise ApiError(
                429, "too-many", "Too many wrong tokens from this address", retry_after_s=wait_s
            )
        services.failed_tokens.record("", address)
    return caller


def _holder_of(token: str, services: Services) -> ApiCaller | None:
    with services.storage.read() as tx:
        holder = tokens.holder(tx, token_hash(token))
        is_to_note = holder and tokens.use_is_to_be_noted(tx, holder.token_id)
    if holder is None:
        return None
    if is_to_note:
        with services.storage.write() as tx:
            tokens.note_use(tx, holder.token_id)
    g.notes["token"] = holder.token_id
    return ApiCaller(account=holder.account, token_id=holder.token_id)


def _by_password(request: Request, services: Services) -> ApiCaller | None:
    given = request.authorization
    assert given is not None
    if not isinstance(given.username, str) or not isinstance(given.password, str):
        return None
    address = _address(request, services)
    try:
        account = services.sign_in.verify(given.username, given.password, address)
    except NotSignedIn as error:
        raise ApiError(401, "not-signed-in", str(error)) from None
    return ApiCaller(account=account, token_id=None)


def _address(request: Request, services: Services) -> str:
    return client_address(
        request.remote_addr,
        request.headers.get("X-Forwarded-For"),
        services.settings.trusted_proxies,
    )


def _by_session(request: Request, services: Services) -> ApiCaller | None:
    session = request.cookies.get(SESSION_COOKIE)
    if not session:
        return None
    with services.storage.read() as tx:
        account = services.sessions.account_of(tx, session)
    return ApiCaller(account=account, token_id=None) if account else None
