"""API tokens. A token's secret is shown once; it never allows more than its maker may."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from flask import Response

from xqueue_server.accounts.access import ADMINISTER
from xqueue_server.errors import NotFound
from xqueue_server.instant import to_datetime
from xqueue_server.models.account import ALL_QUEUES
from xqueue_server.models.api_token import ApiToken, new_token, token_hash
from xqueue_server.storage import tokens
from xqueue_server.web.api.answer import answer, instant, instant_or_none, nothing
from xqueue_server.web.api.call import HIGHEST_ID, ApiCall
from xqueue_server.web.api.operating.accounts import MAX_NAME_CHARS
from xqueue_server.web.api.operating.grants import QUEUE_GRANT, grant_documents, read_grants
from xqueue_server.web.api.paging import page_of
from xqueue_server.web.api.reading import SMALL_BYTES, Fields
from xqueue_server.web.api.route import PAGE, Route
from xqueue_server.web.api.schema import (
    ID,
    INSTANT,
    TEXT,
    extended,
    list_of,
    nullable,
    page,
    record,
)

USUAL_LIFETIME = timedelta(days=90)
LONGEST_LIFETIME = timedelta(days=366)


def list_tokens(call: ApiCall) -> Response:
    """Those of the account itself; an administrator's list has everybody's."""
    asked = page_of(call)
    with call.services.storage.read() as tx:
        mine = [t for t in tokens.all_tokens(tx) if _is_mine(call, t)]
    found = asked.of_all(mine, lambda token: token.id)
    return answer(asked.answer("tokens", found, _document, lambda token: token.id))


def make_token(call: ApiCall) -> Response:
    call.caller.require_password()
    fields = Fields(call.document(SMALL_BYTES), ("account", "scopes", "expires_at"))
    named = fields.text("account", most=MAX_NAME_CHARS, is_needed=False)
    account = named or call.caller.account.name
    scopes = read_grants(fields, "scopes")
    if scopes.courses:
        fields.wrong("scopes", "can not name courses: a token is for queues")
    expires_at = _expiry(call, fields)
    fields.check()
    if account != call.caller.account.name:
        call.caller.require_everywhere(ADMINISTER)
    secret = new_token()
    with call.services.storage.write() as tx:
        token_id = tokens.add(
            tx,
            account,
            scopes.queues,
            hashed=token_hash(secret),
            expires_at=expires_at,
            actor=call.caller.actor,
        )
        made = next(t for t in tokens.all_tokens(tx) if t.id == token_id)
    call.note(made_token=token_id)
    response = answer(_document(made) | {"token": secret}, 201)
    response.headers["Cache-Control"] = "no-store"
    return response


def revoke_token(call: ApiCall, token_id: int) -> Response:
    with call.services.storage.write() as tx:
        found = next((t for t in tokens.all_tokens(tx) if t.id == token_id), None)
        if token_id > HIGHEST_ID or found is None or not _is_mine(call, found):
            raise NotFound(f"Token {token_id} not found")
        if found.revoked_at is None:
            tokens.revoke(tx, token_id, actor=call.caller.actor)
    return nothing()


def _is_mine(call: ApiCall, token: ApiToken) -> bool:
    caller = call.caller.account
    return token.account == caller.name or caller.may(ADMINISTER, ALL_QUEUES)


def _expiry(call: ApiCall, fields: Fields) -> datetime:
    now = to_datetime(call.services.storage.now_us())
    asked = fields.moment("expires_at", is_needed=False)
    if asked is not None and not now < asked <= now + LONGEST_LIFETIME:
        fields.wrong("expires_at", f"must be within {LONGEST_LIFETIME.days} days from now")
    return asked or now + USUAL_LIFETIME


def _document(token: ApiToken) -> dict[str, Any]:
    return {
        "id": token.id,
        "account": token.account,
        "scopes": grant_documents(token.scopes),
        "created_at": instant(token.created_at),
        "created_by": token.created_by,
        "expires_at": instant(token.expires_at),
        "last_used_at": instant_or_none(token.last_used_at),
        "revoked_at": instant_or_none(token.revoked_at),
    }


TOKEN = record(
    "Token",
    id=ID,
    account=TEXT,
    scopes=list_of(QUEUE_GRANT),
    created_at=INSTANT,
    created_by=TEXT,
    expires_at=INSTANT,
    last_used_at=nullable(INSTANT),
    revoked_at=nullable(INSTANT),
)

ROUTES = (
    Route(
        method="GET",
        path="/tokens",
        view=list_tokens,
        about="One's own tokens without their secrets, newest first; an administrator's list has "
        "everybody's",
        who="every account",
        query=PAGE,
        answers={200: page("tokens", TOKEN)},
    ),
    Route(
        method="POST",
        path="/tokens",
        view=make_token,
        about="Make a token, for 90 days unless said otherwise; its secret is shown once",
        who="every account for itself, by its password; admin on all queues for others",
        body=record(
            "NewToken",
            optional=("account", "expires_at"),
            account=TEXT,
            scopes=list_of(QUEUE_GRANT),
            expires_at=INSTANT,
        ),
        answers={201: extended(TOKEN, "MadeToken", token=TEXT)},
        answers_secret=True,
    ),
    Route(
        method="DELETE",
        path="/tokens/<int:token_id>",
        view=revoke_token,
        about="Refuse a token from now on",
        who="its account; admin on all queues",
        answers={204: None},
    ),
)
